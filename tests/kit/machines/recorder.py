"""Records what really happened in a cloud of real processes, for the auditor (tests/kit/audit).

with Recorder(directory, endpoints) as recorder:
    with recorder.injected("partition", "server-1 ha-1 | server-2 server-3 ha-2 ha-3"):
        ...
trace = recorder.trace(cluster, more_records)
violations = audit(trace)
"""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from nova_ha.errors import ConsulError

from kit.audit.trace import (
    SHARED,
    Answering,
    Cluster,
    Injected,
    KVChange,
    Output,
    PowerTruth,
    Record,
    Report,
    SessionChange,
    Trace,
    make_trace,
)
from kit.machines.arguments import ArgumentWatch
from kit.machines.follower import Endpoint, Follower


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class _Held:
    """A key as it was last seen."""

    index: int
    value: bytes
    session: str
    lock_index: int


@dataclass(frozen=True)
class _Sweep:
    """What one observer's check said: the nodes that fail, with their streaks; `unknown` None: it says nothing."""

    alive: bool
    failing: Mapping[str, int]
    unknown: frozenset[str] | None


class Recorder:
    """From `start` to `stop` it follows the KV tree `ha_cluster/`, the sessions, and the observers' reports by
    consistent blocking queries, and looks at the arguments of the sandbox's processes ten times a second.

    What it cannot see: a key that changes twice between two answers is seen once, with its last index (each change
    says between which moments it happened); a process that lives shorter than a tenth of a second; anything
    while no endpoint answers. A key that is deleted has the index of the answer. Tests add what only they know:
    `answering`, `power`, `injected` (or `begin` and `end`), `add`.
    """

    def __init__(self, directory: Path, endpoints: Sequence[Endpoint]) -> None:
        self._records: list[Record] = []
        self._alone = threading.Lock()
        self._keys: dict[str, _Held] = {}
        self._sessions: dict[str, Mapping[str, Any]] = {}
        self._sweeps: list[tuple[datetime, datetime | None, dict[str, _Sweep]]] = []
        self._faults: dict[int, Injected] = {}
        self.arguments = ArgumentWatch(directory)
        self._followers = [
            Follower("/v1/kv/ha_cluster/", {"recurse": "1"}, endpoints, self._take_keys),
            Follower("/v1/session/list", {}, endpoints, self._take_sessions),
            Follower("/v1/health/service/nova-ha", {}, endpoints, self._take_reports),
        ]
        self.started: datetime | None = None
        self.ended: datetime | None = None

    def __enter__(self) -> Recorder:
        self.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Begin."""
        self.started = _now()
        for follower in self._followers:
            follower.start()
        self.arguments.start()

    def stop(self) -> None:
        """Look a last time, and end. Idempotent."""
        if self.started and self.ended is None:
            self.leave_off()
            self.catch_up()
            self.ended = _now()

    def leave_off(self) -> None:
        """End without a last look, as Consul may be gone. Idempotent."""
        self.arguments.stop()
        for follower in self._followers:
            follower.leave_off()

    def catch_up(self) -> None:
        """Look at everything in Consul now. Raises ConsulError where no endpoint answers."""
        for follower in self._followers:
            if not follower.catch_up():
                raise ConsulError("the recorder finds no Consul that answers")

    # --- what only the test knows

    def add(self, *records: Record) -> None:
        """Add records."""
        with self._alone:
            self._records.extend(records)

    def answering(self, host: str, answers: bool) -> None:
        """Note that the host really answers from now on, or does not."""
        self.add(Answering(_now(), host, answers))

    def power(self, host: str, on: bool) -> None:
        """Note that the machine really is on from now on, or off."""
        self.add(PowerTruth(_now(), host, on))

    def begin(self, fault: str, subject: str = "", reach: str = SHARED) -> int:
        """Note that a fault is in force from now on; return what `end` takes."""
        with self._alone:
            number = len(self._faults)
            self._faults[number] = Injected(_now(), fault, subject, reach=reach)
            return number

    def end(self, number: int) -> None:
        """Note that the fault has ended."""
        with self._alone:
            self._faults[number] = replace(self._faults[number], ended=_now())

    @contextlib.contextmanager
    def injected(self, fault: str, subject: str = "") -> Iterator[None]:
        """Note that a fault is in force inside."""
        number = self.begin(fault, subject)
        try:
            yield
        finally:
            self.end(number)

    # --- what came of it

    def records(self, compute: Sequence[str]) -> list[Record]:
        """Return all that was recorded until now; the reports of these hosts."""
        with self._alone:
            arguments = [Output(f"argv {name}", text) for name, text in self.arguments.seen]
            return [*self._records, *self._faults.values(), *self._reports(compute), *arguments]

    def trace(self, cluster: Cluster, more: Iterable[Record] = ()) -> Trace:
        """Return the trace until now, or until `stop`, with what others have recorded."""
        return make_trace(cluster, self.ended or _now(), [*self.records(cluster.compute), *more])

    # --- Consul

    def _take_keys(self, body: Any, index: int, at: datetime, since: datetime | None) -> None:
        found = {row["Key"]: _held(row) for row in body or []}
        with self._alone:
            changed = [key for key, held in found.items() if self._keys.get(key) != held]
            for key in sorted(changed, key=lambda key: found[key].index):
                held = found[key]
                change = KVChange(at, held.index, key, held.value, held.session, held.lock_index, since)
                self._records.append(change)
            self._records += [KVChange(at, index, key, None, since=since) for key in self._keys.keys() - found.keys()]
            self._keys = found

    def _take_sessions(self, body: Any, index: int, at: datetime, since: datetime | None) -> None:
        found = {row["ID"]: row for row in body or []}
        with self._alone:
            for name in found.keys() - self._sessions.keys():
                self._records.append(_session(at, since, found[name], exists=True))
            for name in self._sessions.keys() - found.keys():
                self._records.append(_session(at, since, self._sessions[name], exists=False))
            self._sessions = found

    def _take_reports(self, body: Any, index: int, at: datetime, since: datetime | None) -> None:
        sweeps = {entry["Node"]["Node"]: _sweep(entry["Checks"]) for entry in body or []}
        with self._alone:
            self._sweeps.append((at, since, sweeps))

    def _reports(self, compute: Sequence[str]) -> Iterator[Report]:
        last: dict[tuple[str, str], tuple[int | None, bool]] = {}
        for at, since, sweeps in self._sweeps:
            for observer, sweep in sweeps.items():
                for host in compute:
                    streak = None if sweep.unknown is None or host in sweep.unknown else sweep.failing.get(host, 0)
                    if last.get((observer, host)) != (streak, sweep.alive):
                        last[observer, host] = (streak, sweep.alive)
                        yield Report(at, observer, host, streak, sweep.alive, since)


def _held(row: Mapping[str, Any]) -> _Held:
    value = base64.b64decode(row["Value"]) if row["Value"] else b""
    return _Held(row["ModifyIndex"], value, row.get("Session", ""), row["LockIndex"])


def _session(at: datetime, since: datetime | None, row: Mapping[str, Any], *, exists: bool) -> SessionChange:
    return SessionChange(at, row["ID"], row["Node"], exists, row["Name"], since)


def _sweep(checks: Sequence[Mapping[str, Any]]) -> _Sweep:
    """Read the output of the SSH check: a line for people, and one of JSON. Whatever else it is says nothing."""
    by_id = {check["CheckID"]: check for check in checks}
    alive = by_id.get("serfHealth", {}).get("Status") == "passing"
    try:
        record = json.loads(by_id["nova-ha-ssh"]["Output"].splitlines()[1])
        failing = {host: int(row[0]) for host, row in record["failing"].items()}
        return _Sweep(alive, failing, frozenset(record["unknown"]))
    except (LookupError, ValueError, TypeError, AttributeError):
        return _Sweep(alive, {}, None)
