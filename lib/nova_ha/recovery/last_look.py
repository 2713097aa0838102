"""The last look before a claim: everything that must be true now, gathered in parallel, decided as values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from nova_ha.cluster.duty import duty
from nova_ha.cluster.gate import Cause, Closed, Gate
from nova_ha.cluster.incident import Incident, IncidentState
from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.schema import RESERVE_REASON
from nova_ha.cluster.semaphore import Semaphore
from nova_ha.cluster.view import ClusterView, read_view
from nova_ha.compute import ServiceReading
from nova_ha.errors import BMCError, HAError
from nova_ha.power import PowerReading, PowerState
from nova_ha.power.identity import same_identity
from nova_ha.probe.votes import NodeVotes, Votes, read_votes
from nova_ha.recovery.means import Answer, Means, Sight

T = TypeVar("T")

SIGHT_LIMIT_S = 1.0
BMC_LIMIT_S = 5.0
# Nova's stamps have whole seconds, and so has the Date of its answers.
STAMP_RESOLUTION_S = 1.0
CLOCKS_DIFFER = timedelta(seconds=60)
OUR_REASON = "nova-ha:"
NOT_READ = PowerReading(PowerState.UNKNOWN, "not read")


@dataclass(frozen=True)
class Findings:
    """What the last look saw. `services` is None, with `nova_trouble`, where Nova could not be asked."""

    view: ClusterView
    votes: NodeVotes
    interval_s: float
    now: datetime
    me: str
    sight: Sight
    services: Sequence[ServiceReading] | None = None
    nova_trouble: str = ""
    identity: str | None = None
    identity_trouble: str = ""
    power: PowerReading = NOT_READ
    # Read before the view. Each claim writes it, so a claim that finds it unchanged knows of all incidents.
    semaphore: Semaphore | None = None

    @property
    def earliest_now(self) -> datetime:
        """The time of day by whichever clock is behind, ours or Nova's: one that jumped ahead ends nothing."""
        return min([self.now, *(reading.read_at for reading in self.services or ())])

    @property
    def latest_now(self) -> datetime:
        """The time of day by whichever clock is ahead, ours or Nova's: one that fell behind prolongs nothing."""
        return max([self.now, *(reading.read_at for reading in self.services or ())])

    def started(self) -> datetime:
        """Return when an incident begins that is opened now: by Nova's clock where ours is far behind it.

        What began too early by a wrong clock would soon not count for the storm guard any more.
        """
        latest = max([self.now, *(reading.read_at for reading in self.services or ())])
        return latest if latest - self.now > CLOCKS_DIFFER else self.now

    def service_of(self, nova_host: str) -> ServiceReading | None:
        """Return the nova-compute of that host, or None where Nova knows none."""
        return next((s for s in self.services or () if s.service.host == nova_host), None)


@dataclass(frozen=True)
class Go:
    """Claim it. `passed` are the gates that only an approval lets pass."""

    passed: tuple[Closed, ...] = ()


@dataclass(frozen=True)
class Wait:
    """Not now: shown, and tried again by the timer."""

    closed: Closed


@dataclass(frozen=True)
class Ask:
    """Not without the operator."""

    closed: Closed


@dataclass(frozen=True)
class LookAgain:
    """nova-compute's last report is too recent to tell: look again after so many seconds whether it moved."""

    after_s: float


Outcome = Go | Wait | Ask | LookAgain


def look(means: Means, node: ComputeNode, view: ClusterView | None = None) -> Findings:
    """Gather the findings, the slow reads in parallel. Raises ConsulError; all else becomes a finding."""
    with ThreadPoolExecutor(4) as pool:
        sight = pool.submit(means.sight, node, SIGHT_LIMIT_S)
        services = pool.submit(_tried, lambda: list(means.compute().services()))
        identity = pool.submit(_bmc_read, means, node)
        fresh = view or read_view(means.store)
        votes: Votes = read_votes(means.store, fresh)
        found, trouble = services.result()
        (name, power), name_trouble = identity.result()
        return Findings(
            view=fresh,
            votes=votes.of(node.name),
            interval_s=votes.interval_s,
            now=means.clock.now(),
            me=means.me,
            sight=sight.result(),
            services=found,
            nova_trouble=trouble,
            identity=name,
            identity_trouble=name_trouble,
            power=power,
        )


