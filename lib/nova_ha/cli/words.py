"""What operators write on the command line: spans of time, moments, and their own names."""

from __future__ import annotations

import getpass
import os
import socket
from datetime import datetime, timedelta
from typing import Any

import click

from nova_ha.clock import from_stamp

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
LONGEST = timedelta(days=366)


class Span(click.ParamType):  # type: ignore[type-arg]
    """A span of time: `90s`, `30m`, `2h`, `1d`; a plain number is minutes."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        digits, unit = (value[:-1], value[-1]) if value[-1:] in UNITS else (value, "m")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 8):
            self.fail(f"{value!r} is no span of time: expected for instance 90s, 30m, 2h or 1d", param, ctx)
        span = timedelta(**{UNITS[unit]: int(digits)})
        if not timedelta() < span <= LONGEST:
            self.fail(f"{value!r} is not between a second and a year", param, ctx)
        return span


class Moment(click.ParamType):  # type: ignore[type-arg]
    """A moment: ISO 8601 with an offset from UTC or `Z`."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            return from_stamp(value)
        except ValueError:
            self.fail(f"{value!r} is no moment: expected for instance 2026-01-31T22:00:00Z", param, ctx)


def end_of(now: datetime, span: timedelta | None, until: datetime | None) -> datetime | None:
    """Return the end that `--for` or `--until` gives, None where neither does. Raises UsageError for both."""
    if span is not None and until is not None:
        raise click.UsageError("give either --for or --until")
    return now + span if span is not None else until


def operator_name() -> str:
    """Return who runs this, for the record: `user@machine`, also behind sudo."""
    try:
        user = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"
