"""What the operator decides: approve, pause, maintenance, confirm-off, retry; reset is in nova_ha.recovery.reset.

Each is one transaction that depends on what was read, and writes `wake` with it where it gives work. Each raises
Refused where doing it would be wrong, ConfigError for what was given wrongly, TryAgain where somebody else wrote
meanwhile (nothing was written then), ConsulError and OutcomeUnknown as nova_ha.consul.store does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from nova_ha.clock import Clock, to_stamp
from nova_ha.cluster.gate import APPROVABLE, APPROVED_BY_DEFAULT, RETRY_LETS_PASS, Gate
from nova_ha.cluster.incident import Incident, IncidentState, Receipt, ReceiptMethod
from nova_ha.cluster.node import Approval, ComputeNode, Maintenance, Pause
from nova_ha.cluster.registry import existing_compute_node, still_registered, wake
from nova_ha.cluster.schema import (
    APPROVAL,
    FAILED,
    LOCK,
    MAINTENANCE,
    NUMBER_FAILS,
    PAUSED,
    RECOVERED,
    open_incident,
)
from nova_ha.cluster.view import ClusterView, OpenIncident, read_view
from nova_ha.consul.store import Store
from nova_ha.consul.transaction import Operation, Rejected, cas, delete_cas, unchanged
from nova_ha.consul.values import MAX_OPERATIONS, MOST_LINE, BadValue, flag_to, line_from
from nova_ha.errors import ConfigError, Refused, TryAgain
from nova_ha.probe.votes import read_votes
from nova_ha.recovery.archive import into_history
from nova_ha.recovery.transitions import WORKING, Event, advance

DEFAULT_APPROVAL = timedelta(hours=1)
DEFAULT_CONFIRMATION = timedelta(hours=1)


@dataclass(frozen=True)
class Approved:
    """What was approved. `still_closed` has the gate that each of the nodes waits at and that is not let pass.

    For `worked_on` and `well` nothing was written: the recovery that works on each of the first waits for nobody, and
    nothing is amiss with the others.
    """

    nodes: tuple[str, ...]
    gates: tuple[Gate, ...]
    until: datetime
    still_closed: Mapping[str, Gate] = field(default_factory=dict)
    worked_on: tuple[str, ...] = ()
    well: tuple[str, ...] = ()


@dataclass(frozen=True)
class Retried:
    """A new incident is due. `archived` is the stamp of the one that was put into history, or empty."""

    node: str
    archived: str = ""


def approve(
    store: Store,
    clock: Clock,
    nodes: Sequence[str],
    *,
    by: str,
    why: str = "",
    gates: Sequence[Gate] = APPROVED_BY_DEFAULT,
    until: datetime | None = None,
) -> Approved:
    """Let the gates pass for one incident of each node, until then (default: 1 h). Replaces an earlier approval.

    Servers that may come back with a new disk may so still, each until its own end.

    It is for the failure that is there now. A driver that is at work would leave it to the node's next incident,
    which nobody has seen, and a node that is well keeps it for its next failure: such nodes get none, and it is
    refused where all are such.
    """
    until = _future(clock, until or clock.now() + DEFAULT_APPROVAL, "an approval")
    if closed := [gate.value for gate in gates if not gate.approvable]:
        known = ", ".join(gate.value for gate in APPROVABLE)
        raise ConfigError(f"no approval lets {', '.join(closed)} pass", remedy=f"it may name {known}")
    approval = Approval(_name(by), _words(why), until, tuple(gates))
    view = read_view(store)
    named = [existing_compute_node(view, node) for node in dict.fromkeys(nodes)]
    busy = [node for node in named if node.lock_session]
    idle = [(node, _occasion(view, node)) for node in named if not node.lock_session]
    well = [node for node, occasion in idle if occasion is None]
    found = [(node, occasion) for node, occasion in idle if occasion]
    if not found:
        raise _nothing_to_approve(busy, well, clock)
    at_once = MAX_OPERATIONS // 4 - 1
    for start in range(0, len(found), at_once):
        group = found[start : start + at_once]
        proofs = [proof for node, there in group for proof in (still_registered(node), lock_free(node), there)]
        given = [(node, _about(approval, clock, node)) for node, _ in group]
        writes = [cas(node.key(APPROVAL), words.to_kv(), node.index(APPROVAL)) for node, words in given]
        commit(store, [*proofs, *writes, wake()])
    waiting = {str(node.name): _waits_at(view, node) for node, _ in found}
    still = {name: gate for name, gate in waiting.items() if gate and gate not in gates}
    return Approved(
        tuple(waiting),
        tuple(gates),
        until,
        still,
        worked_on=tuple(node.name for node in busy),
        well=tuple(node.name for node in well),
    )


def pause(store: Store, clock: Clock, *, by: str, why: str = "") -> tuple[Pause, bool]:
    """Let everything stand still; return the pause in force, and whether it is new. Idempotent: the first stays."""
    view = read_view(store)
    if view.pause:
        return view.pause, False
    pause = Pause(_name(by), _words(why), to_stamp(clock.now()))
    commit(store, [cas(PAUSED, pause.to_kv(), 0)])
    return pause, True


def resume(store: Store) -> Pause | None:
    """Let everything go on; return the pause that has ended, None where there was none."""
    view = read_view(store)
    if view.paused:
        commit(store, [delete_cas(PAUSED, view.pause_index), wake()])
    return view.pause


def maintenance(store: Store, clock: Clock, name: str, *, until: datetime, by: str, why: str = "") -> Maintenance:
    """Let the node be neither counted nor fenced until then. Refused while a driver works on it."""
    wanted = Maintenance(_future(clock, until, "a maintenance"), _name(by), _words(why))
    view = read_view(store)
    node = existing_compute_node(view, name)
    refuse_if_worked_on(view, node, "`nova-ha pause` stops its driver between two steps")
    planned = cas(node.key(MAINTENANCE), wanted.to_kv(), node.index(MAINTENANCE))
    commit(store, [still_registered(node), lock_free(node), planned])
    return wanted


def end_maintenance(store: Store, clock: Clock, name: str) -> bool:
    """End the node's maintenance now; False where there was none.

    The key stays, as when the maintenance ends by itself: counting then starts at 1, though the observers' streaks
    have grown meanwhile. One that cannot be read is removed.
    """
    node = existing_compute_node(read_view(store), name)
    key, index, planned = node.key(MAINTENANCE), node.index(MAINTENANCE), node.maintenance
    if planned and not node.maintained(clock.now()):
        return False
    if planned:
        commit(store, [cas(key, replace(planned, until=clock.now()).to_kv(), index), wake()])
    elif index:
        commit(store, [delete_cas(key, index), wake()])
    return index != 0


def confirm_off(
    store: Store, clock: Clock, name: str, *, by: str, why: str = "", until: datetime | None = None
) -> Receipt:
    """Give the operator's word that the host is off, until then (default: 1 h), to the incident that waits for it.

    Refused where no incident waits for that, a driver works on it, or the observers see the host well.
    """
    until = _future(clock, until or clock.now() + DEFAULT_CONFIRMATION, "a confirmation")
    receipt = Receipt(ReceiptMethod.OPERATOR, _name(by), clock.now(), until=until, why=_words(why))
    view = read_view(store)
    node = existing_compute_node(view, name)
    refuse_if_worked_on(view, node, "wait until it asks for you")
    opened, incident = _waiting_for_a_receipt(view, node)
    votes = read_votes(store, view).of(name)
    # By what they see now: nothing is counted of a host in a maintenance, or whose agent has left, and 0 may be old.
    if votes.agreed(view.quorum) == 0:
        raise Refused(
            f"the observers see {name} well, so it is not off: {votes.in_words()}",
            remedy="see whether you have switched off the right one",
        )
    vouched = replace(incident, receipt=receipt, asked={})
    told = vouched.noting(clock.now(), by, f"confirmed off until {to_stamp(until)}: {why}")
    write = cas(open_incident(name), told.to_kv(), opened.index)
    commit(store, [lock_free(node), _as_read(node, FAILED), _as_read(node, NUMBER_FAILS), write, wake()])
    return receipt


def retry(store: Store, clock: Clock, name: str, *, by: str, why: str = "", rebuild: tuple[str, ...] = ()) -> Retried:
    """Let the recovery open a new incident, with a fresh fence, for what is left on a failed node.

    The servers in `rebuild` may come back with a new disk.

    An incident that waits or was withdrawn is archived. Refused where the node is not failed, or a driver works on
    it or is about to. Idempotent.
    """
    view = read_view(store)
    node = existing_compute_node(view, name)
    if problems := view.problems_of(name):
        raise Refused("; ".join(map(str, problems)), remedy="mend it first: the node is out of automatic action")
    if not node.failed:
        raise Refused(f"{node.key('status/failed')} is False: {name} is not failed", remedy="there is nothing to do")
    refuse_if_worked_on(view, node, "wait until it has finished")
    opened = view.incidents.get(name)
    lets_pass = _retry_approval(clock, node, _name(by), _words(why) or "node retry", rebuild)
    operations = [
        lock_free(node),
        _as_read(node, FAILED),
        cas(node.key(RECOVERED), flag_to(False), node.index(RECOVERED)),
        cas(node.key(APPROVAL), lets_pass.to_kv(), node.index(APPROVAL)),
        *(archived(store, clock, opened, by, "node retry") if opened else [unchanged(open_incident(name), 0)]),
        wake(),
    ]
    commit(store, operations)
    return Retried(name, to_stamp(opened.incident.started) if opened and opened.incident else "")


# --- what reset uses too ---


def refuse_if_worked_on(view: ClusterView, node: ComputeNode, remedy: str) -> None:
    """Raise Refused while the node's lock is held, or its incident cannot be read or is about to be resumed."""
    opened, incident = view.incidents.get(node.name), view.incident(node.name)
    if opened and opened.problem:
        raise Refused(str(opened.problem), remedy="mend it, or remove it with `consul kv delete` when nobody works")
    state = incident.progress_state.value if incident else "no open incident"
    if node.lock_session:
        who = (incident.driver if incident else "") or "somebody"
        raise Refused(f"{node.key(LOCK)} is held: {who} works on {node.name} ({state})", remedy=remedy)
    if incident and incident.state in WORKING and node.failed:
        raise Refused(
            f"{open_incident(node.name)} is {state} and its driver has gone: another HA node takes it over",
            remedy=f"wait for it, or set {node.key('status/failed')} to False to end it",
        )


