"""Where the guests run and what they write, recorded all the time from outside: by processes and disks."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path

from kit.guests import disk
from kit.guests.host import Host

EVERY_S = 0.1
QEMU = "qemu-system"


@dataclass(frozen=True)
class Run:
    """One QEMU process: a server's guest on a host, until `ended` (None: it is there). `disk` is its root disk's
    identity, as soon as it has one.
    """

    server: str
    host: str
    process: int
    began: datetime
    ended: datetime | None = None
    disk: str = ""

    def overlaps(self, other: Run) -> bool:
        """True where both were there at once."""
        begin = max(self.began, other.began)
        return all(run.ended is None or run.ended > begin for run in (self, other))


@dataclass(frozen=True)
class Seen:
    """A number on the disk of a server whose guest is on a host."""

    at: datetime
    host: str
    written: disk.Written
    disk: str


@dataclass(frozen=True)
class Recorded:
    """What was seen until now: every process of a guest, in the order of their beginnings; by server each number that
    was on its disk at a look, and every disk that it has run with.
    """

    runs: Sequence[Run]
    seen: Mapping[str, Sequence[Seen]]
    disks: Mapping[str, frozenset[Path]]

    @property
    def overlaps(self) -> Sequence[tuple[Run, Run]]:
        """Every two processes of one server that were on two hosts at once."""
        pairs = combinations(self.runs, 2)
        return [(a, b) for a, b in pairs if a.server == b.server and a.host != b.host and a.overlaps(b)]


class GuestRecorder:
    """Looks at all hosts again and again, from `start` to `stop`; several threads may ask it."""

    def __init__(self, hosts: Iterable[Host]) -> None:
        self._hosts = list(hosts)
        self._alone = threading.Lock()
        self._open: dict[int, Run] = {}
        self._closed: list[Run] = []
        self._seen: dict[str, list[Seen]] = {}
        self._disks: dict[str, set[Path]] = {}
        self.looks = 0
        self._failed: Exception | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._record, name="recorder of guests", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End. Idempotent."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    # --- what was seen

    @property
    def recorded(self) -> Recorded:
        """All of it, after a last look. Raises RuntimeError where nobody has looked for a while."""
        if self._failed:
            raise RuntimeError(
                "the recorder of guests has ended: what it did not see, nobody judges"
            ) from self._failed
        self.look()
        with self._alone:
            runs = sorted([*self._closed, *self._open.values()], key=lambda run: run.began)
            seen = {server: list(rows) for server, rows in self._seen.items()}
            return Recorded(runs, seen, {server: frozenset(paths) for server, paths in self._disks.items()})

    @property
    def places(self) -> Mapping[str, Mapping[str, bool]]:
        """Where each guest is now: by server and host."""
        self.look()
        found: dict[str, dict[str, bool]] = {}
        with self._alone:
            for run in self._open.values():
                found.setdefault(run.server, {})[run.host] = True
        return found

    def seen(self, server: str) -> Sequence[Seen]:
        """Return what was seen on the server's disk, each number that was there at a look, oldest first."""
        with self._alone:
            return list(self._seen.get(server, []))

    def forget(self) -> None:
        """Forget all that was seen, as what a test has broken on purpose."""
        with self._alone:
            self._closed, self._open, self._seen, self._disks = [], {}, {}, {}

    # --- looking

    def look(self) -> None:
        """Look once."""
        now = datetime.now(UTC)
        found = {number: (host, server) for host in self._hosts for number, server in guests_on(host)}
        with self._alone:
            for number in [number for number in self._open if number not in found]:
                self._closed.append(replace(self._open.pop(number), ended=now))
            for number, (host, server) in found.items():
                if number not in self._open:
                    self._open[number] = Run(server, host.name, number, now)
                self._look_at_disk(number, host, server)
            self.looks += 1

    def _look_at_disk(self, number: int, host: Host, server: str) -> None:
        path = host.instances / server / "disk"
        written, identity = disk.written(path), disk.identity(path)
        self._disks.setdefault(server, set()).add(path)
        if written is None or not identity:
            return
        self._open[number] = replace(self._open[number], disk=identity)
        seen = self._seen.setdefault(server, [])
        if not seen or seen[-1].written != written:
            seen.append(Seen(datetime.now(UTC), host.name, written, identity))

    def _record(self) -> None:
        while not self._ended.wait(EVERY_S):
            try:
                self.look()
            except Exception as error:
                self._failed = error
                raise


def guests_on(host: Host) -> list[tuple[int, str]]:
    """Return every QEMU process on the host, with its server."""
    found = []
    for number in host.processes:
        with suppress(OSError, ValueError):
            words = Path(f"/proc/{number}/cmdline").read_bytes().decode().split("\0")
            if QEMU in words[0]:
                found.append((number, words[words.index("-uuid") + 1]))
    return found
