"""Time, passed in: spans from `monotonic()`, stamps from `now()`."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What a decision or a driver needs to know about time."""

    def now(self) -> datetime:
        """Return the time of day, aware, in UTC: for stamps only, never for order or spans."""

    def monotonic(self) -> float:
        """Return seconds of a clock that never jumps."""

    def sleep(self, seconds: float) -> None:
        """Wait for so many seconds."""


class SystemClock:
    """This machine's clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        # CLOCK_BOOTTIME goes on while the machine is suspended, and a lock expires meanwhile.
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def to_stamp(moment: datetime) -> str:
    """Return the moment as the KV store has it: ISO 8601, UTC, milliseconds, `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_key(moment: datetime) -> str:
    """Return the moment as a key has it, `20300101T120045.000Z`: some Consul refuse a colon in a key's name."""
    return to_stamp(moment).replace("-", "").replace(":", "")


def from_stamp(text: str) -> datetime:
    """Read such a stamp, of either form; any ISO 8601 with an offset will do. Raises ValueError."""
    moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no offset from UTC")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text!r} is not a time in UTC") from None
