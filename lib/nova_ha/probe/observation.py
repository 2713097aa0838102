"""What an observer saw in its sweeps, as its check's output hands it on.

The output is one line for people and one line of JSON. It has no time and no run number: while no verdict and no
streak changes it stays the same byte for byte, so that Consul has nothing to write.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nova_ha.printable import first_few, printable, printable_json
from nova_ha.probe.sighting import SightCause

VERSION = 1
# Before the credentials in `tried`: the login with them hung.
HUNG = "hung:"
NAMES_SHOWN = 8
# So many sweeps in a row that missed their deadline are more than a moment in which the machine was busy.
MOST_LATE = 2
TOO_LATE = f"its last {MOST_LATE} sweeps missed their deadline: it needs a longer --interval, or a machine less busy"
MOST_RELEASE = 40


@dataclass(frozen=True)
class Failing:
    """A node that has failed in so many intervals in a row. `tried` as in Unknown, or HUNG and the credentials."""

    streak: int
    why: str
    tried: str = ""


@dataclass(frozen=True)
class Unknown:
    """A node that could not be told about.

    `tried` names the credentials that it refused (by the ModifyIndexes of their keys, never by themselves), so
    that the next sweep can leave out a login which would be refused again.
    """

    why: str
    tried: str = ""


@dataclass(frozen=True)
class NoData:
    """An output that says nothing about any node."""

    why: str


@dataclass(frozen=True)
class Report:
    """One observer's sweep. A swept node that is not in `nodes` is well.

    `changed_at` is in seconds since the boot `boot` (CLOCK_BOOTTIME): when a verdict or a streak last changed.
    `release` is that of the program, empty where it is too old to say. `late` is how many sweeps in a row, up to
    MOST_LATE, had not the time that they need.
    `causes` says why, of those that are not well: not where it is not known, as from an older release.
    Where `unlisted` is set, the nodes that are not well were too many for the output: so many fail and so many
    are unknown, `nodes` is empty, and nothing is known of any single node.
    """

    probe: str
    interval_s: int
    swept: int
    changed_at: float
    boot: str
    nodes: Mapping[str, Failing | Unknown] = field(default_factory=dict)
    unlisted: tuple[int, int] | None = None
    causes: Mapping[str, SightCause] = field(default_factory=dict)
    release: str = ""
    late: int = 0

    @property
    def too_late(self) -> bool:
        """True where its sweeps miss their deadline."""
        return self.late >= MOST_LATE

    @property
    def failing(self) -> Mapping[str, Failing]:
        """The nodes that fail, by name, in order."""
        return {name: seen for name, seen in sorted(self.nodes.items()) if isinstance(seen, Failing)}

    @property
    def unknown(self) -> Mapping[str, Unknown]:
        """The nodes that cannot be told about, by name, in order."""
        return {name: seen for name, seen in sorted(self.nodes.items()) if isinstance(seen, Unknown)}

    def to_output(self) -> str:
        """Return both lines, as a check prints them."""
        failing: Any = {name: _row(seen.streak, seen) for name, seen in self.failing.items()}
        unknown: Any = {name: _row(seen) for name, seen in self.unknown.items()}
        if self.unlisted:
            failing, unknown = self.unlisted
        record = {
            "nova_ha": VERSION,
            "probe": self.probe,
            "interval_s": self.interval_s,
            "swept": self.swept,
            "changed_at": self.changed_at,
            "boot": self.boot,
            "failing": failing,
            "unknown": unknown,
            # Since 0.2.0. New fields are new names here: the rows keep their shape, so that older releases read them.
            **({"release": self.release} if self.release else {}),
            **({"late": self.late} if self.late else {}),
        }
        if self.causes:
            record["causes"] = {name: cause.value for name, cause in sorted(self.causes.items())}
        words = f"{self.in_words()}; {TOO_LATE}" if self.too_late else self.in_words()
        return f"{printable(words)}\n{printable_json(record, separators=(',', ':'))}\n"

    def in_words(self) -> str:
        """Return the line for people: `FAILING 1 of 40: compute-7 2x timed out`."""
        if self.unlisted:
            failing, unknown = self.unlisted
            word = "FAILING" if failing else "UNKNOWN"
            return f"{word} {failing} of {self.swept} failing, {unknown} unknown: too many to list"
        if not self.nodes:
            return f"OK {self.swept} of {self.swept} well" if self.swept else "OK no compute nodes are registered"
        fails = [f"{name} {_times(seen.streak)}{seen.why}" for name, seen in self.failing.items()]
        others = [f"{name} {seen.why}" for name, seen in self.unknown.items()]
        parts = [("FAILING", fails), ("UNKNOWN", others)]
        return "; ".join(f"{word} {len(rows)} of {self.swept}: {_some(rows)}" for word, rows in parts if rows)

    @classmethod
    def from_output(cls, text: str) -> Report | NoData:
        """Read a check's output. All that is not exactly such a report is no data."""
        if not text.strip():
            return NoData("no output yet")
        for start, why in (("Timed out", "the check timed out"), ("Captured", "output cut off by Consul")):
            if text.startswith(start):
                return NoData(why)
        # Only a line feed ends a line: other marks of Unicode may be in a name.
        lines = text.removesuffix("\n").split("\n")
        if len(lines) != 2 or not lines[0].startswith(("OK ", "FAILING ", "UNKNOWN ")):
            return NoData(one_line(lines[0], 80))
        try:
            return _report(json.loads(lines[1]))
        except (ValueError, LookupError, TypeError, RecursionError):
            return NoData("not a report that this version can read")


