"""What is to be done about a node, from the KV values alone, whoever wrote them."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import Incident, IncidentState, ReceiptMethod, ServerState
from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.schema import FAILED, NUMBER_FAILS, RECOVERED
from nova_ha.cluster.view import ClusterView
from nova_ha.cluster.waits import in_words


class Duty(enum.Enum):
    """What is to be done about a node."""

    NOTHING = "nothing"
    DONE = "done"
    LEFT_BEHIND = "left-behind"
    CLAIM = "claim"
    RESUME = "resume"
    TRY_AGAIN = "try-again"
    WORKED_ON = "worked-on"
    WAITS_FOR_OPERATOR = "waits-for-operator"
    ODD = "odd"
    UNREADABLE = "unreadable"

    @property
    def due(self) -> bool:
        """True when a recovery is to be started: to claim, to go on, or to see whether the cause has gone."""
        return self in (Duty.CLAIM, Duty.RESUME, Duty.TRY_AGAIN)


@dataclass(frozen=True)
class Task:
    """The duty for one node, with the reason in one line for the operator (without the node's name)."""

    duty: Duty
    words: str


class Stage(enum.Enum):
    """What there is of an incident, as the table distinguishes it.

    PAST: none is open, but history has one; LEFT_BEHIND: the same, and servers of it failed; PAST_FAILURE: `failed`
    was set after `recovered` was. FAILS_ANEW: it waits, the host has answered, and the observers see it fail again.
    """

    NONE = "none"
    PAST = "past"
    LEFT_BEHIND = "left-behind"
    PAST_FAILURE = "past-failure"
    OPEN = "open"
    WAITS = "waits"
    CAUSE_MAY_END = "cause-may-end"
    FAILS_ANEW = "fails-anew"
    LET_PASS = "let-pass"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Row:
    """A row of the table; None stands for any value. The words may name fields of `_facts`."""

    failed: bool | None
    recovered: bool | None
    stages: frozenset[Stage] | None
    held: bool | None
    duty: Duty
    words: str

    def applies(self, failed: bool, recovered: bool, stage: Stage, held: bool) -> bool:
        """True when the row is about these values."""
        return (
            self.failed in (None, failed)
            and self.recovered in (None, recovered)
            and (self.stages is None or stage in self.stages)
            and self.held in (None, held)
        )


_NO_INCIDENT = frozenset({Stage.NONE, Stage.PAST, Stage.LEFT_BEHIND, Stage.PAST_FAILURE})
_WAITING = frozenset({Stage.WAITS, Stage.CAUSE_MAY_END, Stage.FAILS_ANEW, Stage.LET_PASS})
_ANY_OPEN = _WAITING | {Stage.OPEN}

# The first row that applies counts. docs/architecture.md, "Keys changed by hand", has it as a page.
TABLE: tuple[Row, ...] = (
    Row(None, None, frozenset({Stage.UNREADABLE}), None, Duty.UNREADABLE, "{problem}"),
    Row(False, False, _NO_INCIDENT, False, Duty.NOTHING, "watched"),
    Row(
        False,
        True,
        _NO_INCIDENT,
        False,
        Duty.ODD,
        "watched, but status/recovered is True while status/failed is False: `nova-ha node reset {node}` clears it",
    ),
    Row(True, False, _NO_INCIDENT, False, Duty.CLAIM, "failed, to be recovered"),
    Row(True, True, frozenset({Stage.OPEN}), True, Duty.WORKED_ON, "{state}, {driver} works on it"),
    Row(True, True, frozenset({Stage.OPEN}), False, Duty.RESUME, "{state}, and {driver} has gone: to be resumed"),
    Row(
        True,
        True,
        frozenset({Stage.LET_PASS}),
        False,
        Duty.RESUME,
        "an operator lets {gate} pass: to be resumed",
    ),
    Row(
        True,
        True,
        frozenset({Stage.FAILS_ANEW}),
        False,
        Duty.RESUME,
        "it fails again, after it had answered: to be resumed",
    ),
    Row(
        True,
        True,
        frozenset({Stage.CAUSE_MAY_END}),
        False,
        Duty.TRY_AGAIN,
        "waits for the operator, or until the cause has gone: {reason}",
    ),
    Row(True, True, frozenset({Stage.WAITS}), False, Duty.WAITS_FOR_OPERATOR, "waits for the operator: {reason}"),
    Row(
        True,
        True,
        frozenset({Stage.PAST}),
        False,
        Duty.DONE,
        "recovered; `nova-ha node reset {node}` once the host is repaired",
    ),
    Row(
        True,
        True,
        frozenset({Stage.LEFT_BEHIND}),
        False,
        Duty.LEFT_BEHIND,
        "recovered, but {left}",
    ),
    Row(
        True,
        True,
        frozenset({Stage.PAST_FAILURE}),
        False,
        Duty.ODD,
        "failed again, but status/recovered is still True from before: nobody acts; "
        "`nova-ha node retry {node}` recovers it",
    ),
    Row(
        True,
        True,
        frozenset({Stage.NONE}),
        False,
        Duty.ODD,
        "recovered, but no record: nobody acts; `nova-ha node retry {node}` recovers it",
    ),
    Row(True, False, _ANY_OPEN, False, Duty.RESUME, "{state}, and status/recovered was set to False: to be resumed"),
    Row(True, False, _ANY_OPEN, True, Duty.WORKED_ON, "{state}, {driver} works on it (status/recovered was reset)"),
    Row(
        False,
        None,
        _ANY_OPEN,
        True,
        Duty.WORKED_ON,
        "status/failed was reset during {state}: {driver} stops before its next effect",
    ),
    Row(
        False,
        None,
        _ANY_OPEN,
        False,
        Duty.WAITS_FOR_OPERATOR,
        "status/failed was reset during {state}: `nova-ha node reset {node}` ends the incident",
    ),
    Row(None, None, _NO_INCIDENT, True, Duty.WORKED_ON, "its incident is gone: the driver that holds the lock stops"),
    # An incident that waits holds no lock, so this one is about to go on, or to wait.
    Row(True, True, _WAITING, True, Duty.WORKED_ON, "{state}, {driver} works on it"),
)


def duty(view: ClusterView, node: str, now: datetime) -> Task:
    """Return what is to be done about the node; pauses, maintenance and other gates are not asked here."""
    found = view.compute_nodes.get(node)
    if found is None:
        return _unregistered(view, node)
    stage = _stage(view, found, now)
    held = bool(found.lock_session)
    row = next(row for row in TABLE if row.applies(found.failed, found.recovered, stage, held))
    words = row.words.format(**_facts(view, node))
    notes = ((ha_node.name, ha_node.waits) for ha_node in view.ha_nodes.values())
    incident = view.incident(node)
    waits = in_words(notes, node, incident.gate if incident else None) if row.duty.due else ""
    return Task(row.duty, f"{words}: waits at {waits}" if waits else words)


def duties(view: ClusterView, now: datetime) -> Mapping[str, Task]:
    """Return the duty for every node that is registered or has an open incident, by name, in order."""
    return {node: duty(view, node, now) for node in sorted({*view.compute_nodes, *view.incidents})}


def _unregistered(view: ClusterView, node: str) -> Task:
    if node in view.incidents:
        return Task(Duty.ODD, "has an open incident, but is not registered: `nova-ha node add` brings it back")
    return Task(Duty.NOTHING, "is not registered")


def _stage(view: ClusterView, node: ComputeNode, now: datetime) -> Stage:
    incident = view.incident(node.name)
    if _problem(view, node.name):
        return Stage.UNREADABLE
    if incident is None:
        return _stage_without_incident(view, node)
    if incident.state is IncidentState.WITHDRAWN:
        return Stage.WAITS
    if incident.state is not IncidentState.NEEDS_OPERATOR:
        return Stage.OPEN
    if _let_pass(node, incident, now):
        return Stage.LET_PASS
    if fails_anew(view, node):
        return Stage.FAILS_ANEW
    return Stage.CAUSE_MAY_END if incident.ends_by_itself else Stage.WAITS


def fails_anew(view: ClusterView, node: ComputeNode) -> bool:
    """True where its incident waits, and the observers have seen the host well, and fail as at first, since then.

    Until the fence only: one that was well after it has shown that it lives, and that is for the operator.
    The monitor counts a failed node again from the first interval on in which a quorum sees it well.
    """
    opened = view.incidents.get(node.name)
    incident = opened.incident if opened else None
    if opened is None or incident is None or incident.gate is None or not incident.gate.ends_by_failing:
        return False
    if not incident.before_the_fence:
        return False
    counted = node.number_fails >= view.policy.monitor_fail_threshold
    return counted and node.index(NUMBER_FAILS) > opened.index


def _stage_without_incident(view: ClusterView, node: ComputeNode) -> Stage:
    if not any(past.node == node.name for past in view.closed):
        return Stage.NONE
    # Consul's indexes are the only order that does not hang on anybody's clock.
    again = node.index(FAILED) > node.index(RECOVERED)
    if again:
        return Stage.PAST_FAILURE
    return Stage.LEFT_BEHIND if view.left_behind.get(node.name) else Stage.PAST


def _let_pass(node: ComputeNode, incident: Incident, now: datetime) -> bool:
    if incident.gate is None:
        return False
    if incident.gate is Gate.WITHDRAWN:
        return node.failed  # it was reset, and is set again
    if node.approval and node.approval.lets_pass(incident.gate, now):
        return True
    receipt = incident.receipt
    confirmed = receipt is not None and receipt.method is ReceiptMethod.OPERATOR and receipt.valid(now)
    return confirmed and incident.gate.answered_by_a_receipt


def _problem(view: ClusterView, node: str) -> str:
    return "; ".join(map(str, view.all_problems_of(node)))


def _left_words(node: str, left: Mapping[ServerState, int]) -> str:
    failed, on_host = left.get(ServerState.FAILED, 0), left.get(ServerState.LEFT, 0)
    named = f"`nova-ha history {node}` names them"
    retry, rebuild = f"`nova-ha node retry {node}`", f"`nova-ha node rebuild-server {node} SERVER`"
    if not on_host:
        return f"{failed} of its servers failed: {named}, then {retry}"
    of = "of its servers were left, their root disks are on it"
    words = f"{on_host} {of}: {named}, then repair it, or {rebuild} for a new disk"
    return f"{failed} of its servers failed, {retry} tries them again; {words}" if failed else words


def _facts(view: ClusterView, node: str) -> dict[str, str]:
    incident = view.incident(node)
    left = _left_words(node, view.left_behind.get(node, {}))
    facts = {"node": node, "left": left, "problem": f"out of automatic action: {_problem(view, node)}"}
    if incident is None:
        return {**facts, "state": "", "driver": "", "reason": "", "gate": ""}
    gate = incident.gate.value if incident.gate else ""
    return {
        **facts,
        "state": incident.progress_state.value,
        "driver": incident.driver or "its driver",
        "gate": gate,
        "reason": ": ".join(part for part in (gate, incident.reason) if part) or "no reason is recorded",
    }
