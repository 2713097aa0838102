"""The claim: one session, one transaction, all of it or nothing."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from nova_ha.clock import to_stamp
from nova_ha.cluster.duty import fails_anew
from nova_ha.cluster.gate import Cause, Closed, Gate
from nova_ha.cluster.incident import Incident, IncidentState, ReceiptMethod, Step
from nova_ha.cluster.node import Approval, ComputeNode, HANode
from nova_ha.cluster.permit import Permit, decisions, renewed
from nova_ha.cluster.schema import (
    APPROVAL,
    FAILED,
    IDENTITY,
    IDENTITY_WORD,
    IN_USE,
    LEFT,
    LOCK,
    MAINTENANCE,
    NOVA_HOST,
    PAUSED,
    RECOVERED,
    RECOVERY_SEMAPHORE,
    compute_node,
    ha_node,
    open_incident,
)
from nova_ha.cluster.view import ClusterView
from nova_ha.consul.lock import HeldLock
from nova_ha.consul.semaphore import Full, LimitConflict, Semaphore
from nova_ha.consul.session import Session
from nova_ha.consul.transaction import Committed, Operation, Rejected, cas, delete, delete_cas, lock, put, unchanged
from nova_ha.consul.values import SessionID, flag_to
from nova_ha.errors import ConfigError
from nova_ha.printable import first_few
from nova_ha.recovery.driver_clients import DriverClients
from nova_ha.recovery.findings import Findings
from nova_ha.recovery.transitions import WORKING, Event, advance, works_on

# For so long a claim may rest on a look. It takes some 10 s where the BMC is slow.
LOOK_LASTS_S = 30.0
SERVERS_SHOWN = 5


@dataclass(frozen=True)
class Claimed:
    """The node is ours: the incident as written, with its ModifyIndex, and the proof of the lock."""

    incident: Incident
    index: int
    session: Session
    held: HeldLock


@dataclass(frozen=True)
class NotClaimed:
    """It is not ours. `stale` says that something changed since it was read: worth another look at once."""

    closed: Closed
    stale: bool = False


def claim(clients: DriverClients, findings: Findings, node: ComputeNode) -> Claimed | NotClaimed:
    """Claim the node, or take its incident over. Raises ConsulError."""
    if closed := busy(findings.view, clients.me):
        return NotClaimed(closed)
    policy = findings.view.policy
    semaphore = findings.semaphore or Semaphore.read(clients.store, RECOVERY_SEMAPHORE)
    session = Session.create(clients.store, f"nova-ha {node.name}", policy.session_ttl, policy.session_lock_delay)
    session.keep_alive()
    claimed: Claimed | NotClaimed | None = None
    try:
        claimed = _claim_with(session, semaphore, clients, findings, node)
    finally:
        # Where the answer was lost: if it did not happen yet it cannot any more, its session is gone; if it did,
        # the incident is an orphan, and resumed.
        if not isinstance(claimed, Claimed):
            session.end()
    return claimed


def busy(view: ClusterView, name: str) -> Closed | None:
    """Return why this HA node can claim nothing now, or None."""
    me = view.ha_nodes.get(name)
    if me is None:
        return Closed(Gate.HA_NODE_BUSY, f"{name} is no HA node any more")
    if me.in_use and not _left_in_use(view, me):
        return Closed(Gate.HA_NODE_BUSY, f"{me.key(IN_USE)} is True: {name} works on another node")
    return None


def _claim_with(
    session: Session, semaphore: Semaphore, clients: DriverClients, findings: Findings, node: ComputeNode
) -> Claimed | NotClaimed:
    policy, me = findings.view.policy, findings.view.ha_nodes[clients.me]
    opened = findings.view.incidents.get(node.name)
    incident = opened.incident if opened else None
    try:
        taken = semaphore.take(session.id, policy.recovery_limit)
    except ConfigError as error:
        return NotClaimed(Closed(Gate.UNREADABLE, str(error)))
    if isinstance(taken, Full | LimitConflict):
        return NotClaimed(Closed(Gate.LIMIT, f"recovery/limit: {len(semaphore.live)} incidents are worked on"))
    ours = claimed_incident(clients, findings, node, incident, session.id)
    operations = [
        *as_read(findings.view, node),
        _approval_taken(node),
        *recovered_set(node),
        lock(node.key(LOCK), session.id),
        lock(me.key(LOCK), session.id),
        *taken,
        cas(me.key(IN_USE), flag_to(True), me.index(IN_USE)),
        *(owner_freed(findings.view, incident) if incident and incident.driver != clients.me else []),
        cas(open_incident(node.name), ours.to_kv(), opened.index if opened else 0),
    ]
    held = HeldLock(clients.store, clients.clock, session, node.key(LOCK), policy.session_lock_delay)
    before = clients.clock.monotonic()
    if before - findings.began_s > LOOK_LASTS_S:
        # As when this machine was suspended: the host may be back, and the lock proves only what comes after it.
        return NotClaimed(Closed(Gate.LOCKED, f"the last look at {node.name} is too old to claim it"), stale=True)
    outcome = clients.store.commit(operations)
    if isinstance(outcome, Rejected):
        return refused(outcome, node)
    held.proven(before)
    return Claimed(ours, outcome.indexes[open_incident(node.name)], session, held)


def as_read(view: ClusterView, node: ComputeNode) -> Sequence[Operation]:
    """Return the operations that let a transaction pass only if nobody changed what allowed it."""
    return [
        unchanged(node.key(FAILED), node.index(FAILED)),
        unchanged(node.key(MAINTENANCE), node.index(MAINTENANCE)),
        unchanged(node.key(LEFT), node.index(LEFT)),
        unchanged(node.key(NOVA_HOST), node.index(NOVA_HOST)),
        *(unchanged(node.key(leaf), node.index(leaf)) for leaf in (IDENTITY, IDENTITY_WORD)),
        unchanged(PAUSED, view.pause_index),
    ]


def _approval_taken(node: ComputeNode) -> Operation:
    """Return the operation that takes the approval as it was read; one that came later is for the operator to see."""
    key, index = node.key(APPROVAL), node.index(APPROVAL)
    return delete_cas(key, index) if index else unchanged(key, 0)


def recovered_set(node: ComputeNode) -> Sequence[Operation]:
    """Return the operations that set `recovered`, at an index after the one of `failed`: duty() goes by their order.

    An equal value would leave the index as it was.
    """
    key, index = node.key(RECOVERED), node.index(RECOVERED)
    if node.recovered and index < node.index(FAILED):
        return [cas(key, flag_to(False), index), put(key, flag_to(True))]
    return [cas(key, flag_to(True), index)]


def claimed_incident(
    clients: DriverClients, findings: Findings, node: ComputeNode, incident: Incident | None, session: str
) -> Incident:
    """Return the incident as the claim writes it: a new one, or the present one with a new driver."""
    now = clients.clock.now()
    approval = node.approval
    if incident is None:
        incident = new_incident(findings, node)
        what = "claimed: " + findings.votes.in_words()
    elif incident.state is IncidentState.NEEDS_OPERATOR:
        what = f"goes on after {incident.gate.value if incident.gate else 'a stop'}"
        receipt, gate = incident.proof(findings.latest_now), incident.gate
        let_pass = gate and approval and approval.lets_pass(gate, findings.latest_now)
        by_itself = gate and gate.ends_by_itself and not (let_pass or gate.answered_by_a_receipt)
        if receipt and receipt.method is ReceiptMethod.OPERATOR and not by_itself:
            incident = _with_last_report(incident, findings)
        incident = advance(incident, Event.GONE_ON)
    else:
        what = f"taken over from {incident.driver}"
    # What the fence compares with is what this look has seen, unless the power was cut long ago. A word that has
    # expired is none.
    if incident.before_the_fence and incident.nova_host != node.nova_host:
        incident = _with_nova_seen(incident, findings, node)  # an operator has corrected it meanwhile
    if incident.before_the_fence:
        # What may have waited for days is fenced now: it counts for the storm guard, and as a repeat, from now on.
        incident = replace(incident, started=findings.started())
    unproved = incident.before_the_fence and incident.proof(findings.latest_now) is None
    permits = [p for p in approval.permits if p.lasts(findings.latest_now)] if approval else []
    taken = [permit for permit in incident.permits if permit.about(node.bmc)]
    given = [Step(now, incident.state, by, words) for by, words in _told(permits)]
    if approval and (rebuild := to_rebuild(approval, findings.latest_now)):
        words = f"lets {first_few([*rebuild], SERVERS_SHOWN)} come back with a new disk"
        given.append(Step(now, incident.state, approval.by, words))
    return replace(
        replace(_with_nova_seen(incident, findings, node), receipt=None) if unproved else incident,
        driver=clients.me,
        session=session,
        permits=renewed(taken, permits, findings.latest_now),
        rebuild={**incident.rebuild, **to_rebuild(approval, findings.latest_now)},
        steps=(*incident.steps, *given, Step(now, incident.state, clients.me, what)),
    )


def to_rebuild(approval: Approval | None, now: datetime) -> Mapping[str, datetime]:
    """Return the servers that the approval lets come back with a new disk, each until when."""
    return approval.to_rebuild(now) if approval else {}


def _told(permits: Sequence[Permit]) -> Iterator[tuple[str, str]]:
    """Yield who lets what pass, for the story: the permit itself goes once it has ended and another one is given."""
    for (by, until, why), gates in decisions(permits).items():
        names = ", ".join(gate.value for gate in gates)
        end = f" until {to_stamp(until)}" if until else ""
        yield by, f"lets {names} pass{end}{f': {why}' if why else ''}"


def new_incident(findings: Findings, node: ComputeNode) -> Incident:
    """Return the incident of a node that has none."""
    streaks = findings.votes.streaks
    return Incident(
        node=node.name,
        started=findings.started(),
        state=IncidentState.CLAIMED,
        votes={
            observer: f"{streak}x failing" if streak else ("well" if streak == 0 else "no vote")
            for observer, streak in streaks.items()
        },
    )


def _with_nova_seen(incident: Incident, findings: Findings, node: ComputeNode) -> Incident:
    """Return the incident with what the last look saw of the node in Nova; fencing compares with it."""
    reading = findings.service_of(node.nova_host or "")
    if reading is None:
        return replace(incident, nova_host=node.nova_host or "")
    service = reading.service
    return replace(incident, nova_host=service.host, service_id=service.id, service_seen=service.updated_at)


def _with_last_report(incident: Incident, findings: Findings) -> Incident:
    """Return the incident with nova-compute's last report as it is by now: an operator vouches for its power.

    A host that has lived meanwhile has reported, and was seen to be off again by whoever says so. Over a BMC's
    reading no report is forgotten: that the host lives is what it would show.
    """
    reading = findings.service_of(incident.nova_host)
    return replace(incident, service_seen=reading.service.updated_at) if reading else incident


def owner_freed(view: ClusterView, incident: Incident | None) -> Sequence[Operation]:
    """Return the operation that frees the HA node of a driver that died, unless it works on another incident."""
    owner = view.ha_nodes.get(incident.driver) if incident else None
    if owner is None or not owner.in_use or [*works_on(view, owner)] != [incident]:
        return []
    return [cas(owner.key(IN_USE), flag_to(False), owner.index(IN_USE))]


def _left_in_use(view: ClusterView, me: HANode) -> bool:
    """True where `in_use` was left by a driver that died: nobody works here, and nobody has reserved it."""
    return not me.lock_session and any(works_on(view, me))


def refused(outcome: Rejected, node: ComputeNode) -> NotClaimed:
    """Name why a claim's transaction was refused."""
    for failure in outcome.failures:
        if failure.lock_delayed:
            return NotClaimed(Closed(Gate.LOCK_DELAY, f"{failure.operation.key}: its last holder's lock delay runs"))
    for failure in outcome.failures:
        if failure.held_by_another:
            return NotClaimed(Closed(Gate.LOCKED, f"{failure.operation.key} is held: somebody works on it"))
    return NotClaimed(Closed(Gate.LOCKED, f"{node.name} changed while it was claimed ({outcome})"), stale=True)


