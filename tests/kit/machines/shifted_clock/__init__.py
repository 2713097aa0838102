"""A time of day that is wrong, for the Python processes of one HA node; their other clocks are right.

What is in this folder beside it is found by the interpreter at its start: `sitecustomize`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

VARIABLE = "NOVA_HA_TEST_CLOCK_AHEAD_S"


def shifted(ahead_s: float) -> Mapping[str, str]:
    """Return the environment of processes whose time of day is ahead by so many seconds; empty for none."""
    return {"PYTHONPATH": str(Path(__file__).parent), VARIABLE: str(ahead_s)} if ahead_s else {}
