"""The incident: what a recovery knows, has done and will do, as one record in the KV store."""

from __future__ import annotations

import base64
import enum
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from nova_ha.clock import from_stamp, to_stamp
from nova_ha.cluster.gate import UNREAD, AnyGate, Cause, Closed, Gate, gate_named
from nova_ha.cluster.node import check_version
from nova_ha.cluster.permit import Permit, lasting
from nova_ha.consul.values import BadValue, object_from, object_to

# Consul takes a transaction of 512 KiB, in which a value is base64.
MOST_BYTES = 360 * 1024
FIRST_STEPS = 20
# So many servers fit, whatever their names are; tests/unit/cluster/test_cluster_large_incidents.py measures it.
MOST_SERVERS = 1700
# Of a server's name, which has its id too, and of what is said of it, in bytes; and the least, where they are many.
MOST_NAME = 64
MOST_REASON = 400
LEAST_TEXT = 8
# Of a line of the story, and of what the operator is asked, in bytes.
MOST_LINE = 1000
PACKING = 6
MOST_UNPACKED = 64 * 1024 * 1024
# Of the reason why a record cannot be read: it may quote the whole record.
MOST_SAID = 120
MARK_BYTES = 200


class IncidentState(enum.Enum):
    """Where a recovery stands."""

    CLAIMED = "claimed"
    FENCING = "fencing"
    FENCED = "fenced"
    FORCED_DOWN = "forced-down"
    EVACUATING = "evacuating"
    FINISHED = "finished"
    NEEDS_OPERATOR = "needs-operator"
    WITHDRAWN = "withdrawn"


_UP_TO_FENCED = (IncidentState.CLAIMED, IncidentState.FENCING, IncidentState.FENCED)
# What no work goes on from.
ENDS = (IncidentState.FINISHED, IncidentState.NEEDS_OPERATOR, IncidentState.WITHDRAWN)


class ServerState(enum.Enum):
    """Where one server stands. ASKED is the intent, recorded before the request is sent.

    EVACUATED came back with its root disk, REBUILT with a new one; LEFT was not asked for: its disk is on the host.
    """

    PENDING = "pending"
    ASKED = "asked"
    EVACUATED = "evacuated"
    REBUILT = "rebuilt"
    LEFT = "left"
    SKIPPED = "skipped"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        """True when nothing more is done for the server in this incident."""
        return self not in (ServerState.PENDING, ServerState.ASKED)


@dataclass(frozen=True)
class Reading:
    """One power reading as the receipt keeps it."""

    at: datetime
    state: str
    why: str = ""


class ReceiptMethod(enum.Enum):
    """What says that the host is off: its BMC's readings, or an operator's word."""

    BMC = "bmc"
    OPERATOR = "operator"


@dataclass(frozen=True)
class Receipt:
    """The proof that the host is off. No step after fencing runs without one.

    An operator's word ends at `until`, a BMC's readings do not. `answer` is the BMC's to the command, `proof` is
    short or long, and `off_s` how long it was off by then; receipts of older releases have none of the three.
    """

    method: ReceiptMethod
    by: str
    at: datetime
    address: str = ""
    identity: str = ""
    readings: tuple[Reading, ...] = ()
    until: datetime | None = None
    why: str = ""
    answer: str = ""
    proof: str = ""
    off_s: float = 0.0

    @property
    def proved(self) -> bool:
        """True unless it is a BMC's of an older release: nobody knows what had caused the off."""
        return self.method is not ReceiptMethod.BMC or bool(self.proof)

    def valid(self, now: datetime) -> bool:
        """True unless it is an operator's word that has expired."""
        return self.until is None or now < self.until