def _row(*columns: Any) -> list[Any]:
    *first, seen = columns
    return [*first, seen.why, seen.tried] if seen.tried else [*first, seen.why]


def _report(record: Mapping[str, Any]) -> Report:
    """Read the JSON line. Raises ValueError, LookupError or TypeError."""
    if record["nova_ha"] != VERSION:
        raise ValueError("another version")
    failing, unknown = record["failing"], record["unknown"]
    listed = isinstance(failing, dict) and isinstance(unknown, dict)
    nodes: dict[str, Failing | Unknown] = {}
    if listed:
        nodes.update({name: Unknown(*_texts(row, 1)) for name, row in unknown.items()})
        nodes.update({name: Failing(_count(row[0], 1), *_texts(row[1:], 1)) for name, row in failing.items()})
    return Report(
        probe=_text(record["probe"]),
        interval_s=_count(record["interval_s"], 1),
        swept=_count(record["swept"], 0),
        changed_at=_seconds(record["changed_at"]),
        boot=_text(record["boot"]),
        nodes=nodes,
        causes=_causes(record.get("causes", {})),
        unlisted=None if listed else (_count(failing, 0), _count(unknown, 0)),
        release=one_line(_text(record.get("release", "")), MOST_RELEASE),
        late=_count(record.get("late", 0), 0),
    )


def _causes(value: Any) -> dict[str, SightCause]:
    """Read the causes, but for those of a newer release."""
    if not isinstance(value, dict):
        raise TypeError("not the causes of a report")
    known = {cause.value: cause for cause in SightCause}
    return {name: known[_text(word)] for name, word in value.items() if _text(word) in known}


def _texts(row: Any, least: int) -> list[str]:
    if not isinstance(row, list) or not least <= len(row) <= least + 1:
        raise ValueError("not a row of a report")
    return [_text(word) for word in row]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _count(value: Any, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError("not a count")
    return value


def _seconds(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < float("inf"):
        raise ValueError("not a time")
    return float(value)


def _times(streak: int) -> str:
    return f"{streak}x " if streak > 1 else ""


def _some(rows: list[str]) -> str:
    return first_few(rows, NAMES_SHOWN)


def one_line(text: str, most: int) -> str:
    """Return the text as one printable line of at most so many characters."""
    line = " ".join(printable(text).split())
    return line if len(line) <= most else line[: most - 3] + "..."
