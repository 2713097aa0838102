"""The return of a node: the operator repaired the host, and puts it back to work."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from nova_ha.clock import Clock, to_stamp
from nova_ha.cluster.incident import Incident
from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.registry import existing_compute_node, wake
from nova_ha.cluster.schema import (
    APPROVAL,
    FAILED,
    LEFT,
    LOCK,
    NOVA_HOST,
    NUMBER_FAILS,
    OUR_REASON,
    RECOVERED,
    RESERVE_REASON,
    open_incident,
)
from nova_ha.cluster.shared_gates import doubted_name, name_mending
from nova_ha.cluster.view import ClusterView, read_view
from nova_ha.compute import Compute, ComputeService, Migration, ServerID
from nova_ha.compute.states import MigrationStatus
from nova_ha.consul.lock import HeldLock
from nova_ha.consul.session import LockLost, Session
from nova_ha.consul.store import Store
from nova_ha.consul.transaction import Operation, Rejected, cas, delete, delete_cas, lock, unchanged
from nova_ha.consul.values import flag_to
from nova_ha.errors import BMCError, ConfigError, HAError, NovaError, OutcomeUnknown, Refused, TryAgain
from nova_ha.limits import BMC_READING_S
from nova_ha.power import BMC, PowerState
from nova_ha.power.device import FenceDevice
from nova_ha.power.identity import Match, compared
from nova_ha.printable import first_few
from nova_ha.probe.votes import read_votes
from nova_ha.recovery.archive import last_incident
from nova_ha.recovery.claim import owner_freed
from nova_ha.recovery.driver_clients import Answer, Sight
from nova_ha.recovery.findings import SIGHT_LIMIT_S
from nova_ha.recovery.operator import archived, refuse_if_worked_on
from nova_ha.recovery.servers import before_it_starts, queued
from nova_ha.recovery.silence import reported
from nova_ha.recovery.transitions import WORKING

log = logging.getLogger(__name__)

T = TypeVar("T")

# A restarted nova-compute needs 9 s to report, and up to 60 s until it has cleaned its evacuated servers.
PATIENCE_S = 180.0
PAUSE_S = 2.0
KEY_TRIES = 5
REPORTS_NEEDED = 2


@dataclass(frozen=True)
class Returned:
    """The node is back. `archived` is the stamp of the incident that was put into history, or empty.

    `left_disabled` is the reason with which somebody else disabled its service: it was left so; else empty.
    """

    node: str
    archived: str = ""
    left_disabled: str = ""


@dataclass
class _Return:
    """One return in the making, under the node's lock."""

    store: Store
    clock: Clock
    compute: Compute
    node: ComputeNode
    view: ClusterView
    by: str
    held: HeldLock
    progress: Callable[[str], None]
    until: float
    told: str = ""

    def tell(self, what: str) -> None:
        """Say it, unless it was the last thing said."""
        if what != self.told:
            self.progress(what)
            self.told = what


def reset(
    store: Store,
    clock: Clock,
    name: str,
    compute: Compute,
    sight: Callable[[ComputeNode, float], Sight],
    *,
    by: str,
    bmc: Callable[[FenceDevice], BMC] | None = None,
    progress: Callable[[str], None] = lambda line: None,
    patience_s: float = PATIENCE_S,
) -> Returned:
    """Bring the node back: see that it lives and is clean, free it in Nova, and reset its status keys.

    Tells `progress` what waits in its queue for servers that run elsewhere, and then what it waits for itself, for at
    most `patience_s`. Refused while a driver works on
    it, it does not answer SSH, its BMC reads off or is another machine's, or Nova does not see it well; whatever was
    done then stays, and a second run goes on. `bmc` connects to its fence device. Idempotent.
    Raises what nova_ha.recovery.operator does, and NovaError.
    """
    view = read_view(store)
    node = existing_compute_node(view, name)
    refuse_if_worked_on(view, node, "wait until it has finished, or stop it with `nova-ha pause`")
    _tell_what_waits(store, view, node, progress)
    _refuse_if_silent(sight(node, SIGHT_LIMIT_S), node)
    if bmc and node.bmc:
        _refuse_if_off(bmc(node.bmc), node.bmc, node)
    policy = view.policy
    with Session.create(store, f"nova-ha reset {name}", policy.session_ttl, policy.session_lock_delay) as session:
        held = HeldLock(store, clock, session, node.key(LOCK), policy.session_lock_delay)
        _take_lock(store, clock, view, node, held)
        try:
            returning = _Return(store, clock, compute, node, view, by, held, progress, clock.monotonic() + patience_s)
            left_disabled = _free_in_nova(returning)
            _await_seen(returning)
            return Returned(name, _reset_keys(returning), left_disabled)
        except BaseException:
            _let_go(held)
            raise