def archived(store: Store, clock: Clock, opened: OpenIncident, by: str, what: str) -> list[Operation]:
    """Return the operations that move an open incident into history, as withdrawn by the operator."""
    incident = opened.incident
    if incident is None:
        raise Refused(str(opened.problem))
    if incident.state is not IncidentState.WITHDRAWN:
        incident = advance(incident, Event.WITHDRAWN)
    ended = incident.noting(clock.now(), by, what)
    return [
        into_history(store, ended),
        delete_cas(open_incident(incident.node), opened.index),
    ]


def lock_free(node: ComputeNode) -> Operation:
    """Let a transaction pass only if nobody has taken the node's lock since it was read."""
    return _as_read(node, LOCK)


def commit(store: Store, operations: Sequence[Operation]) -> None:
    """Write all of it. Raises TryAgain where something changed since it was read."""
    outcome = store.commit(operations)
    if isinstance(outcome, Rejected):
        raise TryAgain(
            f"{', '.join(sorted(outcome.keys))} changed meanwhile, nothing was written",
            remedy="look at `nova-ha status`, then run the command again",
        )


def _as_read(node: ComputeNode, leaf: str) -> Operation:
    return unchanged(node.key(leaf), node.index(leaf))


def _waiting_for_a_receipt(view: ClusterView, node: ComputeNode) -> tuple[OpenIncident, Incident]:
    opened, incident = view.incidents.get(node.name), view.incident(node.name)
    if opened is None or incident is None or incident.state is not IncidentState.NEEDS_OPERATOR:
        raise Refused(f"{open_incident(node.name)} does not wait for the operator", remedy="see `nova-ha status`")
    if not node.failed:
        raise Refused(
            f"{node.key('status/failed')} is False: nobody goes on", remedy=f"`nova-ha node reset {node.name}`"
        )
    if incident.gate is None or not incident.gate.answered_by_a_receipt:
        gate = incident.gate.value if incident.gate else "an unknown gate"
        raise Refused(
            f"{node.name} waits at {gate} ({incident.reason}): that it is off does not answer this",
            remedy=f"`nova-ha explain {node.name}` says what does",
        )
    return opened, incident