def decide(findings: Findings, node_name: str, incident: Incident | None) -> Outcome:
    """Decide whether the node may be claimed now; pure.

    Every gate that is closed, and that no approval lets pass, ends it; the waits come before the questions.
    """
    node = findings.view.compute_nodes.get(node_name)
    if node is None:
        return Wait(Closed(Gate.UNREADABLE, f"{node_name} is not registered under ha_cluster/compute_nodes/"))
    if closed := _wait_for(findings, node, incident):
        return Wait(closed)
    receipt = incident.proof(findings.latest_now) if incident else None
    if receipt is not None and receipt.method == "bmc":
        # The observers' reports may be older than the fence; this look is not.
        if findings.power.state is PowerState.OFF and findings.sight.alive:
            why = f"{node.name} {findings.sight.in_words()} as seen from {findings.me}"
            return Ask(Closed(Gate.NOT_SILENT, f"its BMC reads off, but {why}"))
        return Go()  # its power is read again, by the driver
    if receipt is None and incident and _waits_for_another_word(findings, incident):
        return Ask(
            _with_the_clock(findings, Closed(Gate.RECEIPT_EXPIRED, incident.reason, incident.cause), node, incident)
        )
    passed = []
    # A human's word that it is off is no reason to overlook that it lives. Where that word has expired the driver
    # proves it anew, by the BMC.
    fenced = receipt is not None or (incident is not None and not incident.before_the_fence)
    questions = _signs_of_life(findings, node) if fenced else _questions(findings, node, incident)
    for gate in questions:
        if not _approved(findings, gate.gate, node, incident):
            return Ask(_with_the_clock(findings, gate, node, incident))
        passed.append(gate)
    missing = _missing_silence_s(findings, node)
    if missing and not _approved(findings, Gate.NOVA_REPORTS, node, incident):
        return LookAgain(missing)
    return Go(tuple(passed))


def _wait_for(findings: Findings, node: ComputeNode, incident: Incident | None) -> Closed | None:
    """Return what must end before anything is done, or None."""
    view, receipt = findings.view, incident.proof(findings.latest_now) if incident else None
    task = duty(view, node.name, findings.now)
    if not task.duty.due:
        return Closed(Gate.NOT_DUE, task.words)
    if incident and incident.state in (IncidentState.FINISHED, IncidentState.WITHDRAWN):
        return Closed(Gate.WITHDRAWN, f"its open incident is {incident.state.value}: nothing of it is left to do")
    if view.policy_problems:
        return Closed(Gate.POLICY, "; ".join(map(str, view.policy_problems)))
    if problems := view.problems_of(node.name):
        return Closed(Gate.UNREADABLE, "; ".join(map(str, problems)))
    if view.pause:
        return Closed(Gate.PAUSED, f"by {view.pause.by}: {view.pause.why}")
    if node.maintained(findings.earliest_now) and not _approved(findings, Gate.MAINTENANCE, node, incident):
        return Closed(Gate.MAINTENANCE, f"until {node.maintenance.until:%H:%M:%SZ}" if node.maintenance else "")
    if receipt is None and findings.votes.agreed(view.quorum) is None:
        return Closed(Gate.NO_QUORUM, f"{view.quorum} votes needed: {findings.votes.in_words()}")
    if findings.services is None:
        return Closed(Gate.NOVA_AWAY, findings.nova_trouble)
    if receipt is None and findings.sight.answer is Answer.UNKNOWN:
        return Closed(Gate.ANSWERS, f"cannot tell from {findings.me}: {findings.sight.why}")
    bmc_was_away = incident is not None and incident.gate is Gate.BMC_UNREACHABLE and receipt is None
    if bmc_was_away and findings.power.state is PowerState.UNKNOWN:
        return Closed(Gate.BMC_UNREACHABLE, findings.power.why)
    if len(view.ha_nodes) > 1 and (own := _own_host(findings, node)):
        return own  # another HA node takes it
    if not targets(findings, node):
        return Closed(Gate.NO_TARGET, "no nova-compute is up and enabled to take its servers")
    return None


def _signs_of_life(findings: Findings, node: ComputeNode) -> Sequence[Closed]:
    closed = _answers(findings, node)
    return [closed] if closed else []


def _questions(findings: Findings, node: ComputeNode, incident: Incident | None) -> Sequence[Closed]:
    """Return all closed gates that only an operator can judge."""
    found = [reason(findings, node) for reason in _REASONS]
    closed = [gate for gate in found if gate]
    if incident is None or incident.state is IncidentState.NEEDS_OPERATOR:
        closed.extend(_storm(findings, node))
    return closed


