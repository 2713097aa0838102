"""Judges real guests by what was seen of them from outside: the processes, and what they wrote. Nobody's word counts.

What it cannot see: a process that lives shorter than a tenth of a second, which the disk's own records show all the
same where it wrote.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from kit.guests import disk
from kit.guests.recorder import Recorded, Seen


@dataclass(frozen=True)
class Outage:
    """What a guest was away: its last number before, and the first one after."""

    server: str
    last: Seen
    first: Seen

    @property
    def seconds(self) -> float:
        """How long."""
        return (self.first.at - self.last.at).total_seconds()


def verdict(
    recorded: Recorded, *, new_disks: Collection[str] = (), beside: Mapping[str, Collection[str]] | None = None
) -> list[str]:
    """Return what is wrong, a sentence each. Servers of `new_disks` were to come back with one; those of `beside` may
    have a process on these hosts at once: while they are migrated live, or where a lock refuses the second one.
    """
    found = [*_twice(recorded, beside or {}), *_conflicts(recorded)]
    for server in recorded.disks:
        found += _numbers(server, recorded.seen.get(server, ()), server in new_disks)
        found += _boots(recorded, server)
    return found


def outages(seen: Sequence[Seen], since: datetime) -> list[tuple[Seen, Seen]]:
    """Return the last number before and the first one after each change of the guest's boot since then."""
    return [(a, b) for a, b in pairwise(seen) if a.written.boot != b.written.boot and b.at > since]


def _twice(recorded: Recorded, beside: Mapping[str, Collection[str]]) -> Iterator[str]:
    for one, other in recorded.overlaps:
        if not {one.host, other.host} <= set(beside.get(one.server, ())):
            yield f"{one.server} ran on {one.host} and on {other.host} at once, from {other.began:%H:%M:%S.%f} on"


def _conflicts(recorded: Recorded) -> Iterator[str]:
    for server, paths in recorded.disks.items():
        for path in sorted(paths):
            if words := disk.conflict(path):
                yield f"{server} found another writer on its disk: {words}"


def _numbers(server: str, seen: Sequence[Seen], new_disk: bool) -> Iterator[str]:
    for before, after in pairwise(seen):
        where = f"{before.written.number} on {before.host}, then {after.written.number} on {after.host}"
        if before.disk != after.disk:
            if not new_disk:
                yield f"{server} came back with another disk: {where}"
        elif after.written.number <= before.written.number:
            yield f"the numbers of {server} went back: {where}"


def _boots(recorded: Recorded, server: str) -> Iterator[str]:
    """Each boot must go on from what the one before wrote: each boot's last number that was seen, at least."""
    last = {seen.written.boot: seen.written.number for seen in recorded.seen.get(server, ())}
    for path in sorted(recorded.disks[server]):
        for before, after in pairwise(disk.boots(path)):
            least = max(before.found, last.get(before.boot, 0))
            if after.found < least:
                yield f"boot {after.boot} of {server} found {after.found}, and {least} had been written"