def _occasion(view: ClusterView, node: ComputeNode) -> Operation | None:
    """Return the proof that what an approval of the node is for is there still; None where nothing is."""
    opened = view.incidents.get(node.name)
    if node.failed:
        return _as_read(node, FAILED)
    if opened:
        return unchanged(open_incident(node.name), opened.index)
    return _as_read(node, NUMBER_FAILS) if node.number_fails else None


def _nothing_to_approve(busy: Sequence[ComputeNode], well: Sequence[ComputeNode], clock: Clock) -> Refused:
    if not well:
        names = ", ".join(node.name for node in busy)
        return Refused(f"{names}: a recovery works on it, nothing waits for you", remedy="wait until it asks for you")
    names = ", ".join(node.name for node in well)
    why = f"{names}: there is no failure to approve: number_fails is 0, and no incident is open"
    if planned := [node.name for node in well if node.maintained(clock.now())]:
        return Refused(why, remedy=f"in a maintenance nothing counts: `nova-ha node maintenance {planned[0]} --end`")
    return Refused(why, remedy="approve it once it fails: `nova-ha status` shows it")


def _waits_at(view: ClusterView, node: ComputeNode) -> Gate | None:
    incident = view.incident(node.name)
    return incident.gate if incident and incident.state is IncidentState.NEEDS_OPERATOR else None