def _answers(f: Findings, node: ComputeNode) -> Closed | None:
    if f.votes.agreed(f.view.quorum) == 0:
        return Closed(Gate.ANSWERS, f"the observers see it again: {f.votes.in_words()}")
    if f.sight.answer is Answer.ANSWERS:
        return Closed(Gate.ANSWERS, f"it answers SSH from {f.me}: {f.sight.why}")
    return None


def _own_host(f: Findings, node: ComputeNode) -> Closed | None:
    mine = f.view.ha_nodes.get(f.me)
    if node.name == f.me or (mine and node.nova_host == mine.nova_host):
        return Closed(Gate.OWN_HOST, f"{node.name} is the host that this handler runs on")
    return None


def _runtime(f: Findings, node: ComputeNode) -> Closed | None:
    if node.nova_host is None:
        return Closed(Gate.RUNTIME_CONFIG, f"{node.key('internal/runtime_config')} is missing: Nova's name unknown")
    if f.service_of(node.nova_host) is None:
        return Closed(Gate.RUNTIME_CONFIG, f"Nova knows no nova-compute on a host named {node.nova_host!r}")
    return None


def _disabled_by_other(f: Findings, node: ComputeNode) -> Closed | None:
    reading = f.service_of(node.nova_host or "")
    if reading is None:
        return None
    service = reading.service
    touched = service.forced_down or not service.enabled
    if touched and not service.disabled_reason.startswith(OUR_REASON):
        how = "forced down" if service.forced_down else "disabled"
        return Closed(
            Gate.DISABLED_BY_OTHER, f"its nova-compute was {how} by somebody else ({service.disabled_reason!r})"
        )
    return None


def _bmc(f: Findings, node: ComputeNode) -> Closed | None:
    if node.bmc is None:
        return Closed(Gate.NO_BMC, f"{node.key('config/bmc/ip')} is missing: its power cannot be cut")
    if node.bmc.identity and f.identity and not same_identity(node.bmc.identity, f.identity):
        return Closed(Gate.BMC_IDENTITY, f"the BMC at {node.bmc.ip} is {f.identity}, expected {node.bmc.identity}")
    return None


def _mode(f: Findings, node: ComputeNode) -> Closed | None:
    if f.view.policy.recovery_mode == "approve":
        return Closed(Gate.APPROVAL, "recovery/mode is approve")
    return None


_REASONS: tuple[Callable[[Findings, ComputeNode], Closed | None], ...] = (
    _answers,
    _own_host,
    _runtime,
    _disabled_by_other,
    _bmc,
    _mode,
)


def _storm(f: Findings, node: ComputeNode) -> Sequence[Closed]:
    """Return the gates that look at other incidents: this node's last one, and how many nodes there are."""
    view, closed = f.view, []
    recent = view.started_within_window(f.earliest_now)
    before = [started for name, started in recent if name == node.name]
    if before and view.policy.fence_repeat == "approve":
        closed.append(
            Closed(
                Gate.REPEAT,
                f"its last incident began {max(before):%Y-%m-%d %H:%M:%SZ}, within {view.policy.monitor_window} s",
            )
        )
    nodes = {name for name, _ in recent} | set(view.incidents) | {node.name}
    limit = view.policy.monitor_max_failed.of(len(view.compute_nodes))
    if len(nodes) > limit:
        closed.append(_too_many(nodes, limit))
    return closed


def too_many_by_now(view: ClusterView, node: str, now: datetime) -> Closed | None:
    """Look at the storm limit once more for an incident that is open, and not fenced yet; None where it holds.

    Whoever claims after it counts it. But it may itself not have counted one that was claimed and ended between
    the last look and the claim. Those that were stopped before their fence take no part.
    """
    counted = {name for name, opened in view.incidents.items() if not _stopped_unfenced(opened.incident)}
    nodes = {name for name, _ in view.started_within_window(now)} | counted | {node}
    limit = view.policy.monitor_max_failed.of(len(view.compute_nodes))
    return _too_many(nodes, limit) if len(nodes) > limit else None


def _stopped_unfenced(incident: Incident | None) -> bool:
    return incident is not None and incident.state is IncidentState.NEEDS_OPERATOR and incident.before_the_fence


def _too_many(nodes: set[str], limit: int) -> Closed:
    return Closed(Gate.MAX_FAILED, f"{len(nodes)} nodes failed together, {limit} allowed: {_few(nodes)}")


