"""Put `fakes`, the stand-ins for Consul and the builders of values, and the auditor onto the unit tests' path."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "shared")]


@pytest.fixture(autouse=True)
def _own_sigterm() -> Iterator[None]:
    """Let what a program under test does with SIGTERM end with its test: the test run itself must end by it."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)
