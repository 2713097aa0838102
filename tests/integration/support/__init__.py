"""Stand-ins for real machines, and what records them. `audit`, which judges the records, is put onto the path too."""

from __future__ import annotations

import sys
from pathlib import Path

SHARED = str(Path(__file__).parents[2] / "shared")
if SHARED not in sys.path:
    sys.path.insert(0, SHARED)