def _retry_approval(clock: Clock, node: ComputeNode, by: str, why: str, rebuild: tuple[str, ...]) -> Approval:
    """Return the approval that a retry is. What is in force goes on beside it, each word to its own end."""
    now = clock.now()
    until = now + DEFAULT_APPROVAL
    present = [permit for permit in (node.approval.permits if node.approval else ()) if permit.lasts(now)]
    kept = tuple(p for p in present if p.gate not in RETRY_LETS_PASS or p.lasts(until))
    return Approval(by, why, until, RETRY_LETS_PASS, kept, rebuild, _to_rebuild(clock, node))


def _about(approval: Approval, clock: Clock, node: ComputeNode) -> Approval:
    bmc = node.bmc.recorded if node.bmc and Gate.NO_IDENTITY in approval.gates else ""
    return replace(approval, rebuild_kept=_to_rebuild(clock, node), bmc=bmc)


def _to_rebuild(clock: Clock, node: ComputeNode) -> Mapping[str, datetime]:
    """Return the servers that may come back with a new disk by the words given so far."""
    return node.approval.to_rebuild(clock.now()) if node.approval else {}


def _future(clock: Clock, until: datetime, what: str) -> datetime:
    if until <= clock.now():
        raise ConfigError(f"{what} until {to_stamp(until)} would have ended already", remedy="give a later time")
    return until


def _name(by: str) -> str:
    try:
        return line_from(by.encode())
    except BadValue as bad:
        raise ConfigError(f"the operator's name {bad}", remedy="say who you are") from None


def _words(why: str) -> str:
    if why and not why.isprintable():
        raise ConfigError("the reason has control characters or line breaks", remedy="give it in one line")
    if len(why) > MOST_LINE:
        raise ConfigError(f"the reason has {len(why)} characters, at most {MOST_LINE} are kept")
    return why
