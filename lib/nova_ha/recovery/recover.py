"""Recover what is due: look, claim, drive, and look for the next."""

from __future__ import annotations

import enum
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from nova_ha.cluster.duty import Duty, duties
from nova_ha.cluster.gate import Closed, Gate
from nova_ha.cluster.incident import Incident, IncidentState
from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.policy import Policy
from nova_ha.cluster.schema import RECOVERY_SEMAPHORE, WAITS
from nova_ha.cluster.view import ClusterView, read_view, with_left_behind
from nova_ha.cluster.waits import noted, waits_to
from nova_ha.consul.semaphore import Semaphore
from nova_ha.consul.transaction import cas, delete_cas
from nova_ha.errors import ConsulError, HAError, Refused
from nova_ha.limits import BMC_READING_S
from nova_ha.power import PowerState
from nova_ha.recovery.claim import Claimed, NotClaimed, Opened, busy, claim, open_for_operator
from nova_ha.recovery.driver import Driver
from nova_ha.recovery.driver_clients import DriverClients, Halted
from nova_ha.recovery.evacuation import evacuate
from nova_ha.recovery.fencing import fence
from nova_ha.recovery.findings import Findings, look
from nova_ha.recovery.finish import finish, in_words
from nova_ha.recovery.force_down import force_down
from nova_ha.recovery.gates import nova_host_of, who_goes_first
from nova_ha.recovery.last_look import Ask, Go, LookAgain, Outcome, Wait, decide
from nova_ha.recovery.notify import notify
from nova_ha.recovery.queue import Queue, due_tasks
from nova_ha.recovery.ranks import await_turn
from nova_ha.recovery.silence import cadence_s, needed_s
from nova_ha.recovery.transitions import at_work_on

log = logging.getLogger(__name__)

# The order of the work. Each step runs only on the recorded evidence of the one before.
STEPS: Sequence[Callable[[Driver], None]] = (fence, force_down, evacuate, finish)

FOR_THE_OPERATOR = (Duty.WAITS_FOR_OPERATOR, Duty.LEFT_BEHIND, Duty.ODD, Duty.UNREADABLE)

STALE_TRIES = 5
# Each try looks at the host again, which takes a second or so by itself.
LOCK_DELAY_PAUSE_S = 0.5
# Whether nova-compute reports is waited for once, and once more each time that somebody changes its record meanwhile.
MOST_WAITS = 3
PAUSE_S = 0.5
LOCK_DELAY_MARGIN_S = 2.0
ANOTHER_LOOK_S = 1.0
# A last look that has to wait for the silence reads identity and power before and after it.
BMC_READINGS = 4
LEVELS = {"needs-operator": logging.ERROR, "failed": logging.ERROR, "waits": logging.WARNING}


@dataclass(frozen=True)
class Result:
    """What came of one node: `outcome` in a word, the reason or the summary, and the gate where it waits at one.

    `closed` is that gate with its evidence, where the last look, or the claim, met it.
    """

    node: str
    outcome: str
    words: str
    gate: Gate | None = None
    closed: Closed | None = None


class GaveWay(enum.Enum):
    """Why a node has its turn later: others can be claimed meanwhile."""

    BMC_AWAY = "its BMC does not answer"
    LOCK_DELAY = "its last holder's lock delay runs"
    ANOTHER_FIRST = "another HA node has claimed it"
    SHARED_FIRST = "another HA node can bring back more of its servers"


