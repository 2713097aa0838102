"""Results go to standard output, as a table for people or as JSON for programs; all else to standard error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import click

from nova_ha.clock import to_stamp
from nova_ha.printable import printable, printable_json

F = TypeVar("F", bound=Callable[..., Any])

COLOURS = {"good": "green", "note": "cyan", "warn": "yellow", "bad": "red", "": None}


def json_option(function: F) -> F:
    """Add `--json` to a command, as its argument `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


def print_json(value: Any) -> None:
    """Print the value as JSON, indented."""
    click.echo(printable_json(value, indent=2, default=_plain))


def say(text: str) -> None:
    """Print a line of the result, whatever was in the keys that its words come from."""
    click.echo(printable(text))


def note(text: str) -> None:
    """Say something that is not the result, in a line."""
    click.echo(printable(text), err=True)


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their heads, in columns; the last column is neither filled up nor cut."""
    for line in table_lines(heads, rows):
        click.echo(line)


def table_lines(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a plain table: the same on a terminal and in a pipe, and fit for grep and awk."""
    cells = [[head.upper() for head in heads], *[[printable(cell) or "-" for cell in row] for row in rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def ago(moment: datetime, now: datetime) -> str:
    """Return how long ago a moment was, as `12 s`, `3 min`, `5 h` or `2 d`; 0 s for the future of another clock."""
    return span((now - moment).total_seconds())


def span(seconds: float) -> str:
    """Return a span of time with one unit."""
    for limit, unit, size in ((120, "s", 1), (7200, "min", 60), (172800, "h", 3600)):
        if seconds < limit:
            return f"{max(0, round(seconds / size))} {unit}"
    return f"{round(seconds / 86400)} d"


def _plain(value: Any) -> Any:
    return to_stamp(value) if isinstance(value, datetime) else str(value)
