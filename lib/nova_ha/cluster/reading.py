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
from nova_ha.cluster.permit import Permit, lasting
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
    """One gate with its evidence, `seen`, as values. A closed one that `approved_by` lets pass counts as open.

    `ended` is a permit of the gate that has ended, where none lasts.
    """

    gate: Gate
    judged: Judged
    seen: Mapping[str, Any] = field(default_factory=dict)
    cause: Cause | None = None
    then: Then = Then.HOLD
    clocks: ClocksDiffer | None = None
    approved_by: str = ""
    approved_until: datetime | None = None
    ended: Permit | None = None

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
        """How it is, in a word or two. One for which the recovery would look again cannot be judged by one look."""
        if self.approved_by:
            return f"approved by {self.approved_by}"
        waits = self.shut and self.then is Then.LOOK_AGAIN
        return (Judged.NOT_JUDGED if waits else self.judged).value

    @property
    def evidence(self) -> str:
        """What was seen, in one line, and who lets it pass."""
        if not self.approved_by:
            return in_words(self) + (f"; {ended_words(self.ended)}" if self.ended else "")
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

    Either by a permit that a claim has taken into the incident, or by the node's approval as it is now; the time
    decides in both.
    """
    if not reading.shut or not reading.gate.approvable:
        return reading
    permits = permits_of(node, incident)
    if permit := lasting(permits, reading.gate, now):
        return replace(reading, approved_by=permit.by or SOMEBODY, approved_until=permit.until)
    return replace(reading, ended=next((permit for permit in permits if permit.gate is reading.gate), None))


def permits_of(node: ComputeNode, incident: Incident | None) -> tuple[Permit, ...]:
    """Return all that operators let pass for the node, or did: its approval, and what its incident has taken."""
    taken = [permit for permit in incident.permits if permit.about(node.bmc)] if incident else []
    return (*(node.approval.permits if node.approval else ()), *taken)


SOMEBODY = "an operator"


def ended_words(permit: Permit) -> str:
    """Return that the gate is let pass no longer."""
    by = permit.by or SOMEBODY
    if permit.until is None:
        return f"{by} let it pass, without an end that is recorded: that counts no longer"
    return f"{by} let it pass until {to_stamp(permit.until)}: that has ended"


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


def _nothing_recorded(recorded: str | None, shown: str | None) -> str:
    none = "no identity of its BMC is recorded"
    what = f"the recorded identity of its BMC is a placeholder, {recorded!r}" if recorded else none
    return f"{what}: that it is the BMC of this host, nobody can tell" + (f"; it shows {shown}" if shown else "")


def _others_silent(silent: int, others: int, zone: str, names: str) -> str:
    where = f" in zone {zone}" if zone else ""
    why = "message bus, database, or nova/report_interval is wrong"
    return f"{silent} of {others} others{where} are silent too: {why}; silent: {names}"


def _aged(age_s: float | None) -> str:
    """Return what Nova's clocks say: of two machines, so nothing is decided on it."""
    return f"; by Nova's clocks it reported {age_s:.0f} s ago" if age_s is not None else "; it never reported"


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
    (Gate.NOVA_AWAY, Cause.OTHERS_SILENT): _others_silent,
    (Gate.NOVA_AWAY, Cause.OTHERS_RETURN): (
        "{late} of {others} others report again since a short while: its own report may still be on its way"
    ),
    (
        Gate.NOVA_AWAY,
        Cause.NO_OTHERS,
    ): "no other nova-compute is up and enabled on a host that is well: whether it alone is silent, nobody can tell",
    (Gate.ANSWERS, _O): "SSH from {me}: {why}",
    (Gate.ANSWERS, Cause.CANNOT_TELL): "cannot tell from {me}: {why}",
    (Gate.ANSWERS, Cause.FAILS_BRIEFLY): (
        "it has been well since it was set failed, and fails for {agreed} of {threshold} intervals now"
    ),
    (Gate.ANSWERS, Cause.SEEN_AGAIN): "the observers see it again: {votes}",
    (Gate.ANSWERS, Cause.ANSWERS_SSH): "it answers SSH from {me}: {why}",
    (Gate.BMC_UNREACHABLE, _O): power_words,
    (Gate.BMC_UNREACHABLE, _C): "{why}",
    (Gate.SHARED_FIRST, _O): "{me} can bring back what any HA node can",
    (Gate.SHARED_FIRST, _C): lambda me, disks, first, busy: (
        f"{me} would leave {disks} of its servers behind, whose root disks it does not share: "
        f"left to {', '.join(first)}" + (f", once the work on {', '.join(busy)} is done" if busy else "")
    ),
    (Gate.OWN_HOST, _O): "it is another host than {me}",
    (Gate.OWN_HOST, _C): "{node} is the host that this handler runs on",
    (Gate.NO_TARGET, _O): lambda targets: ", ".join(name or "the scheduler's choice" for name in targets),
    (Gate.NO_TARGET, _C): "no nova-compute is up and enabled to take its servers",
    (Gate.NOT_SILENT, _O): "{said}, and SSH from {me}: {seen}",
    (Gate.NOT_SILENT, _C): "{said}, but {node} {seen} as seen from {me}",
    (
        Gate.PORT_REFUSES,
        _C,
    ): "{said}, but the SSH port of {node} refuses {me}: its kernel, or a gateway or firewall before it",
    (Gate.RECEIPT_EXPIRED, _O): "no word that it is off is waited for",
    (Gate.RECEIPT_EXPIRED, _C): "{reason}",
    (Gate.RUNTIME_CONFIG, _O): "Nova's name is {nova_host}",
    (Gate.RUNTIME_CONFIG, Cause.NAME_MISSING): "{key} is missing: Nova's name unknown",
    (
        Gate.RUNTIME_CONFIG,
        Cause.NAME_DIFFERS,
    ): "{key} says that Nova's name is {said!r}, {word_key} says {word!r}",
    (
        Gate.RUNTIME_CONFIG,
        Cause.NAME_NOT_ITS_OWN,
    ): "{key} says that Nova's name is {said!r}, and no operator has said so",
    (Gate.RUNTIME_CONFIG, Cause.NAME_OF_ANOTHER): lambda key, said, others, **_: (
        f"{key} says that Nova's name is {said!r}, which may be {first_few(sorted(others), NAMES_SHOWN)} too, "
        "and no operator has said whose it is"
    ),
    (Gate.RUNTIME_CONFIG, Cause.UNKNOWN_TO_NOVA): "Nova knows no nova-compute on a host named {nova_host!r}",
    (Gate.RUNTIME_CONFIG, Cause.TWO_RECORDS): (
        "Nova has {services} records of a nova-compute on a host named {nova_host!r}, as after a move between cells:"
        " delete what is left of it (`openstack compute service delete`)"
    ),
    (Gate.DISABLED_BY_OTHER, _O): lambda how, reason: f"nova-compute is {how} {reason}".strip(),
    (Gate.DISABLED_BY_OTHER, _C): "its nova-compute was {how} by somebody else ({reason!r})",
    (Gate.TOO_MANY_SERVERS, _O): "{servers} servers are on the host, {most} fit into one incident",
    (Gate.TOO_MANY_SERVERS, _C): "{servers} servers are on the host: the record of an incident has room for {most}",
    (Gate.NO_BMC, _O): "{driver} at {ip}:{port}",
    (Gate.NO_BMC, _C): "{key} is missing: its power cannot be cut",
    (Gate.BMC_IDENTITY, _O): _compared,
    (Gate.BMC_IDENTITY, _C): "the BMC at {ip} is {shown}, expected {recorded}",
    (Gate.BMC_IDENTITY, Cause.ANOTHER_NODES): "the BMC at {ip} is {shown}, which is recorded for {other}",
    (Gate.NO_IDENTITY, _O): lambda trouble, recorded: trouble or "there is an identity to compare",
    (Gate.NO_IDENTITY, Cause.VOUCHED_FOR): "not compared, by {word}",
    (Gate.NO_IDENTITY, Cause.NOT_RECORDED): _nothing_recorded,
    (Gate.NO_IDENTITY, Cause.PLACEHOLDER): _nothing_recorded,
    (
        Gate.NO_IDENTITY,
        Cause.SHOWS_NONE,
    ): lambda trouble, recorded: f"its BMC shows no identity, or a placeholder, to compare with {recorded}",
    (Gate.APPROVAL, _O): "recovery/mode is {mode}",
    (Gate.APPROVAL, _C): "recovery/mode is {mode}",
    (Gate.REPEAT, _O): "no incident of it began within {window} s",
    (Gate.REPEAT, _C): "its last incident began {began:%Y-%m-%d %H:%M:%SZ}, within {window} s",
    (Gate.NOVA_REPORTS, _O): lambda still_s, others, silent: (
        f"no report of its nova-compute within {still_s:.0f} s; {others - silent} of {others} others have reported"
    ),
    (Gate.NOVA_REPORTS, Cause.NEVER_KNOWN): "Nova has no nova-compute of it that could report",
    (Gate.NOVA_REPORTS, _C): lambda missing_s, age_s: (
        f"its nova-compute must be silent for {missing_s:.0f} s more" + _aged(age_s)
    ),
    (
        Gate.NOVA_REPORTS,
        Cause.SEEN_ALIVE,
    ): "its SSH login fails, but its nova-compute reports (seen from {names} since {since}): look at its sshd",
    (Gate.NOVA_REPORTS, Cause.BEING_WATCHED): lambda names, why, since: (
        f"{names} is still looking whether its nova-compute reports" + (f": {why}" if why else "")
    ),
    (Gate.NOVA_REPORTS, Cause.SEEN_SILENT): "its nova-compute has fallen silent, as seen from {names}",
    (Gate.NOVA_REPORTS, Cause.NO_WITNESS): "no HA node watches its nova-compute now",
    (Gate.NOVA_REPORTS, Cause.STILL_REPORTS): "its nova-compute still reports to Nova: the host lives",
    (
        Gate.NOVA_REPORTS,
        Cause.CALLED_UP,
    ): "its nova-compute still reports for Nova, which calls it up: it has reported since its SSH fails",
    (
        Gate.NOVA_REPORTS,
        Cause.BEFORE_THE_WORD,
    ): "its nova-compute has reported just now, before the word that it is off or since: it is looked at again",
    (
        Gate.AGENT_ALIVE,
        Cause.BEFORE_THE_WORD,
    ): "its own Consul agent lives, or is not missed yet since the word that it is off: it is looked at again",
    (Gate.AGENT_ALIVE, _O): "no Consul agent of its own lives",
    (
        Gate.AGENT_ALIVE,
        Cause.TAKES_CONNECTIONS,
    ): "its Consul agent lives, which proves nothing: SSH connections are taken, and then it hangs",
    (Gate.AGENT_ALIVE, Cause.IGNORED): "monitor/witness is ignore: only the last look asks whether its agent lives",
    (
        Gate.AGENT_ALIVE,
        _C,
    ): "no SSH connection is taken, but its own Consul agent lives: look at its sshd, and at the network before it",
}
