"""A gate as it was read: open, closed or not judged, with what was seen as values; and the words for it, once."""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from nova_ha.clock import to_stamp
from nova_ha.cluster.gate import Cause, Closed, Gate
from nova_ha.cluster.incident import Incident
from nova_ha.cluster.node import ComputeNode
from nova_ha.printable import first_few

NAMES_SHOWN = 5


class Judged(enum.Enum):
    """How a gate was found. NOT_JUDGED: what it needs to know is behind another one, which is closed."""

    OPEN = "open"
    CLOSED = "closed"
    NOT_JUDGED = "not judged"


class Then(enum.Enum):
    """What follows where the gate is closed."""

    HOLD = "hold"  # the monitor does not set the node failed
    WAIT = "wait"  # the recovery waits, and the timer tries again
    ASK = "ask"  # the recovery asks the operator
    LOOK_AGAIN = "look again"  # the recovery looks whether nova-compute reports


@dataclass(frozen=True)
class ClocksDiffer:
    """What of the operator's has ended by Nova's clock, and holds still by that of this machine."""

    ended: tuple[str, ...]
    ahead_s: float
    me: str

    def in_words(self) -> str:
        """Return it as the end of a reason."""
        ahead = f"which is {self.ahead_s:.0f} s ahead of that of {self.me}: set the clocks"
        return f"; {' and '.join(self.ended)} has ended by Nova's clock, {ahead}"


@dataclass(frozen=True)
class GateReading:
    """One gate with its evidence, `seen`, as values. A closed one that `approved_by` lets pass counts as open."""

    gate: Gate
    judged: Judged
    seen: Mapping[str, Any] = field(default_factory=dict)
    cause: Cause | None = None
    then: Then = Then.HOLD
    clocks: ClocksDiffer | None = None
    approved_by: str = ""
    approved_until: datetime | None = None

    @classmethod
    def of(cls, gate: Gate, is_open: bool, cause: Cause | None = None, **seen: Any) -> GateReading:
        """Return the reading of a gate that could be judged."""
        return cls(gate, Judged.OPEN if is_open else Judged.CLOSED, seen, cause)

    @classmethod
    def behind(cls, gate: Gate, other: Gate) -> GateReading:
        """Return the reading of a gate that cannot be judged while the other one is closed."""
        return cls(gate, Judged.NOT_JUDGED, {"other": other.value})

    @property
    def open(self) -> bool:
        """True where nothing stands against it here, or an operator lets it pass."""
        return self.judged is Judged.OPEN or bool(self.approved_by)

    @property
    def shut(self) -> bool:
        """True where it is closed, and nobody lets it pass."""
        return self.judged is Judged.CLOSED and not self.approved_by

    @property
    def is_(self) -> str:
        """How it is, in a word or two."""
        return f"approved by {self.approved_by}" if self.approved_by else self.judged.value

    @property
    def evidence(self) -> str:
        """What was seen, in one line, and who lets it pass."""
        if not self.approved_by:
            return in_words(self)
        until = f" until {to_stamp(self.approved_until)}" if self.approved_until else ""
        return f"{in_words(self)}; {self.approved_by} lets it pass{until}"

    @property
    def closed(self) -> Closed:
        """The gate as a refusal names it."""
        return Closed(self.gate, in_words(self), Cause.CLOCKS_DIFFER if self.clocks else self.cause)


def with_approval(
    reading: GateReading, node: ComputeNode, now: datetime, incident: Incident | None = None
) -> GateReading:
    """Return the reading with who lets the gate pass, where it is closed and somebody does.

    Either the node's approval as it is now, or the one that the incident was claimed with.
    """
    if not reading.shut or not reading.gate.approvable:
        return reading
    if incident and reading.gate in incident.approved:
        return replace(reading, approved_by=incident.approved_by or SOMEBODY)
    if node.approval is None or not node.lets_pass(reading.gate, now):
        return reading
    return replace(reading, approved_by=node.approval.by or SOMEBODY, approved_until=node.approval.until)


SOMEBODY = "an operator"

Words = str | Callable[..., str]


def in_words(reading: GateReading) -> str:
    """Return what was seen of the gate, in one line: the words for its cause, or for how it was judged."""
    if reading.judged is Judged.NOT_JUDGED:
        return NOT_JUDGED.format(**reading.seen)
    gate, words = reading.gate, WORDS.get((reading.gate, reading.cause)) if reading.cause else None
    words = words or WORDS[gate, reading.judged]
    line = words.format(**reading.seen) if isinstance(words, str) else words(**reading.seen)
    return line + (reading.clocks.in_words() if reading.clocks else "")


def paused_words(by: str, why: str = "") -> str:
    """Return who lets everything stand still, and what ends it."""
    return f"paused by {by}{_noted(why)}: `nova-ha resume` ends it"


def _noted(why: str) -> str:
    return f" ({why})" if why else ""


def _listed(problems: Collection[object]) -> str:
    return "; ".join(map(str, problems))


def power_words(state: str, why: str) -> str:
    """Return what a reading of the power says."""
    return f"its power cannot be read now: {why}" if state == "unknown" else f"its power is {state} now"


def _compared(trouble: str, shown: str, recorded: str) -> str:
    words = f"recorded {recorded}" if recorded else "none recorded to compare"
    return trouble or f"the BMC shows {shown or 'none'}, {words}"


_O, _C = Judged.OPEN, Judged.CLOSED
NOT_JUDGED = "what it needs to know is behind {other}"

# By the gate and its cause, or else how it was judged.