class Opened(enum.Enum):
    """Whether an incident waits for the operator now: it was written, it did already, or something has changed."""

    WRITTEN = "written"
    STANDS = "stands"
    CHANGED = "changed"


def open_for_operator(clients: DriverClients, findings: Findings, node: ComputeNode, closed: Closed) -> Opened:
    """Open the incident as one that waits for the operator, or let the present one wait for this reason.

    One transaction, no lock. Nothing is written where it waits at that gate already, but once that a clock is ahead,
    where it was granted something meanwhile that a sign of life ends, and each time that the host had failed anew:
    the next time counts from there.
    """
    opened = findings.view.incidents.get(node.name)
    incident = (opened.incident if opened else None) or new_incident(findings, node)
    clocks = closed.cause is Cause.CLOCKS_DIFFER and incident.cause is not Cause.CLOCKS_DIFFER
    # It may live only now, as where Nova had called it up at first.
    refuted = closed.sign_of_life and incident.seen_alive() != incident
    news = clocks or refuted or fails_anew(findings.view, node)
    waits = incident.state is IncidentState.NEEDS_OPERATOR and incident.gate is closed.gate
    if waits and node.recovered and not news:
        return Opened.STANDS
    name = node.nova_host if incident.before_the_fence else incident.nova_host
    named = replace(incident, nova_host=name or incident.nova_host)
    waiting = named.asking(closed).noting(clients.clock.now(), clients.me, str(closed))
    outcome = clients.store.commit(
        [
            *as_read(findings.view, node),
            unchanged(node.key(LOCK), node.index(LOCK)),
            *recovered_set(node),
            *(owner_freed(findings.view, incident) if incident.state in WORKING else []),
            cas(open_incident(node.name), waiting.to_kv(), opened.index if opened else 0),
        ]
    )
    return Opened.WRITTEN if isinstance(outcome, Committed) else Opened.CHANGED


def released(clients: DriverClients, session: SessionID, node: str) -> Sequence[Operation]:
    """Return the operations that give back all that the claim took: locks, place, `in_use`. Raises ConsulError."""
    semaphore = Semaphore.read(clients.store, RECOVERY_SEMAPHORE)
    in_use = clients.store.get(ha_node(clients.me, IN_USE))
    # Written anew, an absent one would bring back an HA node that somebody has removed.
    free = [cas(in_use.key, flag_to(False), in_use.index)] if in_use else []
    return [
        delete(compute_node(node, LOCK)),
        delete(ha_node(clients.me, LOCK)),
        *semaphore.give_up(session),
        *free,
    ]
