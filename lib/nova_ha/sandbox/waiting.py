"""Waiting for a thing to become true, with a deadline and a sentence about it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from nova_ha.errors import HAError

Found = TypeVar("Found")

# For a machine that does much else besides: what never comes is told late, and what comes late is no failure.
PATIENCE_S = 120.0


def until(look: Callable[[], Found], what: str, within_s: float = PATIENCE_S, every_s: float = 0.05) -> Found:
    """Look again and again until the result is true, and return it.

    Raises HAError naming `what` and the last result after `within_s` seconds.
    """
    deadline = time.monotonic() + within_s
    while not (found := look()):
        if time.monotonic() > deadline:
            raise HAError(f"waited {within_s:g} s in vain for {what} (last seen: {found!r})")
        time.sleep(every_s)
    return found