@dataclass(frozen=True)
class ServerProgress:
    """One server of the failed node. `vm_state` is what it was when the host failed.

    `migration` is the one that is followed; `previous` the server's newest one before it was asked for, so that
    the new one can be told from it. `on_volume`: its root disk is a volume. `ephemeral`: it has an ephemeral disk
    too, which lies on its host. `may_run_on`: where a try has failed after Nova gave it to that host, which may have
    started its guest: it is asked for nowhere else.
    """

    name: str
    vm_state: str
    state: ServerState = ServerState.PENDING
    task_state: str = ""
    priority: int = 0
    attempts: int = 0
    target: str = ""
    asked_at: datetime | None = None
    migration: str = ""
    previous: str = ""
    host: str = ""
    done_at: datetime | None = None
    reason: str = ""
    on_volume: bool = False
    ephemeral: bool = False
    may_run_on: str = ""


@dataclass(frozen=True)
class Step:
    """One line of the incident's story."""

    at: datetime
    state: IncidentState
    by: str
    what: str


@dataclass(frozen=True)
class Incident:
    """One failure of one node, from the claim to the archive.

    `before` is the state that a needs-operator incident goes on from. `session` is the driver's token:
    the session that holds, or held, the node's lock. `service_seen` is nova-compute's last report when the
    recovery last looked before it fenced, and then when it was forced down: a later one is a sign of life.
    `permits` are what operators' approvals, taken by claims, let pass in this incident, each to its own end. `asked`
    has how often the operator was asked at each gate since one last confirmed that the host is off. `rebuild` has the
    servers that an operator lets come back with a new disk, each until when.
    """

    node: str
    started: datetime
    state: IncidentState
    driver: str = ""
    session: str = ""
    nova_host: str = ""
    service_id: str = ""
    service_seen: datetime | None = None
    before: IncidentState | None = None
    gate: Gate | None = None
    reason: str = ""
    cause: Cause | None = None
    asked: Mapping[AnyGate, int] = field(default_factory=dict)
    permits: tuple[Permit, ...] = ()
    rebuild: Mapping[str, datetime] = field(default_factory=dict)
    votes: Mapping[str, str] = field(default_factory=dict)
    receipt: Receipt | None = None
    servers: Mapping[str, ServerProgress] = field(default_factory=dict)
    listed: bool = False
    steps: tuple[Step, ...] = ()

    # 2 had packed servers. 3: each permit has its own end, which an older driver would drop from the record.
    VERSION = 3

    @property
    def opened(self) -> datetime:
        """When its story begins: `started` moves with a claim before the fence."""
        return min([self.started, *(step.at for step in self.steps[:1])])

    def goes_on_from(self, before: Incident) -> bool:
        """True where the other is this incident, as it was: `started` alone moves with a claim before the fence."""
        return self.node == before.node and self.steps[:1] == before.steps[:1]

    @property
    def progress_state(self) -> IncidentState:
        """The state that the work itself is in: `before`, where the incident waits for the operator."""
        return self.before if self.state is IncidentState.NEEDS_OPERATOR and self.before else self.state

    @property
    def before_the_fence(self) -> bool:
        """True while the work has not gone beyond cutting the power."""
        return self.progress_state in (IncidentState.CLAIMED, IncidentState.FENCING)

    @property
    def ends_by_itself(self) -> bool:
        """True where what it waits at goes on once the cause has gone."""
        return self.gate is not None and (self.gate.ends_by_itself or (self.gate, self.cause) in UNREAD)

    def proof(self, now: datetime) -> Receipt | None:
        """Return the receipt for as long as it proves that the host is off: an operator's word ends."""
        return self.receipt if self.receipt and self.receipt.valid(now) else None

    def lets_pass(self, gate: Gate, now: datetime) -> bool:
        """True while a permit in it lets the gate pass."""
        return lasting(self.permits, gate, now) is not None

    def noting(self, at: datetime, by: str, what: str) -> Incident:
        """Return the incident with a line more in its story."""
        return replace(self, steps=(*self.steps, Step(at, self.state, by, within(what, MOST_LINE))))

    def asking(self, closed: Closed) -> Incident:
        """Return the incident as it waits for the operator at this gate, having asked once more.

        Where that is a sign of life, nothing goes on by what was granted before it.
        """
        before = self.before if self.state is IncidentState.NEEDS_OPERATOR else self.state
        asked = {**self.asked, closed.gate: self.asked.get(closed.gate, 0) + 1}
        waiting = replace(self, state=IncidentState.NEEDS_OPERATOR, before=before, asked=asked)
        waiting = replace(waiting, gate=closed.gate, reason=within(closed.why, MOST_LINE), cause=closed.cause)
        return waiting.seen_alive() if closed.sign_of_life else waiting

    def seen_alive(self) -> Incident:
        """Return the incident without what operators have granted for it: the word that it is off, what they let
        pass, and new disks. All of that was for a host that did not live.

        Where servers may have been asked for already, the word stays as one that has ended: a proof must replace it.
        """
        ended = replace(self, permits=(), rebuild={})
        if self.receipt is None or self.receipt.method is not ReceiptMethod.OPERATOR:
            return ended
        if self.progress_state in _UP_TO_FENCED:
            return ended._unfenced()
        return replace(ended, receipt=replace(self.receipt, until=self.receipt.at))

    def _unfenced(self) -> Incident:
        """Return the incident without its receipt, on which nothing was done yet."""
        if self.before_the_fence:
            return replace(self, receipt=None)
        if self.state is IncidentState.NEEDS_OPERATOR:
            return replace(self, before=IncidentState.FENCING, receipt=None)
        return replace(self, state=IncidentState.FENCING, receipt=None)

    def with_server(self, server_id: str, progress: ServerProgress) -> Incident:
        """Return the incident with one server's progress replaced."""
        return replace(self, servers={**self.servers, server_id: progress})

    @classmethod
    def from_kv(cls, raw: bytes) -> Incident:
        """Read an incident. Raises BadValue: an incident that cannot be read is never guessed at."""
        value = object_from(raw)
        check_version(value, cls.VERSION)
        try:
            return _fenced_anew(_incident(value))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            raise BadValue(f"is not an incident ({type(error).__name__}: {str(error)[:MOST_SAID]})") from error

    def to_kv(self) -> bytes:
        """Write it; empty fields are left out.

        Where it is too long for Consul the middle of its story is left out too, then the servers are packed, and then
        their names and reasons are cut shorter and shorter: it fits for MOST_SERVERS, whatever they are called.
        """
        raw = self._written(Incident.to_values)
        if len(raw) > MOST_BYTES:
            raw = self._written(Incident._packed)
        most = MOST_REASON
        while len(raw) > MOST_BYTES and most >= LEAST_TEXT:
            shorter = {server: _cut(progress, most) for server, progress in self.servers.items()}
            raw = replace(self, servers=shorter)._written(Incident._packed)
            most //= 2
        return raw

    def _written(self, write: Callable[[Incident], dict[str, Any]]) -> bytes:
        raw = object_to(write(self))
        if len(raw) > MOST_BYTES:
            raw = object_to(write(replace(self, steps=_shortened(self.steps, len(raw) - MOST_BYTES))))
        return raw

    def _packed(self) -> dict[str, Any]:
        values = self.to_values()
        servers = zlib.compress(object_to(values.pop("servers", {})), PACKING)
        return {**values, "packed_servers": base64.b64encode(servers).decode()}

    def to_values(self) -> dict[str, Any]:
        """Return the whole record as a JSON object, nothing packed; empty fields are left out."""
        value: dict[str, Any] = {
            "version": self.VERSION,
            "node": self.node,
            "started": to_stamp(self.started),
            "state": self.state.value,
            "driver": self.driver,
            "session": self.session,
            "nova_host": self.nova_host,
            "service_id": self.service_id,
            "service_seen": _stamp(self.service_seen),
            "before": self.before.value if self.before else None,
            "gate": self.gate.value if self.gate else None,
            "reason": self.reason,
            "cause": self.cause.value if self.cause else None,
            "asked": {gate.value: times for gate, times in self.asked.items()},
            "permits": [permit.to_values() for permit in self.permits],
            "rebuild": {server: to_stamp(until) for server, until in self.rebuild.items()},
            "votes": dict(self.votes),
            "receipt": _receipt_to(self.receipt) if self.receipt else None,
            "listed": self.listed,
            "servers": {server: _progress_to(progress) for server, progress in self.servers.items()},
            "steps": [[to_stamp(s.at), s.state.value, s.by, s.what] for s in self.steps],
        }
        return {name: item for name, item in value.items() if item not in (None, "", [], {})}