def _tell_what_waits(store: Store, view: ClusterView, node: ComputeNode, progress: Callable[[str], None]) -> None:
    """Warn of tasks that wait in the host's queue: at best before its nova-compute has started, so first of all."""
    incident = view.incident(node.name)
    incident = incident if incident and incident.listed else last_incident(store, node.name)
    if incident and (waiting := queued(incident)):
        progress(before_it_starts(incident.nova_host, waiting))


def _refuse_if_silent(seen: Sight, node: ComputeNode) -> None:
    if seen.answer is not Answer.ANSWERS:
        how = "does not answer SSH" if seen.answer is Answer.SILENT else "cannot be looked at"
        raise Refused(f"{node.name} {how} at {node.ssh.address} ({seen.why})", remedy="bring the host up first")


def _refuse_if_off(bmc: BMC, device: FenceDevice, node: ComputeNode) -> None:
    """Raise Refused where its BMC reads off, or is another one than the recorded; one that is away says nothing."""
    try:
        shown = bmc.identity(BMC_READING_S)
    except BMCError:
        return
    if compared(device.identity, shown) is Match.DIFFERS:
        remedy = f"if the BMC was replaced: `nova-ha node set {node.name} --probe`; else mend --bmc-ip"
        raise Refused(f"the BMC at {device.address} is {shown}, expected {device.identity}", remedy=remedy)
    if bmc.power(BMC_READING_S).state is PowerState.OFF:
        why = f"the BMC at {device.address} reads off, though {node.name} answers SSH"
        raise Refused(why, remedy=f"mend --bmc-ip: `nova-ha node set {node.name}`")


def _take_lock(store: Store, clock: Clock, view: ClusterView, node: ComputeNode, held: HeldLock) -> None:
    """Keep every driver away meanwhile. Raises Refused, and TryAgain where it comes free by itself."""
    opened = view.incidents.get(node.name)
    before = clock.monotonic()
    outcome = store.commit(
        [
            unchanged(node.key(FAILED), node.index(FAILED)),
            unchanged(open_incident(node.name), opened.index if opened else 0),
            lock(node.key(LOCK), held.session.id),
        ]
    )
    if isinstance(outcome, Rejected):
        raise _not_taken(outcome, node)
    held.proven(before)


def _not_taken(outcome: Rejected, node: ComputeNode) -> HAError:
    if any(failure.held_by_another for failure in outcome.failures):
        return Refused(f"{node.key(LOCK)} is held: a driver works on {node.name}", remedy="see `nova-ha status`")
    if any(failure.lock_delayed for failure in outcome.failures):
        return TryAgain(f"{node.key(LOCK)} is under its last holder's lock delay", remedy="try again in a minute")
    return TryAgain(f"{', '.join(sorted(outcome.keys))} changed meanwhile", remedy="look, then run it again")


def _let_go(held: HeldLock) -> None:
    # Without this the lock delay would keep the next attempt out.
    with suppress(HAError):
        held.commit([delete(held.key)])


# --- Nova ---


def _free_in_nova(r: _Return) -> str:
    """Clear force-down and enable the service, where needed; return the reason it was left disabled for."""
    _await_reports(r)
    _await_cleaned(r)
    service = _service(r)
    if service.forced_down:
        r.tell(f"clearing force-down of {service.host}")
        _effect(r, lambda: r.compute.force_down(service.id, False))
    ours = service.disabled_reason.startswith(OUR_REASON) and service.disabled_reason != RESERVE_REASON
    if not service.enabled and ours:
        r.tell(f"enabling nova-compute on {service.host}")
        _effect(r, lambda: r.compute.enable(service.id))
    left_disabled = "" if service.enabled or ours else service.disabled_reason or "no reason given"
    _read_back(r, enabled=not left_disabled)
    return left_disabled


def _service(r: _Return) -> ComputeService:
    incident = r.view.incident(r.node.name)
    host = (incident.nova_host if incident else "") or r.node.nova_host
    key = r.node.key(NOVA_HOST)
    if not host:
        doubted = doubted_name(r.node)
        raise ConfigError(doubted.evidence if doubted else f"{key} is missing", remedy=name_mending(r.node))
    reading = _patiently(r, lambda: r.compute.service(host))
    if reading is None:
        raise Refused(f"Nova knows no nova-compute on {host!r}", remedy=f"start it there, or mend {key}")
    return reading.service


def _await_reports(r: _Return) -> None:
    """Wait until nova-compute has reported twice: the first may be one that its host sent before it died.

    While it is forced down, a moving `updated_at` is its only sign of life.
    """
    last, moves = _service(r), 0

    def missing() -> str:
        nonlocal last, moves
        now = _service(r)
        moves += reported(last, now)
        last = now
        ordinal = ("first", "second", "")[min(moves, REPORTS_NEEDED)]
        return ordinal and f"the {ordinal} report of nova-compute on {now.host}"

    _wait(r, missing, remedy="start nova-compute there, and see its log")


