"""The incidents of a run, from the open record's first version to the archived one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from kit.audit.keys import CLOSED, OPEN, Keys, object_of, stamp_of, text_of
from kit.audit.trace import KVChange

WORKING = ("claimed", "fencing", "fenced", "forced-down", "evacuating")
BEFORE_THE_FENCE = ("claimed", "fencing")
FINAL = ("evacuated", "rebuilt", "left", "skipped", "failed")


@dataclass(frozen=True)
class Version:
    """The record as it was once written; empty where it could not be read."""

    change: KVChange
    record: Mapping[str, Any]

    @property
    def state(self) -> str:
        return str(self.record.get("state", ""))

    @property
    def fenced(self) -> bool:
        """True where the work has gone beyond cutting the power."""
        state = str(self.record.get("before") or self.state)
        return state not in BEFORE_THE_FENCE

    @property
    def first_step(self) -> Any:
        """The line with which its story begins; None where there is none."""
        steps = self.record.get("steps")
        return steps[0] if isinstance(steps, list) and steps else None

    @property
    def servers(self) -> Mapping[str, Mapping[str, Any]]:
        found = self.record.get("servers")
        return found if isinstance(found, dict) else {}

    @property
    def receipt(self) -> Mapping[str, Any]:
        found = self.record.get("receipt")
        return found if isinstance(found, dict) else {}


@dataclass
class Incident:
    """One incident of a node. `closed` is when its open record was gone; `archived` the record in history.

    `started` moves with a claim before the fence: it is the last one, under which it is archived.
    """

    node: str
    started: str
    versions: list[Version] = field(default_factory=list)
    closed: KVChange | None = None
    archived: Version | None = None

    @property
    def opened(self) -> datetime:
        """The first moment at which it can have been there."""
        return self.all_versions[0].change.earliest

    @property
    def index(self) -> int:
        """The index of Consul at which it was opened."""
        return self.all_versions[0].change.index

    @property
    def all_versions(self) -> list[Version]:
        """Every version, with the archived one."""
        return [*self.versions, *([self.archived] if self.archived else [])]

    def ended(self) -> datetime | None:
        """Return when it was over; None where it is open in the end."""
        over = self.closed or (self.archived.change if self.archived else None)
        return over.at if over else None

    def covers(self, moment: datetime) -> bool:
        """True where it may have been open at the moment."""
        ended = self.ended()
        return self.opened <= moment and (ended is None or moment <= ended)

    def may_have_been(self, moment: datetime) -> list[Version]:
        """Return the version as it was seen by then, and those that may have been written already."""
        seen = [version for version in self.all_versions if version.change.at <= moment]
        later = [version for version in self.all_versions if version.change.earliest <= moment < version.change.at]
        return [*seen[-1:], *later]

    @cached_property
    def servers(self) -> Mapping[str, Mapping[str, Any]]:
        """The servers as they were last recorded, with those of all former versions."""
        return {name: row for version in self.all_versions for name, row in version.servers.items()}


def incidents(keys: Keys) -> list[Incident]:
    """Return every incident of the run, in the order in which they were opened."""
    found: dict[tuple[str, str], Incident] = {}
    for key in keys.under(OPEN):
        _read_open(key.removeprefix(OPEN), keys.changes(key), found)
    for key in keys.under(CLOSED):
        node, _, stamp = key.removeprefix(CLOSED).partition("/")
        for change in keys.changes(key):
            if change.value is not None:
                version = Version(change, object_of(text_of(change)))
                found.setdefault((node, stamp_of(stamp)), Incident(node, stamp_of(stamp))).archived = version
    return sorted(found.values(), key=lambda incident: incident.opened)


def _read_open(node: str, changes: list[KVChange], found: dict[tuple[str, str], Incident]) -> None:
    present: Incident | None = None
    for change in changes:
        if change.value is None:
            if present:
                present.closed = change
            present = None
            continue
        version = Version(change, object_of(text_of(change)))
        started = stamp_of(str(version.record.get("started") or (present.started if present else "")))
        if present and present.started != started:
            if _goes_on(present.versions[-1], version):
                found[(node, started)] = found.pop((node, present.started))
                present.started = started
            else:
                present.closed = change
        present = found.setdefault((node, started), Incident(node, started))
        present.versions.append(version)


def _goes_on(before: Version, after: Version) -> bool:
    """True where it is the same incident, claimed anew before its fence: its story begins with the same line."""
    return not before.fenced and before.first_step is not None and before.first_step == after.first_step
