"""Shifts `time.time` and `datetime.now` by the seconds that a variable names, before anything else is imported."""

from __future__ import annotations

import datetime
import os
import time

_ahead_s = float(os.environ["NOVA_HA_TEST_CLOCK_AHEAD_S"])
_time, _datetime = time.time, datetime.datetime


class _OfAnyDatetime(type):
    """What C code makes is of the original class."""

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, _datetime)


class _Shifted(_datetime, metaclass=_OfAnyDatetime):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
        return _datetime.now(tz) + datetime.timedelta(seconds=_ahead_s)

    @classmethod
    def utcnow(cls) -> datetime.datetime:
        return cls.now(datetime.UTC).replace(tzinfo=None)


time.time = lambda: _time() + _ahead_s
datetime.datetime = _Shifted  # type: ignore[misc]
