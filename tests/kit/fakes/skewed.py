"""A clock that is ahead of another one, or behind it."""

from __future__ import annotations

from datetime import datetime, timedelta

from nova_ha.clock import Clock


class Skewed:
    """Shows another time of day than `clock`, and is otherwise that one."""

    def __init__(self, clock: Clock, ahead_s: float) -> None:
        self._clock = clock
        self._ahead = timedelta(seconds=ahead_s)

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def now(self) -> datetime:
        return self._clock.now() + self._ahead

    def sleep(self, seconds: float) -> None:
        self._clock.sleep(seconds)

    def __getattr__(self, name: str) -> object:
        return getattr(self._clock, name)