WORDS: Mapping[tuple[Gate, Judged | Cause], Words] = {
    (Gate.NOT_DUE, _O): "it is to be recovered",
    (Gate.NOT_DUE, _C): "{words}",
    (Gate.WITHDRAWN, _O): "no incident was withdrawn",
    (
        Gate.WITHDRAWN,
        Cause.FAILED_RESET,
    ): "status/failed was reset, but its incident is open: `nova-ha node reset {node}` ends it",
    (Gate.WITHDRAWN, Cause.INCIDENT_OVER): "its open incident is {state}: nothing of it is left to do",
    (Gate.POLICY, _O): "the policy is sound",
    (Gate.POLICY, _C): lambda mistakes: f"{_listed(mistakes)}: see `nova-ha config check`",
    (Gate.UNREADABLE, _O): "all keys can be read",
    (Gate.UNREADABLE, _C): lambda problems: _listed(problems),
    (Gate.PAUSED, _O): "not paused",
    (Gate.PAUSED, _C): paused_words,
    (Gate.MAINTENANCE, _O): "no maintenance",
    (Gate.MAINTENANCE, Cause.ENDED): lambda until, by, why: f"ended {to_stamp(until)}, was by {by}{_noted(why)}",
    (Gate.MAINTENANCE, _C): lambda until, by, why: f"until {to_stamp(until)} by {by}{_noted(why)}",
    (Gate.NO_QUORUM, _O): "{voted} of {registered} HA nodes vote, {needed} needed: {votes}",
    (Gate.NO_QUORUM, _C): "{voted} of {registered} HA nodes vote, {needed} needed: {votes}",
    (Gate.LEFT, _O): "its Consul agent has not left",
    (Gate.LEFT, _C): "its Consul agent has left, as for a planned shutdown",
    (Gate.MAX_FAILED, Cause.FAIL_TOGETHER): "{counted}",
    (Gate.MAX_FAILED, _O): "at most {most} fail together",
    (Gate.MAX_FAILED, _C): lambda nodes, limit, most: (
        f"{len(nodes)} nodes failed together, {limit} allowed: {first_few(sorted(nodes), NAMES_SHOWN)}"
    ),
    (Gate.NOVA_AWAY, _O): "{services} nova-compute services",
    (Gate.NOVA_AWAY, _C): "{trouble}",
    (Gate.ANSWERS, _O): "SSH from {me}: {why}",
    (Gate.ANSWERS, Cause.CANNOT_TELL): "cannot tell from {me}: {why}",
    (Gate.ANSWERS, Cause.SEEN_AGAIN): "the observers see it again: {votes}",
    (Gate.ANSWERS, Cause.ANSWERS_SSH): "it answers SSH from {me}: {why}",
    (Gate.BMC_UNREACHABLE, _O): power_words,
    (Gate.BMC_UNREACHABLE, _C): "{why}",
    (Gate.OWN_HOST, _O): "it is another host than {me}",
    (Gate.OWN_HOST, _C): "{node} is the host that this handler runs on",
    (Gate.NO_TARGET, _O): lambda targets: ", ".join(name or "the scheduler's choice" for name in targets),
    (Gate.NO_TARGET, _C): "no nova-compute is up and enabled to take its servers",
    (Gate.NOT_SILENT, _O): "its BMC reads {state}, and SSH from {me}: {seen}",
    (Gate.NOT_SILENT, _C): "its BMC reads off, but {node} {seen} as seen from {me}",
    (Gate.RECEIPT_EXPIRED, _O): "no word that it is off is waited for",
    (Gate.RECEIPT_EXPIRED, _C): "{reason}",
    (Gate.RUNTIME_CONFIG, _O): "Nova's name is {nova_host}",
    (Gate.RUNTIME_CONFIG, Cause.NAME_MISSING): "{key} is missing: Nova's name unknown",
    (Gate.RUNTIME_CONFIG, Cause.UNKNOWN_TO_NOVA): "Nova knows no nova-compute on a host named {nova_host!r}",
    (Gate.RUNTIME_CONFIG, Cause.TWO_RECORDS): (
        "Nova has {services} records of a nova-compute on a host named {nova_host!r}, as after a move between cells:"
        " delete what is left of it (`openstack compute service delete`)"
    ),
    (Gate.DISABLED_BY_OTHER, _O): lambda how, reason: f"nova-compute is {how} {reason}".strip(),
    (Gate.DISABLED_BY_OTHER, _C): "its nova-compute was {how} by somebody else ({reason!r})",
    (Gate.NO_BMC, _O): "{driver} at {ip}:{port}",
    (Gate.NO_BMC, _C): "{key} is missing: its power cannot be cut",
    (Gate.BMC_IDENTITY, _O): _compared,
    (Gate.BMC_IDENTITY, _C): "the BMC at {ip} is {shown}, expected {recorded}",
    (Gate.APPROVAL, _O): "recovery/mode is {mode}",
    (Gate.APPROVAL, _C): "recovery/mode is {mode}",
    (Gate.REPEAT, _O): "no incident of it began within {window} s",
    (Gate.REPEAT, _C): "its last incident began {began:%Y-%m-%d %H:%M:%SZ}, within {window} s",
    (Gate.NOVA_REPORTS, _O): lambda age_s: (
        f"nova-compute reported {age_s:.0f} s ago" if age_s is not None else "it never reported"
    ),
    (Gate.NOVA_REPORTS, _C): "its nova-compute must be silent for {missing_s:.0f} s more",
    (Gate.NOVA_REPORTS, Cause.STILL_REPORTS): "its nova-compute still reports to Nova: the host lives",
}
