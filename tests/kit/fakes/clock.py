"""A clock that moves only when it is told to, or slept on."""

from __future__ import annotations

from datetime import datetime, timedelta

from kit.fakes.values import NOW


class FakeClock:
    """Implements nova_ha.clock.Clock. `jump` moves the time of day alone, as a wrong NTP server does."""

    def __init__(self, start: datetime = NOW) -> None:
        self._start = start
        self._elapsed = 0.0
        self._jumped = timedelta()

    def now(self) -> datetime:
        """Return the time of day."""
        return self._start + timedelta(seconds=self._elapsed) + self._jumped

    def monotonic(self) -> float:
        """Return the seconds that have gone by."""
        return self._elapsed

    def sleep(self, seconds: float) -> None:
        """Let so many seconds go by, at once."""
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let so many seconds go by."""
        self._elapsed += seconds

    def jump(self, seconds: float) -> None:
        """Set the time of day forward, or back."""
        self._jumped += timedelta(seconds=seconds)