def recover_all(clients: DriverClients, only: Sequence[str] = ()) -> Mapping[str, Result]:
    """Recover what is due, one node after the other, until nothing more can be claimed here.

    `only` limits it to these nodes. The state is read again before each: whatever can be claimed by then comes before
    what is only tried again. Raises ConsulError where it cannot be read, and Halted where the work is to stop between
    two steps; what else goes wrong over one node is raised once the others had their turn.
    """
    results: dict[str, Result] = {}
    broken: list[Exception] = []
    queue = Queue(clients, only)
    view = read_view(clients.store)
    refuse_unless_ha_node(view, clients.me)
    while waiting := queue.waiting(view):
        node = waiting[0]
        if clients.stopping():
            raise Halted(f"asked to end before {node}")
        try:
            result = _turn(clients, queue, view, node)
        except Halted:
            raise
        except Exception as error:
            # What fails over one node, as a record that nobody has thought of, must not keep the others waiting.
            broken.append(error)
            result = _told(Result(node, "failed", f"{type(error).__name__}: {error}"))
        if isinstance(result, Result):
            queue.take(node)
            results[node] = result
            _note(clients, view, result)
        try:
            view = read_view(clients.store)
        except ConsulError as error:
            if broken:
                # Where Consul was lost over a node, that node's error says what is left of it, and who goes on.
                raise broken[0] from error
            raise
    if broken:
        raise broken[0]
    return results


def _turn(clients: DriverClients, queue: Queue, view: ClusterView, node: str) -> Result | GaveWay:
    if closed := busy(view, clients.me):
        return _told(_waits(node, closed))
    if queue.is_claim(node) and not await_turn(clients, view, node, queue.due_since(node)):
        return GaveWay.ANOTHER_FIRST
    result = recover(clients, node, queue)
    if isinstance(result, GaveWay):
        log.info("host=%s step=claim later: %s, and others can be claimed", node, result.value)
        queue.put_back(node)
    if result is GaveWay.BMC_AWAY:
        queue.put_back_without_bmc(view, queue.claims_beside(view, node))
    return result


def refuse_unless_ha_node(view: ClusterView, me: str) -> None:
    """Raise Refused where this node may not recover anything."""
    if me not in view.ha_nodes:
        raise Refused(
            f"{me} is not an HA node: no keys under ha_cluster/ha_nodes/{me}/", remedy=f"`nova-ha ha-node add {me}`"
        )
    if problems := view.problems_of(me):
        raise Refused("; ".join(map(str, problems)), remedy=f"mend the keys, see `nova-ha ha-node show {me}`")


def recover(clients: DriverClients, node_name: str, queue: Queue | None = None) -> Result | GaveWay:
    """Take the node's recovery as far as it goes from here, unless it would only keep others of the queue waiting.

    Raises ConsulError, and TryAgain where it stopped between two steps.
    """
    queue, patience = queue or Queue(clients, [node_name]), _Patience(clients)
    while True:
        findings, outcome, node = last_look(clients, node_name, queue.not_taken_by(node_name))
        others = queue.claims_beside(findings.view, node_name)
        if isinstance(outcome, Wait) and node and outcome.closed.gate is Gate.SHARED_FIRST:
            if others:
                return GaveWay.SHARED_FIRST
            if first := who_goes_first(findings, node, findings.view.incident(node_name)):
                log.info("host=%s step=last-look %s", node_name, outcome.closed.why)
                if _leave_to(clients, queue, findings, node, first) is GaveWay.SHARED_FIRST:
                    return GaveWay.SHARED_FIRST
                continue
        if isinstance(outcome, Wait) or node is None:
            gone = Result(node_name, "waits", "gone")
            return _told(_waits(node_name, outcome.closed) if isinstance(outcome, Wait) else gone)
        if isinstance(outcome, Ask):
            return _asked(clients, findings, node, outcome)
        if node.bmc and findings.power.state is PowerState.UNKNOWN and others:
            return GaveWay.BMC_AWAY
        claimed = claim(clients, findings, node)
        if isinstance(claimed, Claimed):
            return _driven(clients, findings, node, claimed)
        if claimed.closed.gate is Gate.LOCK_DELAY and others:
            return GaveWay.LOCK_DELAY
        if not patience.lasts(claimed, findings.view):
            return _told(_waits(node_name, claimed.closed))


def _waits(node_name: str, closed: Closed) -> Result:
    return Result(node_name, "waits", str(closed), closed.gate, closed)


def _note(clients: DriverClients, view: ClusterView, result: Result) -> None:
    """Let an operator read for what the node waits; written when that changes. It is no part of the recovery."""
    me = view.ha_nodes.get(clients.me)
    waits = noted(me.waits, result.node, result.closed) if me else {}
    if me is None or waits == me.waits:
        return
    key, index = me.key(WAITS), me.index(WAITS)
    try:
        clients.store.commit([cas(key, waits_to(waits), index) if waits else delete_cas(key, index)])
    except HAError as error:
        log.info("host=%s step=note %s", result.node, error)