def _incident(value: Mapping[str, Any]) -> Incident:
    before, gate, receipt = value.get("before"), value.get("gate"), value.get("receipt")
    if before and IncidentState(before) in ENDS:
        raise ValueError(f"nothing goes on from {before!r}")
    return Incident(
        node=_text(value["node"]),
        started=from_stamp(value["started"]),
        state=IncidentState(value["state"]),
        driver=_text(value.get("driver", "")),
        session=_text(value.get("session", "")),
        nova_host=_text(value.get("nova_host", "")),
        service_id=_text(value.get("service_id", "")),
        service_seen=_moment(value.get("service_seen")),
        before=IncidentState(before) if before else None,
        gate=Gate(gate) if gate else None,
        reason=_text(value.get("reason", "")),
        cause=_cause(_text(value.get("cause", ""))),
        asked={gate_named(_text(name)): _count(times) for name, times in value.get("asked", {}).items()},
        permits=(*_approved(value), *map(Permit.from_values, _list(value.get("permits", [])))),
        rebuild={_text(k): from_stamp(_text(v)) for k, v in value.get("rebuild", {}).items()},
        votes={_text(k): _text(v) for k, v in value.get("votes", {}).items()},
        receipt=_receipt(receipt) if receipt else None,
        servers={_text(k): _progress(v) for k, v in _servers(value).items()},
        listed=value.get("listed", False) is True,
        steps=tuple(
            Step(from_stamp(at), IncidentState(state), _text(by), _text(what))
            for at, state, by, what in value.get("steps", [])
        ),
    )