def _missing_silence_s(f: Findings, node: ComputeNode) -> float:
    """Return how many seconds nova-compute's silence lacks to match the observers' streak; 0 when it does."""
    reading = f.service_of(node.nova_host or "")
    if reading is None or reading.silent_for_s is None:
        return 0.0
    streak = f.votes.agreed(f.view.quorum) or f.view.policy.monitor_fail_threshold
    needed = max(0.0, (streak - 1) * f.interval_s - STAMP_RESOLUTION_S)
    # Whatever Nova's clocks say: so long without a report is enough.
    return min(needed, max(0.0, needed - reading.silent_for_s))


def targets(findings: Findings, node: ComputeNode) -> Sequence[str]:
    """Return where servers may go, in the policy's order: Nova host names, `""` for the scheduler's choice."""
    usable = []
    mine = findings.view.ha_nodes.get(findings.me)
    for kind in findings.view.policy.recovery_target:
        if kind == "ha-node" and mine and _takes_servers(findings.service_of(mine.nova_host)):
            usable.append(mine.nova_host)
        others = (s for s in findings.services or () if s.service.host != node.nova_host)
        if kind == "scheduler" and any(s.service.up and s.service.enabled for s in others):
            usable.append("")
    return usable


def _takes_servers(reading: ServiceReading | None) -> bool:
    if reading is None or not reading.service.up:
        return False
    return reading.service.enabled or reading.service.disabled_reason == RESERVE_REASON


def _approved(f: Findings, gate: Gate, node: ComputeNode, incident: Incident | None) -> bool:
    if not gate.approvable:
        return False
    if incident and gate in incident.approved:
        return True
    return node.approval is not None and node.approval.lets_pass(gate, f.latest_now)


def _waits_for_another_word(f: Findings, incident: Incident) -> bool:
    """True where the word that it waits for holds by our clock, and not by Nova's: claimed, it would end so again."""
    waits = incident.state is IncidentState.NEEDS_OPERATOR and incident.gate is Gate.RECEIPT_EXPIRED
    return waits and incident.receipt is not None and incident.receipt.valid(f.now)


def _with_the_clock(f: Findings, closed: Closed, node: ComputeNode, incident: Incident | None) -> Closed:
    """Say it where an operator's word would let the gate pass by our clock, and has expired by Nova's."""
    approval, receipt, gate = node.approval, incident.receipt if incident else None, closed.gate
    ended = []
    if approval and approval.lets_pass(gate, f.now) and not approval.lets_pass(gate, f.latest_now):
        ended.append("its approval")
    if receipt and receipt.method == "operator" and receipt.valid(f.now) and not receipt.valid(f.latest_now):
        ended.append("the word that it is off")
    if not ended or closed.cause is Cause.CLOCKS_DIFFER:
        return closed
    ahead = f"which is {(f.latest_now - f.now).total_seconds():.0f} s ahead of that of {f.me}: set the clocks"
    why = f"{closed.why}; {' and '.join(ended)} has ended by Nova's clock, {ahead}"
    return Closed(closed.gate, why, Cause.CLOCKS_DIFFER)


def _few(names: set[str]) -> str:
    shown = sorted(names)
    return ", ".join(shown[:5]) + (f" and {len(shown) - 5} more" if len(shown) > 5 else "")


def _tried(read: Callable[[], T]) -> tuple[T | None, str]:
    try:
        return read(), ""
    except HAError as error:
        return None, str(error)


def _bmc_read(means: Means, node: ComputeNode) -> tuple[tuple[str | None, PowerReading], str]:
    if node.bmc is None:
        return (None, PowerReading(PowerState.UNKNOWN, "no BMC keys")), "no BMC keys"
    bmc = means.bmc(node)
    try:
        identity, trouble = bmc.identity(BMC_LIMIT_S), ""
    except BMCError as error:
        return (None, PowerReading(PowerState.UNKNOWN, str(error))), str(error)
    return (identity, bmc.power(BMC_LIMIT_S)), trouble


def decide_again(before: Findings, after: Findings, node_name: str, incident: Incident | None) -> Outcome:
    """Decide with what was seen after the wait that a LookAgain asked for; pure.

    Where nova-compute has reported meanwhile it is alive.
    """
    outcome = decide(after, node_name, incident)
    if not isinstance(outcome, Go | LookAgain):
        return outcome
    node = after.view.compute_nodes[node_name]
    then, now = (f.service_of(node.nova_host or "") for f in (before, after))
    if then is None or now is None or now.service.updated_at != then.service.updated_at:
        return Ask(Closed(Gate.NOVA_REPORTS, "its nova-compute still reports to Nova: the host lives"))
    return Go() if isinstance(outcome, LookAgain) else outcome