class _Patience:
    """How often a refused claim is tried again: over one lock delay, and a few times where values were stale."""

    def __init__(self, clients: DriverClients) -> None:
        self.clients = clients
        self.stale_tries = STALE_TRIES
        self.lock_delay_ends: float | None = None

    def lasts(self, refused: NotClaimed, view: ClusterView) -> bool:
        """Pause before another try and return True, or return False: the timer tries again."""
        clock = self.clients.clock
        if refused.closed.gate is Gate.LOCK_DELAY:
            if self.lock_delay_ends is None:
                self.lock_delay_ends = clock.monotonic() + view.policy.session_lock_delay + LOCK_DELAY_MARGIN_S
                log.info("step=claim waiting out the lock delay: %s", refused.closed.why)
            clock.sleep(LOCK_DELAY_PAUSE_S)
            return clock.monotonic() < self.lock_delay_ends and not self.clients.stopping()
        self.stale_tries -= 1
        clock.sleep(random.uniform(0.02, 0.2) if refused.stale else 0)
        return refused.stale and self.stale_tries > 0


def time_to_take_s(policy: Policy, cadence_s: float, *, resumes: bool) -> float:
    """Return how long an HA node may need to claim a node, or to resume it, from when it was woken, as we were."""
    lock_delay_s = policy.session_lock_delay + LOCK_DELAY_MARGIN_S if resumes else 0.0
    return needed_s(cadence_s) + BMC_READINGS * BMC_READING_S + lock_delay_s


def _leave_to(
    clients: DriverClients, queue: Queue, findings: Findings, node: ComputeNode, first: frozenset[str]
) -> GaveWay | None:
    """Wait until somebody has taken the node, or one of `first` any work; give way to others that can be claimed.

    Where nothing of it comes in time, that is noted. Raises ConsulError, and Halted.
    """
    clock, view = clients.clock, findings.view
    incident, interval_s = view.incident(node.name), node.report_interval_s(view.policy.nova_report_interval)
    cadence = cadence_s(findings.heard, nova_host_of(findings, node, incident), interval_s)
    until = clock.monotonic() + time_to_take_s(view.policy, cadence, resumes=incident is not None)
    while clock.monotonic() < until:
        if clients.stopping():
            raise Halted(f"{node.name}: asked to end during the last look")
        view = read_view(clients.store)
        seen = view.compute_nodes.get(node.name)
        at_work = any(at_work_on(view, ha_node) for name, ha_node in view.ha_nodes.items() if name in first)
        if seen is None or seen.lock_session or at_work:
            return None
        if queue.claims_beside(view, node.name):
            return GaveWay.SHARED_FIRST
        clock.sleep(ANOTHER_LOOK_S)
    queue.note_not_taken(view, first)
    return None


def last_look(
    clients: DriverClients, node_name: str, waited_for: frozenset[str] = frozenset()
) -> tuple[Findings, Outcome, ComputeNode | None]:
    """Look, and decide; where nova-compute was not watched for long enough, wait whether it reports, and look again.

    `waited_for` are HA nodes that it was left to in vain. Raises ConsulError, and Halted where it is asked to end
    meanwhile.
    """
    findings, view = _seen(clients, node_name, waited_for)
    outcome = decide(findings, node_name, view.incident(node_name))
    for _ in range(MOST_WAITS):
        if not isinstance(outcome, LookAgain):
            break
        log.info("host=%s step=last-look %s", node_name, outcome.closed.why)
        _wait_until(clients, node_name, outcome.at_s)
        findings, view = _seen(clients, node_name, waited_for)
        outcome = decide(findings, node_name, view.incident(node_name))
    if isinstance(outcome, LookAgain):
        outcome = Wait(outcome.closed)  # its record changes again and again: the timer tries it anew
    return findings, outcome, view.compute_nodes.get(node_name)