def _fenced_anew(incident: Incident) -> Incident:
    """Return the incident without a receipt of an older release, where nothing was done on it yet.

    Two readings of off were its whole proof, by a BMC that may be another machine's.
    """
    receipt = incident.receipt
    if receipt is None or receipt.proved or incident.progress_state not in _UP_TO_FENCED:
        return incident
    return incident._unfenced()


def _approved(value: Mapping[str, Any]) -> tuple[Permit, ...]:
    """Return what an older release wrote: gates that pass for as long as the incident is open. They have ended."""
    by = _text(value.get("approved_by", ""))
    return tuple(Permit(gate_named(_text(name)), None, by) for name in _list(value.get("approved", [])))


def within(text: str, most_bytes: int) -> str:
    """Return the text, or as much of its beginning as takes so many bytes."""
    raw = text.encode("utf-8", "replace")
    return text if len(raw) <= most_bytes else raw[:most_bytes].decode("utf-8", "ignore")


def _cut(progress: ServerProgress, most_bytes: int) -> ServerProgress:
    name = within(progress.name, min(MOST_NAME, most_bytes))
    return replace(progress, name=name, reason=within(progress.reason, most_bytes))


def _servers(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the servers' records, unpacked. Raises ValueError, TypeError."""
    if "packed_servers" not in value:
        return value.get("servers", {})  # type: ignore[no-any-return]
    unpacking = zlib.decompressobj()
    try:
        raw = unpacking.decompress(base64.b64decode(_text(value["packed_servers"]), validate=True), MOST_UNPACKED)
    except zlib.error as error:
        raise ValueError(f"its servers cannot be unpacked: {error}") from error
    if not unpacking.eof:
        raise ValueError("its packed servers are cut off, or far too many")
    return object_from(raw)


def _shortened(steps: tuple[Step, ...], bytes_over: int) -> tuple[Step, ...]:
    """Return the story without so many bytes of its middle, with a line that says so."""
    first = steps[:FIRST_STEPS]
    left_out, end = -MARK_BYTES, len(first)
    while left_out < bytes_over and end < len(steps):
        left_out += len(steps[end].what.encode("utf-8", "replace")) + len(steps[end].by)
        end += 1
    marks = [Step(s.at, s.state, s.by, f"({end - len(first)} lines are left out)") for s in steps[end - 1 : end]]
    return (*first, *marks, *steps[end:])


def _receipt_to(receipt: Receipt) -> dict[str, Any]:
    value = {
        "method": receipt.method.value,
        "by": receipt.by,
        "at": to_stamp(receipt.at),
        "address": receipt.address,
        "identity": receipt.identity,
        "readings": [[to_stamp(r.at), r.state, r.why] for r in receipt.readings],
        "until": _stamp(receipt.until),
        "why": receipt.why,
        "answer": receipt.answer,
        "proof": receipt.proof,
        "off_s": receipt.off_s or None,
    }
    return {name: item for name, item in value.items() if item not in (None, "", [])}


def _receipt(value: Mapping[str, Any]) -> Receipt:
    return Receipt(
        method=_method(value["method"]),
        by=_text(value["by"]),
        at=from_stamp(value["at"]),
        address=_text(value.get("address", "")),
        identity=_text(value.get("identity", "")),
        readings=tuple(
            Reading(from_stamp(at), _text(state), _text(why)) for at, state, why in value.get("readings", [])
        ),
        until=_moment(value.get("until")),
        why=_text(value.get("why", "")),
        answer=_text(value.get("answer", "")),
        proof=_text(value.get("proof", "")),
        off_s=_seconds_of(value.get("off_s", 0.0)),
    )


def _seconds_of(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < float("inf"):
        raise TypeError("a field has no seconds")
    return float(value)


def _method(name: Any) -> ReceiptMethod:
    """Return the method. Raises ValueError for one of a newer version: what it proves is not known here."""
    for method in ReceiptMethod:
        if method.value == name:
            return method
    raise ValueError(f"receipt's method is {name!r}")


def _progress_to(progress: ServerProgress) -> dict[str, Any]:
    value = {
        "name": progress.name,
        "vm_state": progress.vm_state,
        "state": progress.state.value,
        "task_state": progress.task_state,
        "priority": progress.priority,
        "attempts": progress.attempts,
        "target": progress.target,
        "asked_at": _stamp(progress.asked_at),
        "migration": progress.migration,
        "previous": progress.previous,
        "host": progress.host,
        "done_at": _stamp(progress.done_at),
        "reason": progress.reason,
        "on_volume": progress.on_volume,
        "ephemeral": progress.ephemeral,
        "may_run_on": progress.may_run_on,
    }
    return {name: item for name, item in value.items() if item not in (None, "", 0) or name == "name"}


def _progress(value: Mapping[str, Any]) -> ServerProgress:
    return ServerProgress(
        name=_text(value["name"]),
        vm_state=_text(value["vm_state"]),
        state=ServerState(value["state"]),
        task_state=_text(value.get("task_state", "")),
        priority=_whole(value.get("priority", 0)),
        attempts=_count(value.get("attempts", 0)),
        target=_text(value.get("target", "")),
        asked_at=_moment(value.get("asked_at")),
        migration=_text(value.get("migration", "")),
        previous=_text(value.get("previous", "")),
        host=_text(value.get("host", "")),
        done_at=_moment(value.get("done_at")),
        reason=_text(value.get("reason", "")),
        on_volume=value.get("on_volume") is True,
        ephemeral=value.get("ephemeral") is True,
        may_run_on=_text(value.get("may_run_on", "")),
    )


def _cause(name: str) -> Cause | None:
    """Return the cause; None for one of a newer version, which decides nothing here."""
    return next((cause for cause in Cause if cause.value == name), None)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a field has {type(value).__name__} instead of text")
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"a field has {type(value).__name__} instead of a whole number")
    return value


def _count(value: Any) -> int:
    if _whole(value) < 0:
        raise ValueError("a field has a negative count")
    return int(value)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"a field has {type(value).__name__} instead of a list")
    return value


def _stamp(moment: datetime | None) -> str | None:
    return to_stamp(moment) if moment else None


def _moment(value: Any) -> datetime | None:
    return from_stamp(_text(value)) if value else None
