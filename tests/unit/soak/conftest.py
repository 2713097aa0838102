"""Put `soak` and the stand-ins that it uses onto the path."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = Path(__file__).parents[2]
sys.path += [str(TESTS), str(TESTS / "integration"), str(TESTS / "shared")]
