"""One driver at work on one incident: what the steps use, what must be proved before each effect, how it ends."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from nova_ha.cluster.gate import Closed, Gate
from nova_ha.cluster.incident import Incident
from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.nova_name import same_name
from nova_ha.cluster.permit import lasting
from nova_ha.cluster.schema import FAILED, MAINTENANCE, NOVA_HOST, NUMBER_FAILS, PAUSED, RECOVERED, open_incident
from nova_ha.cluster.view import ClusterView, read_view
from nova_ha.compute import Compute
from nova_ha.consul.transaction import Committed, Operation, Rejected, cas, delete_cas
from nova_ha.consul.values import flag_to
from nova_ha.errors import ConsulError, NovaError, OutcomeUnknown, TryAgain
from nova_ha.limits import NOVA_PATIENCE_S
from nova_ha.probe.votes import Votes, read_votes
from nova_ha.recovery.archive import into_history, last_incident
from nova_ha.recovery.claim import Claimed, recovered_set, released
from nova_ha.recovery.driver_clients import DriverClients, Halted, NeedsOperator
from nova_ha.recovery.findings import Findings
from nova_ha.recovery.storage import Disks
from nova_ha.recovery.transitions import Event, advance, stop

log = logging.getLogger(__name__)

RELEASE_TRIES = 10
NOVA_PAUSE_S = 2.0
# Over a change of Consul's leader renewals failed for 14 s, and the session survived 54 s.
CONSUL_PATIENCE_S = 60.0

T = TypeVar("T")


class Overwritten(TryAgain):
    """Somebody else wrote or deleted the incident under its driver."""


class Driver:
    """The work on one claimed incident. Every write proves the lock and that nobody else wrote the incident.

    A step calls `before_effect` right before each call with an effect, and `save` after each thing it learnt.
    """

    def __init__(self, clients: DriverClients, findings: Findings, node: ComputeNode, claimed: Claimed) -> None:
        view = findings.view
        self.clients = clients
        self.policy, self.quorum = view.policy, view.quorum
        self.own_nova_host: str = view.ha_nodes[clients.me].nova_host
        self.node = node
        self.registered = view.compute_nodes
        self.incident = claimed.incident
        self.index = claimed.index
        self.session = claimed.session
        self.held = claimed.held
        self.compute: Compute = clients.compute()
        self._store = clients.store
        self._findings, self._began_at = findings, clients.clock.monotonic()

    # --- what every step uses ---

    def save(self, incident: Incident, *operations: Operation) -> None:
        """Write the incident. Raises LockLost, and TryAgain when somebody else wrote or deleted it."""
        write = cas(open_incident(incident.node), incident.to_kv(), self.index)
        outcome = self._commit([write, *operations])
        self.index = outcome.indexes[write.key]
        self.incident = incident

    def note(self, what: str, incident: Incident | None = None) -> None:
        """Write a line of the incident's story, and log it."""
        log.info("host=%s step=%s %s", self.node.name, self.incident.state.value, what)
        self.save((incident or self.incident).noting(self.clients.clock.now(), self.clients.me, what))

    def reached(self, event: Event, what: str, incident: Incident | None = None) -> None:
        """Record that a step is done."""
        self.note(what, advance(incident or self.incident, event))

    def before_effect(self, call_timeout_s: float) -> None:
        """Return when a call with an effect, of that time-out, may be sent now.

        Raises LockLost; Halted when paused or asked to end, or when the keys of its BMC have changed; NeedsOperator
        when `failed` was reset.
        """
        self.stop_if_asked()
        self._still_wanted()
        self.held.require(call_timeout_s)

    def stop_if_asked(self) -> None:
        """Raise Halted where the process was asked to end. For loops that only wait."""
        self.session.progress()
        if self.clients.stopping():
            raise Halted(f"{self.node.name}: asked to end while {self.incident.state.value}")

    def patiently(self, call: Callable[[], T], what: str) -> T:
        """Return an idempotent call of Nova, made again while Nova fails, for a while. Raises NeedsOperator."""
        until = self.clients.clock.monotonic() + NOVA_PATIENCE_S
        while True:
            self.stop_if_asked()
            try:
                return call()
            except (NovaError, OutcomeUnknown) as error:
                if self.clients.clock.monotonic() > until:
                    raise NeedsOperator(Gate.NOVA_FAILS, f"{what}: {error}") from error
                log.warning("host=%s step=%s %s: %s", self.node.name, self.incident.state.value, what, error)
            self.clients.clock.sleep(NOVA_PAUSE_S)

    def lets_pass(self, gate: Gate) -> bool:
        """True while an operator lets the gate pass in this incident, by both clocks."""
        return self.incident.lets_pass(gate, self.latest_now)

    def was_let_pass(self, gate: Gate) -> bool:
        """True where an operator let the gate pass at the last look, which then did not ask what is behind it."""
        return self.incident.lets_pass(gate, self._findings.latest_now)

    def require_permits(self) -> None:
        """Raise Halted where one has ended since the last look: what passed by it there is looked at anew."""
        for permit in self.incident.permits:
            ended = permit.lasts(self._findings.latest_now) and not permit.lasts(self.latest_now)
            if ended and not lasting(self.incident.permits, permit.gate, self.latest_now):
                gate, by = permit.gate.value, permit.by or "an operator"
                raise Halted(f"{self.node.name}: that {by} lets {gate} pass has ended since the last look")

    def report_interval_s(self, host: str = "") -> int:
        """Return how often that host's nova-compute reports, as the last look knew; the failed one's for none."""
        its = next((node for node in self.registered.values() if node.nova_host == host), None) if host else self.node
        by_policy_s = self.policy.nova_report_interval
        return its.report_interval_s(by_policy_s) if its else by_policy_s

    def looked_ago_s(self) -> float:
        """Return the seconds since the last look began."""
        return self.clients.clock.monotonic() - self._findings.began_s

    def view_now(self) -> ClusterView:
        """Read the cluster as it is by now."""
        return self._ask_consul(lambda: read_view(self._store))

    def all_votes_now(self, view: ClusterView) -> Votes:
        """Read what the observers see of all nodes by now."""
        return self._ask_consul(lambda: read_votes(self._store, view))

    def former_incident(self, node: str = "") -> Incident | None:
        """Return the last incident in history, None where none can be read: of this node, where no other is named."""
        return self._ask_consul(lambda: last_incident(self._store, node or self.node.name))

    @property
    def latest_now(self) -> datetime:
        """The time of day by whichever clock is ahead, ours or Nova's as the last look read it: see `Findings`."""
        return max(self.clients.clock.now(), self._findings.latest_now + self._at_work_for())

    @property
    def earliest_now(self) -> datetime:
        """The time of day by whichever clock is behind, likewise."""
        return min(self.clients.clock.now(), self._findings.earliest_now + self._at_work_for())

    def _at_work_for(self) -> timedelta:
        return timedelta(seconds=self.clients.clock.monotonic() - self._began_at)

    def disks(self) -> Disks:
        """Return what becomes of the disks of the host's servers, by the keys as they are now.

        Where they go to stays as the last look read it, and so does a policy that cannot be read any more: what a
        typing error puts back to a default says nothing of a disk.
        """
        view = self.view_now()
        said = self.policy if view.policy_problems else view.policy
        policy = replace(said, recovery_target=self.policy.recovery_target)
        return Disks.of(replace(view, policy=policy), self.node.name, self.own_nova_host, self.incident.rebuild)

    # --- how the work ends ---

    def work(self, steps: Sequence[Callable[[Driver], None]]) -> None:
        """Take the steps in their order; end with the incident archived, waiting for the operator, or open.

        Raises TryAgain where somebody must go on (paused, SIGTERM, lock lost).
        """
        try:
            self._take(steps)
        except Overwritten:
            self._release(list)
            raise
        finally:
            self.session.end()

    def _take(self, steps: Sequence[Callable[[Driver], None]]) -> None:
        try:
            for step in steps:
                step(self)
        except NeedsOperator as refusal:
            self._wait_for_operator(refusal.closed)
        except Halted as halted:
            stopped = self._without_grants().noting(self.clients.clock.now(), self.clients.me, str(halted))
            self._give_back(replace(stopped, session=""))
            raise

    def archive(self, incident: Incident) -> None:
        """Move the incident to history and give everything back, in one transaction.

        `recovered` is True then, also where it was reset meanwhile: the node would be claimed again at once.
        """
        key = open_incident(incident.node)
        self._release(
            lambda: [delete_cas(key, self.index), into_history(self._store, incident), *self._recovered_again()]
        )
        self.incident = incident

    def _recovered_again(self) -> Sequence[Operation]:
        node = self._node_now()
        known = node.key(RECOVERED) not in {problem.key for problem in node.problems}
        return recovered_set(node) if known and node.failed and not node.recovered else []

    def _wait_for_operator(self, closed: Closed) -> None:
        log.error("host=%s step=%s stopped, %s", self.node.name, self.incident.state.value, closed)
        stopped = stop(self._without_grants(), closed)
        waiting = stopped.noting(self.clients.clock.now(), self.clients.me, str(closed))
        self._give_back(waiting)

    def _without_grants(self) -> Incident:
        """Return the incident; without what was granted, where the observers have seen the host well meanwhile.

        The monitor ends no grants of an incident whose lock is held.
        """
        node = self._node_now()
        counted = node.counted_anew and node.index(NUMBER_FAILS) != self.node.index(NUMBER_FAILS)
        ends = counted and self.incident.before_the_fence and not self.lets_pass(Gate.ANSWERS)
        return self.incident.seen_alive() if ends else self.incident

    def _give_back(self, incident: Incident) -> None:
        key = open_incident(incident.node)
        self._release(lambda: [cas(key, incident.to_kv(), self.index)])
        self.incident = incident

    def _release(self, write: Callable[[], Sequence[Operation]]) -> None:
        """Carry the last write out together with the release; the semaphore may have changed, so try again."""
        for _ in range(RELEASE_TRIES):
            try:
                outcome = self._ask_consul(
                    lambda: self.held.commit([*write(), *released(self.clients, self.session.id, self.node.name)])
                )
            except OutcomeUnknown:
                if not self._holds():
                    return  # it was carried out, or the lock is lost: in both cases nothing is ours any more
                continue
            if isinstance(outcome, Committed):
                return
            if open_incident(self.node.name) in outcome.keys:
                raise self._overwritten(outcome)
            self.clients.clock.sleep(random.uniform(0.05, 0.3))
        raise TryAgain(f"{self.node.name}: could not release its locks in {RELEASE_TRIES} tries")

    def _holds(self) -> bool:
        entry = self._ask_consul(lambda: self._store.get(self.held.key))
        return entry is not None and entry.session == self.session.id

    def _ask_consul(self, call: Callable[[], T]) -> T:
        """Make the call, again while Consul fails, as over a change of its leader, and the session lives.

        Raises LockLost where it does not live, whatever Consul said last, and else Consul's error; at once where the
        process was asked to end: whoever takes over then reads what was written.
        """
        until = self.clients.clock.monotonic() + CONSUL_PATIENCE_S
        while True:
            try:
                return call()
            except ConsulError as error:
                self.held.refuse_if_gone()
                if self.clients.stopping() or self.clients.clock.monotonic() > until:
                    raise
                log.warning("host=%s step=%s %s", self.node.name, self.incident.state.value, error)
            self.clients.clock.sleep(1.0)

    # --- what is read before each effect ---

    def _still_wanted(self) -> None:
        """Raise where an operator wants it no longer, or where what they wrote cannot be read.

        Sets `recovered` True again where only that was reset.
        """
        node = self._node_now()
        state = self.incident.state.value
        if bad := [p for p in node.problems if p.key == self.node.key(FAILED)]:
            raise NeedsOperator(Gate.UNREADABLE, f"{bad[0]}, found during {state}")
        if bad := [p for p in node.problems if p.key == self.node.key(RECOVERED)]:
            raise NeedsOperator(Gate.UNREADABLE, f"{bad[0]}, found during {state}")
        if self.incident.receipt is None and (bad := [p for p in node.problems if p.key == node.key(MAINTENANCE)]):
            raise Halted(f"{self.node.name}: {bad[0]}, found while {state}")
        if not node.failed:
            raise NeedsOperator(Gate.WITHDRAWN, f"status/failed was reset during {state}")
        if pause := self._ask_consul(lambda: self._store.get(PAUSED)):
            raise Halted(f"{self.node.name}: paused while {state} (key {pause.key})")
        if self.incident.receipt is None and self._maintained(node):
            raise Halted(f"{self.node.name}: maintenance began while {state}")
        if self._has_another_bmc(node):
            raise Halted(f"{self.node.name}: the keys of its BMC were changed while {state}: it is looked at anew")
        if node.nova_word and not same_name(node.nova_word, self.incident.nova_host):
            why = f"{node.key(NOVA_HOST)} is {node.nova_word!r} now, and {self.incident.nova_host!r} was taken for it"
            raise NeedsOperator(
                Gate.RUNTIME_CONFIG, f"{why} until {state}: see whether that one is well, and free it"
            )
        if not node.recovered:
            again = cas(node.key(RECOVERED), flag_to(True), node.index(RECOVERED))
            self.save(
                self.incident.noting(self.clients.clock.now(), self.clients.me, "recovered set True again"), again
            )

    def _has_another_bmc(self, node: ComputeNode) -> bool:
        """True where the BMC, or an operator's word about it, is no more what the last look has read."""
        return (node.bmc, node.identity_word) != (self.node.bmc, self.node.identity_word)

    def _node_now(self) -> ComputeNode:
        prefix = self.node.key("")
        return ComputeNode.from_entries(self.node.name, self._ask_consul(lambda: self._store.list(prefix)))

    def _maintained(self, node: ComputeNode) -> bool:
        return node.maintained(self.earliest_now) and not self.lets_pass(Gate.MAINTENANCE)

    def _commit(self, operations: Sequence[Operation]) -> Committed:
        try:
            outcome = self._ask_consul(lambda: self.held.commit(operations))
        except OutcomeUnknown:
            outcome = self._ask_consul(lambda: self._look_after(operations))
        if isinstance(outcome, Rejected):
            raise self._overwritten(outcome)
        return outcome

    def _look_after(self, operations: Sequence[Operation]) -> Committed | Rejected:
        """Find out whether a write whose answer was lost was carried out, else carry it out now."""
        self.held.prove()
        first = operations[0]
        entry = self._store.get(first.key)
        if entry is not None and entry.value == first.value and entry.index != self.index:
            return Committed({first.key: entry.index})
        return self.held.commit(operations)

    def _overwritten(self, outcome: Rejected) -> Overwritten:
        log.error("host=%s its incident was changed by somebody else: %s", self.node.name, outcome)
        for step in self.incident.steps:
            log.error("host=%s had done: %s %s", self.node.name, step.state.value, step.what)
        return Overwritten(f"{self.node.name}: its incident was changed by somebody else ({outcome})")
