"""What the parts of a whole cloud have seen themselves, as records for the auditor: BMCs, machines, Nova, logs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from nova_ha.clock import from_stamp

from kit.audit.trace import (
    OPERATOR,
    Answering,
    GuestRun,
    Migration,
    NovaCall,
    Output,
    PowerCommand,
    PowerReading,
    PowerTruth,
    Record,
)
from kit.machines.power_button import LIFE

COMMANDS = {"0": "off", "1": "on"}
# A BMC that goes on works off first what has come in while it hung.
UNTIL_WORKED_OFF = timedelta(seconds=10)


def of_machine(name: str, directory: Path) -> Iterator[Record]:
    """Yield what a machine's BMCs were told and answered, and what it really did."""
    for file in sorted(directory.glob("bmc-*/seen")):
        yield from _seen(name, file)
    life = directory / LIFE
    for line in life.read_text().splitlines() if life.exists() else []:
        moment, what = line.split()
        yield from _did(name, datetime.fromisoformat(moment), what)


def _seen(name: str, file: Path) -> Iterator[Record]:
    frozen: datetime | None = None
    thawed = datetime.max.replace(tzinfo=UTC)
    for line in file.read_text().splitlines():
        moment, verb, value = line.split()
        at = datetime.fromtimestamp(float(moment), UTC)
        if verb == "freeze":
            frozen = at
        elif verb == "thaw":
            thawed = at
        elif verb == "set":
            waited = frozen is not None and thawed <= at < thawed + UNTIL_WORKED_OFF
            yield PowerCommand(at, name, COMMANDS[value], since=frozen if waited else None)
        else:
            yield PowerReading(at, name, value == "1")


def _did(name: str, at: datetime, what: str) -> Iterator[Record]:
    if what in ("on", "off"):
        yield PowerTruth(at, name, what == "on")
    if what != "on":
        yield Answering(at, name, what == "answers")


def of_nova(requests: Sequence[Mapping[str, Any]], senders: Mapping[str, str]) -> Iterator[Record]:
    """Yield the requests with an effect that Nova has got; `senders` are HA nodes by their addresses.

    On loopback all come from one address, and nobody knows whose they are.
    """
    for row in requests:
        if row["method"] != "GET" and "/auth/tokens" not in row["path"]:
            loopback = row["client"].startswith("127.")
            sender = "" if loopback else senders.get(row["client"], OPERATOR)
            at = from_stamp(row["at"])
            yield NovaCall(at, sender, row["method"], row["path"], row["action"], row["body"], row["status"])


def of_history(history: Mapping[str, Any]) -> Iterator[Record]:
    """Yield where guests ran, and every evacuation by Nova's own record."""
    for row in history["runs"]:
        yield GuestRun(row["server"], row["host"], *_times(row), row.get("disk", ""))
    for row in history["evacuations"]:
        began, ended = _times(row)
        place = (row["server"], row["source"], row["destination"])
        yield Migration(began, ended, row["id"], *place, row["status"])


def _times(row: Mapping[str, Any]) -> tuple[datetime, datetime | None]:
    return datetime.fromisoformat(row["began"]), datetime.fromisoformat(row["ended"]) if row["ended"] else None


def of_files(files: Sequence[Path]) -> Iterator[Record]:
    """Yield what was logged or printed into files; those that are not there have said nothing."""
    for file in files:
        if file.exists():
            yield Output(str(file), file.read_text(errors="replace"))