def _wait_until(clients: DriverClients, node_name: str, at_s: float) -> None:
    while (left := at_s - clients.clock.monotonic()) > 0:
        if clients.stopping():
            raise Halted(f"{node_name}: asked to end during the last look")
        clients.clock.sleep(min(left, PAUSE_S))


def _seen(clients: DriverClients, node_name: str, waited_for: frozenset[str]) -> tuple[Findings, ClusterView]:
    semaphore = Semaphore.read(clients.store, RECOVERY_SEMAPHORE)
    view = read_view(clients.store)
    node = view.compute_nodes.get(node_name) or ComputeNode.from_entries(node_name, [])
    return replace(look(clients, node, view), semaphore=semaphore, waited_for=waited_for), view


def _asked(clients: DriverClients, findings: Findings, node: ComputeNode, outcome: Ask) -> Result:
    opened = open_for_operator(clients, findings, node, outcome.closed)
    if opened is Opened.CHANGED:
        return _told(Result(node.name, "waits", f"{node.name} changed while it was looked at"))
    if opened is Opened.WRITTEN and (incident := read_view(clients.store).incident(node.name)):
        _ask(incident)
    return _told(Result(node.name, "needs-operator", str(outcome.closed)))


def _driven(clients: DriverClients, findings: Findings, node: ComputeNode, claimed: Claimed) -> Result:
    log.info("host=%s step=claimed by %s", node.name, clients.me)
    driver = Driver(clients, findings, node, claimed)
    driver.work(STEPS)
    incident = driver.incident
    if incident.state is IncidentState.FINISHED:
        notify(incident, "finished")
        return _told(Result(node.name, "finished", in_words(incident)))
    _ask(incident)
    gate = incident.gate.value if incident.gate else "stopped"
    return _told(Result(node.name, "needs-operator", f"{gate}: {incident.reason}"))


def _ask(incident: Incident) -> None:
    """Notify, but only once where it is tried again and again and stops in the same way, as without Nova."""
    gate = incident.gate
    again = gate is not None and (incident.ends_by_itself or gate.answered_by_a_receipt)
    if gate is None or not again or incident.asked.get(gate, 0) <= 1:
        notify(incident, "needs-operator")


def _told(result: Result) -> Result:
    log.log(
        LEVELS.get(result.outcome, logging.INFO), "host=%s outcome=%s %s", result.node, result.outcome, result.words
    )
    return result


def not_due(clients: DriverClients, nodes: Sequence[str]) -> Mapping[str, Result]:
    """Say of each node that is not due what it waits for; those that wait for nothing are left out."""
    view = with_left_behind(clients.store, read_view(clients.store)) if nodes else None
    tasks = duties(view, clients.clock.now()) if view else {}
    results = {}
    for node in nodes:
        task = tasks.get(node)
        if task and task.duty is Duty.WORKED_ON:
            results[node] = _waits(node, Closed(Gate.LOCKED, task.words))
        elif task and task.duty in FOR_THE_OPERATOR:
            results[node] = Result(node, "needs-operator", task.words)
    return results


def dry_run_all(clients: DriverClients, only: Sequence[str] = ()) -> Mapping[str, Result]:
    """Say for each node that is due what the last look finds, and change nothing."""
    view = read_view(clients.store)
    nodes = only or due_tasks(view, clients)
    return {node: _would(clients, node) for node in nodes}


def _would(clients: DriverClients, node_name: str) -> Result:
    view = read_view(clients.store)
    node = view.compute_nodes.get(node_name)
    if node is None:
        raise Refused(f"{node_name} is not registered", remedy="see `nova-ha node list`")
    outcome = decide(look(clients, node, view), node_name, view.incident(node_name))
    match outcome:
        case Wait(closed):
            return Result(node_name, "would wait", str(closed))
        case Ask(closed):
            return Result(node_name, "would ask the operator", str(closed))
        case LookAgain(_, after_s):
            return Result(node_name, "would be claimed", f"unless its nova-compute reports within {after_s:.0f} s")
        case Go(passed):
            return Result(node_name, "would be claimed", "; ".join(f"approved: {gate}" for gate in passed))