def _await_cleaned(r: _Return) -> None:
    """Wait until the restarted nova-compute has removed what was evacuated: Nova refuses to go on before."""
    host = _service(r).host

    def missing() -> str:
        left = [record for record in _newest(r.compute.evacuations(host)) if _not_cleaned(r, record)]
        shown = first_few([f"{record.server} ({record.status.value})" for record in left], 3)
        return f"nova-compute on {host} to clean its evacuated servers: {shown}" if left else ""

    _wait(r, missing, remedy="restart nova-compute there; what stays open see in `openstack server migration list`")


def _newest(records: Sequence[Migration]) -> Sequence[Migration]:
    """Return each server's last evacuation. An older one may stay open for ever, and says nothing any more.

    `records` are newest first.
    """
    newest: dict[ServerID, Migration] = {}
    for record in records:
        newest.setdefault(record.server, record)
    return list(newest.values())


def _not_cleaned(r: _Return, record: Migration) -> bool:
    if record.status is MigrationStatus.DONE:
        return True
    # Of a server that was deleted meanwhile, an open record stays for ever.
    return record.status.open and r.compute.server(record.server) is not None


def _effect(r: _Return, call: Callable[[], None]) -> None:
    r.held.require(r.compute.call_timeout_s)
    try:
        call()
    except OutcomeUnknown as error:
        log.warning("host=%s step=reset %s; reading it back", r.node.name, error)


def _read_back(r: _Return, *, enabled: bool) -> None:
    def missing() -> str:
        service = _service(r)
        if service.up and not service.forced_down and (service.enabled or not enabled):
            return ""
        forced = ", forced down" if service.forced_down else ""
        return (
            f"Nova to see nova-compute on {service.host} up: it is {'up' if service.up else 'down'}"
            f"{forced}, {'enabled' if service.enabled else 'disabled'}"
        )

    _wait(r, missing, remedy="see nova-compute's log there, then run the command again")


def _wait(r: _Return, missing: Callable[[], str], remedy: str) -> None:
    """Look until nothing is missing. Raises Refused naming it at the deadline."""
    while what := _patiently(r, missing):
        if r.clock.monotonic() > r.until:
            raise Refused(f"gave up waiting for {what}", remedy=remedy)
        _pause(r, what)


def _patiently(r: _Return, read: Callable[[], T]) -> T:
    """Read, and again while Nova fails. Raises NovaError at the deadline."""
    while True:
        try:
            return read()
        except NovaError as error:
            if r.clock.monotonic() > r.until:
                raise
            _pause(r, f"Nova ({error})")


def _pause(r: _Return, what: str) -> None:
    if r.held.session.lost:
        raise LockLost(f"lock {r.held.key} was lost while waiting for {what}", remedy="run the command again")
    r.tell(f"waiting for {what}")
    r.clock.sleep(PAUSE_S)


# --- the observers ---


def _await_seen(r: _Return) -> None:
    """Wait until the observers do not agree on a failure any more: by their last results it would flip at once."""

    def missing() -> str:
        view = read_view(r.store)
        seen = read_votes(r.store, view).of(r.node.name)
        return f"the observers to see it well: {seen.in_words()}" if seen.agreed(view.quorum) else ""

    _wait(r, missing, remedy="`nova-ha explain` shows what they see; mend that, then run the command again")


# --- the keys ---


def _reset_keys(r: _Return) -> str:
    """Write the status keys, archive the incident, give the lock back: one transaction. Returns its stamp."""
    changed = ""
    for _ in range(KEY_TRIES):
        # The monitor goes on counting meanwhile, so the keys are read again.
        view = read_view(r.store)
        outcome = r.held.commit(_last_operations(r, view, existing_compute_node(view, r.node.name)))
        if not isinstance(outcome, Rejected):
            incident = view.incident(r.node.name)
            return to_stamp(incident.started) if incident else ""
        changed = ", ".join(sorted(outcome.keys))
    raise TryAgain(
        f"{changed} changed meanwhile; Nova is done, the keys are as they were",
        remedy="run the command again",
    )


def _last_operations(r: _Return, view: ClusterView, node: ComputeNode) -> Sequence[Operation]:
    opened = view.incidents.get(node.name)
    return [
        *_status_as_new(node),
        *(delete_cas(node.key(leaf), node.index(leaf)) for leaf in (APPROVAL, LEFT) if node.index(leaf)),
        *(
            archived(r.store, r.clock, opened, r.by, "node reset")
            if opened
            else [unchanged(open_incident(node.name), 0)]
        ),
        *_orphan_freed(view, view.incident(node.name)),
        delete(node.key(LOCK)),
        wake(),
    ]


def _status_as_new(node: ComputeNode) -> Sequence[Operation]:
    first = {FAILED: flag_to(False), RECOVERED: flag_to(False), NUMBER_FAILS: b"0"}
    return [cas(node.key(leaf), value, node.index(leaf)) for leaf, value in first.items()]


def _orphan_freed(view: ClusterView, incident: Incident | None) -> Sequence[Operation]:
    """A driver that died kept its HA node's `in_use`; with the incident gone, that would look like a reservation."""
    return owner_freed(view, incident) if incident and incident.state in WORKING else []
