"""What a recovery would do now, beside its gates: the verdict, the fence, and each server, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from nova_ha.cli.clients import Clients
from nova_ha.cli.views.remedies import remedy
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import Incident, ReceiptMethod, ServerProgress, ServerState
from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.reading import power_words
from nova_ha.errors import HAError
from nova_ha.power import PowerState
from nova_ha.recovery.claim import to_rebuild
from nova_ha.recovery.driver_clients import DriverClients
from nova_ha.recovery.findings import Findings
from nova_ha.recovery.gates import nova_host_of
from nova_ha.recovery.last_look import Ask, Go, LookAgain, Outcome, Wait
from nova_ha.recovery.moving import leaving, left_moving
from nova_ha.recovery.servers import TagFilter, first_progress, rule_for
from nova_ha.recovery.storage import Disks, with_disks


@dataclass(frozen=True)
class ServerLine:
    """What would be done with one server."""

    id: str
    progress: ServerProgress
    action: str


def verdict_words(outcome: Outcome) -> str:
    """Return what the recovery would do, as a sentence."""
    match outcome:
        case Go():
            return "It would be claimed now"
        case Ask(closed):
            return f"It would wait for the operator: {closed}"
        case LookAgain(_, after_s):
            return f"It would be claimed, unless its nova-compute reports within {after_s:.0f} s"
        case Wait(closed):
            return f"It would wait: {closed}"


def fence_words(findings: Findings, node: ComputeNode, incident: Incident | None) -> str:
    """Return how its power would be cut and proved off."""
    if incident and incident.receipt and incident.receipt.valid(findings.latest_now):
        by = "its BMC" if incident.receipt.method is ReceiptMethod.BMC else f"the word of {incident.receipt.by}"
        return f"fenced already by {by}; its power is read again"
    if node.bmc is None:
        return f"not possible, {node.key('config/bmc/ip')} is missing: {remedy(Gate.NO_BMC, node.name)}"
    policy, power = findings.view.policy, findings.power
    is_on = power.state is PowerState.ON
    proof = (
        f"{policy.fence_confirmations} OFF readings" if is_on else f"off for {policy.fence_off_for} s without a break"
    )
    return (
        f"{node.bmc.driver} power off at {node.bmc.address}, {proof}, {policy.fence_attempts} attempts of "
        f"{policy.fence_timeout} s; {power_words(power.state.value, power.why)}"
    )


def server_lines(
    clients: DriverClients, findings: Findings, node: ComputeNode, incident: Incident | None = None
) -> list[ServerLine]:
    """Return what would be done with each server, in the order of the evacuations. Raises NovaError."""
    host = nova_host_of(findings, node, incident)
    if not host:
        return []
    compute = clients.compute()
    carries_tag = TagFilter(compute, findings.view.policy.recovery_only_tagged)
    why_left_moving = partial(left_moving, compute)
    listed = compute.servers(host)
    moved = leaving(compute, host) if listed else ()
    view, approval, incident = findings.view, node.approval, incident or findings.view.incident(node.name)
    words = {**(incident.rebuild if incident else {}), **to_rebuild(approval, findings.latest_now)}
    mine = view.ha_nodes.get(findings.me)
    disks = Disks.of(view, node.name, mine.nova_host if mine else "", words)
    lines = []
    for server in listed:
        first = with_disks(first_progress(server, carries_tag, why_left_moving, moved), server)
        progress = disks.judged(server.id, first, findings.latest_now)
        lines.append(ServerLine(str(server.id), progress, _action(progress, disks)))
    return sorted(lines, key=lambda line: (line.progress.state.final, -line.progress.priority, line.progress.name))


def room_words(clients: DriverClients, hosts: Sequence[str]) -> Mapping[str, str]:
    """Return what Placement has free on each host that servers may go to."""
    return {host: _room(clients, host) for host in hosts if host}


def _room(clients: DriverClients, host: str) -> str:
    try:
        room = clients.compute().room(host)
    except HAError as error:
        return f"not known: {error}"
    return ", ".join(f"{amount} {name}" for name, amount in room.items()) or "none recorded"


_ENDS = {ServerState.SKIPPED: "skip", ServerState.LEFT: "leave"}


def _action(progress: ServerProgress, disks: Disks) -> str:
    if progress.state.final:
        return _ENDS.get(progress.state, "report")
    new = " with a new disk" if disks.stay_behind and not progress.on_volume else ""
    return f"{rule_for(progress.vm_state).action.value}{new}"


def planned(clients: Clients, name: str) -> dict[str, Any]:
    """Return the plan, for JSON. Raises ConfigError where the node is not registered."""
    from nova_ha.cli.views import plan
    from nova_ha.cli.views.remedies import remedy_in
    from nova_ha.cluster.duty import duty
    from nova_ha.cluster.reading import Then
    from nova_ha.cluster.registry import existing_compute_node
    from nova_ha.cluster.view import read_view, with_left_behind
    from nova_ha.recovery.findings import look
    from nova_ha.recovery.gates import readings, targets_of
    from nova_ha.recovery.last_look import decide

    tools = clients.recovery()
    view = with_left_behind(tools.store, read_view(tools.store))
    node, incident = existing_compute_node(view, name), view.incident(name)
    findings = look(tools, node, view)
    hosts = targets_of(findings, node, incident)
    room = plan.room_words(tools, hosts)
    trouble, servers = "", []
    try:
        servers = plan.server_lines(tools, findings, node, incident)
    except HAError as error:
        trouble = str(error)
    return {
        "node": name,
        "seen_from": tools.me,
        "duty": duty(view, name, findings.now).words,
        "verdict": plan.verdict_words(decide(findings, name, incident)),
        "gates": [
            {
                "gate": reading.gate.value,
                "is": reading.is_,
                "evidence": reading.evidence,
                "approved_by": reading.approved_by,
                "approved_until": reading.approved_until,
                "remedy": remedy_in(view, reading.gate, name)
                if reading.shut and reading.then is not Then.LOOK_AGAIN
                else "",
            }
            for reading in readings(findings, node, incident)
        ],
        "fence": plan.fence_words(findings, node, incident),
        "targets": {host or "the scheduler's choice": room.get(host, "") for host in hosts},
        "servers_trouble": trouble,
        "servers_by_end": dict(Counter(line.action for line in servers)),
        "servers": [
            {
                "name": line.progress.name,
                "id": line.id,
                "is": line.progress.vm_state,
                "would_be": line.action,
                "priority": line.progress.priority,
                "why": line.progress.reason,
            }
            for line in servers
        ],
    }
