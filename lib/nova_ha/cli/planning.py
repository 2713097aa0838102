"""What a recovery would find and do now: its own last look, with every closed gate instead of the first one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from nova_ha.cli.remedies import remedy, remedy_in
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import Incident, ServerProgress
from nova_ha.cluster.node import Approval, BMCConfig, ComputeNode
from nova_ha.errors import HAError
from nova_ha.power import PowerState
from nova_ha.recovery.last_look import Ask, Findings, Go, LookAgain, Outcome, Wait, decide, targets
from nova_ha.recovery.means import Means
from nova_ha.recovery.servers import Action, TagFilter, first_progress, rule_for

# In the order in which the last look asks them.
GATES = (
    Gate.NOT_DUE,
    Gate.POLICY,
    Gate.UNREADABLE,
    Gate.PAUSED,
    Gate.MAINTENANCE,
    Gate.NO_QUORUM,
    Gate.NOVA_AWAY,
    Gate.NO_TARGET,
    Gate.ANSWERS,
    Gate.OWN_HOST,
    Gate.RUNTIME_CONFIG,
    Gate.DISABLED_BY_OTHER,
    Gate.NO_BMC,
    Gate.BMC_IDENTITY,
    Gate.BMC_UNREACHABLE,
    Gate.APPROVAL,
    Gate.REPEAT,
    Gate.MAX_FAILED,
    Gate.NOVA_REPORTS,
)


@dataclass(frozen=True)
class GateLine:
    """One gate: `is_` is open, closed, approved, or not judged (what it needs to know is behind a closed one)."""

    gate: Gate
    is_: str
    evidence: str
    remedy: str = ""


@dataclass(frozen=True)
class ServerLine:
    """What would be done with one server."""

    id: str
    progress: ServerProgress
    action: str


def gate_lines(findings: Findings, node: ComputeNode, incident: Incident | None) -> list[GateLine]:
    """Return every gate of the recovery, in its order."""
    closed, hidden = closed_gates(findings, node, incident)
    seen = evidence(findings, node)
    lines = []
    for gate in (*GATES, *(gate for gate in closed if gate not in GATES)):
        if gate in closed:
            approved = _approver(findings, node, incident, gate)
            is_, way = (
                (f"approved by {approved}", "") if approved else ("closed", remedy_in(findings.view, gate, node.name))
            )
            lines.append(GateLine(gate, is_, closed[gate], way))
        else:
            lines.append(GateLine(gate, "not judged" if gate in hidden else "open", seen.get(gate, "")))
    return lines


def closed_gates(
    findings: Findings, node: ComputeNode, incident: Incident | None
) -> tuple[Mapping[Gate, str], Sequence[Gate]]:
    """Return every closed gate with its evidence, and those that cannot be judged.

    The last look ends at the first one. So it is asked again with that one opened, until none is left.
    """
    problems = "; ".join(map(str, findings.view.problems_of(node.name)))
    found: dict[Gate, str] = {Gate.UNREADABLE: problems} if problems else {}
    trial = findings
    for _ in Gate:
        outcome: Outcome = decide(trial, node.name, incident)
        if isinstance(outcome, Go):
            return found | {closed.gate: closed.why for closed in outcome.passed}, ()
        if isinstance(outcome, LookAgain):
            found[Gate.NOVA_REPORTS] = f"its nova-compute must be silent for {outcome.after_s:.0f} s more"
            return found, ()
        gate = outcome.closed.gate
        opened = None if gate in found else _opened(trial, node, gate)
        found.setdefault(gate, outcome.closed.why)
        if opened is None:
            return found, GATES[GATES.index(gate) + 1 :] if gate in GATES else ()
        trial = opened
    return found, ()


def evidence(findings: Findings, node: ComputeNode) -> Mapping[Gate, str]:
    """Return what was seen, for the gates that are open as well."""
    reading = findings.service_of(node.nova_host or "")
    service = reading.service if reading else None
    age = reading.silent_for_s if reading else None
    how = (
        "forced down" if service and service.forced_down else "enabled" if service and service.enabled else "disabled"
    )
    window = findings.view.policy.monitor_window
    return {
        Gate.NOT_DUE: "it is to be recovered",
        Gate.POLICY: "no mistake",
        Gate.UNREADABLE: "all keys can be read",
        Gate.PAUSED: "not paused",
        Gate.MAINTENANCE: "no maintenance",
        Gate.OWN_HOST: f"it is another host than {findings.me}",
        Gate.NO_BMC: f"{node.bmc.driver} at {node.bmc.ip}:{node.bmc.port}" if node.bmc else "",
        Gate.REPEAT: f"no incident of it began within {window} s",
        Gate.MAX_FAILED: f"at most {findings.view.policy.monitor_max_failed} fail together",
        Gate.NO_QUORUM: f"{findings.view.quorum} votes needed: {findings.votes.in_words()}",
        Gate.NOVA_AWAY: findings.nova_trouble or f"{len(findings.services or ())} nova-compute services",
        Gate.NO_TARGET: ", ".join(name or "the scheduler's choice" for name in targets(findings, node)),
        Gate.ANSWERS: f"SSH from {findings.me}: {findings.sight.why or findings.sight.answer.value}",
        Gate.RUNTIME_CONFIG: f"Nova's name is {node.nova_host}" if node.nova_host else "",
        Gate.DISABLED_BY_OTHER: f"nova-compute is {how} {service.disabled_reason}".strip() if service else "",
        Gate.BMC_IDENTITY: _identity_words(findings, node),
        Gate.BMC_UNREACHABLE: _power_words(findings),
        Gate.APPROVAL: f"recovery/mode is {findings.view.policy.recovery_mode}",
        Gate.NOVA_REPORTS: f"nova-compute reported {age:.0f} s ago" if age is not None else "it never reported",
    }


def verdict_words(outcome: Outcome) -> str:
    """Return what the recovery would do, as a sentence."""
    match outcome:
        case Go():
            return "It would be claimed now"
        case Ask(closed):
            return f"It would wait for the operator: {closed}"
        case LookAgain(after_s):
            return f"It would be claimed, unless its nova-compute reports within {after_s:.0f} s"
        case Wait(closed):
            return f"It would wait: {closed}"


def fence_words(findings: Findings, node: ComputeNode, incident: Incident | None) -> str:
    """Return how its power would be cut and proved off."""
    if incident and incident.receipt and incident.receipt.valid(findings.latest_now):
        by = "its BMC" if incident.receipt.method == "bmc" else f"the word of {incident.receipt.by}"
        return f"fenced already by {by}; its power is read again"
    if node.bmc is None:
        return f"not possible, {node.key('config/bmc/ip')} is missing: {remedy(Gate.NO_BMC, node.name)}"
    policy = findings.view.policy
    return (
        f"{node.bmc.driver} power off at {node.bmc.ip}:{node.bmc.port}, {policy.fence_confirmations} OFF readings, "
        f"{policy.fence_attempts} attempts of {policy.fence_timeout} s; {_power_words(findings)}"
    )


def server_lines(means: Means, findings: Findings, node: ComputeNode) -> list[ServerLine]:
    """Return what would be done with each server, in the order of the evacuations. Raises NovaError."""
    compute = means.compute()
    carries_tag = TagFilter(compute, findings.view.policy.recovery_only_tagged)
    found = [
        (str(server.id), first_progress(server, carries_tag)) for server in compute.servers(node.nova_host or "")
    ]
    lines = [ServerLine(identity, progress, _action(progress)) for identity, progress in found]
    return sorted(lines, key=lambda line: (line.progress.state.final, -line.progress.priority, line.progress.name))


def room_words(means: Means, hosts: Sequence[str]) -> Mapping[str, str]:
    """Return what Placement has free on each host that servers may go to."""
    return {host: _room(means, host) for host in hosts if host}


def _room(means: Means, host: str) -> str:
    try:
        room = means.compute().room(host)
    except HAError as error:
        return f"not known: {error}"
    return ", ".join(f"{amount} {name}" for name, amount in room.items()) or "none recorded"


def _action(progress: ServerProgress) -> str:
    if progress.state.final:
        return "skip" if progress.state.value == "skipped" else "report"
    rule = rule_for(progress.vm_state)
    return Action.EVACUATE.value if rule.action is Action.EVACUATE else rule.action.value


def _opened(findings: Findings, node: ComputeNode, gate: Gate) -> Findings | None:
    """Return the findings with that gate open, None where nobody can say what is behind it."""
    view = findings.view
    present = view.compute_nodes[node.name]
    if gate.approvable and gate is not Gate.OWN_HOST:
        return _with(findings, _approving(present, gate, findings.now))
    match gate:
        case Gate.NOT_DUE:
            problems = {name: found for name, found in view.problems.items() if name != node.name}
            sound = replace(findings, view=replace(view, problems=problems))
            return _with(sound, replace(present, failed=True, recovered=False))
        case Gate.POLICY:
            return replace(findings, view=replace(view, policy_problems=()))
        case Gate.PAUSED:
            return replace(findings, view=replace(view, pause=None, pause_index=0))
        case Gate.OWN_HOST:
            return replace(findings, me="")
        case Gate.BMC_IDENTITY:
            return replace(findings, identity=None)
        case Gate.NO_BMC:
            return _with(findings, replace(present, bmc=BMCConfig("", "", "")))
        case _:
            return None


def _with(findings: Findings, node: ComputeNode) -> Findings:
    nodes = {**findings.view.compute_nodes, node.name: node}
    return replace(findings, view=replace(findings.view, compute_nodes=nodes))


def _approving(node: ComputeNode, gate: Gate, now: datetime) -> ComputeNode:
    """Return the node as it would be if an operator let this gate pass too."""
    given = node.approval.gates if node.approval and now < node.approval.until else ()
    return replace(node, approval=Approval("plan", "", now + timedelta(hours=1), (*given, gate)))


def _approver(findings: Findings, node: ComputeNode, incident: Incident | None, gate: Gate) -> str:
    if incident and gate in incident.approved:
        return incident.approved_by
    approval = node.approval
    return approval.by if approval and approval.lets_pass(gate, findings.now) else ""


def _identity_words(findings: Findings, node: ComputeNode) -> str:
    if findings.identity_trouble:
        return findings.identity_trouble
    recorded = f"recorded {node.bmc.identity}" if node.bmc and node.bmc.identity else "none recorded to compare"
    return f"the BMC shows {findings.identity or 'none'}, {recorded}"


def _power_words(findings: Findings) -> str:
    if findings.power.state is PowerState.UNKNOWN:
        return f"its power cannot be read now: {findings.power.why}"
    return f"its power is {findings.power.state.value} now"
