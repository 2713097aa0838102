"""`nova-ha plan NODE`: the recovery's dry run, gate by gate."""

from __future__ import annotations

from typing import Any

import click

from nova_ha.cli.completion import complete_compute_node
from nova_ha.cli.means import Means, pass_means
from nova_ha.cli.output import json_option, print_json, print_table, say
from nova_ha.errors import HAError


@click.command("plan")
@click.argument("name", metavar="NODE", shell_complete=complete_compute_node)
@json_option
@pass_means
def plan(means: Means, /, name: str, as_json: bool) -> None:
    """Say what a recovery of NODE would find and do now, as seen from the local HA node; nothing is changed.

    Each gate with its evidence, how the power would be cut, where servers would go and what room is there, and what
    would become of each server. For a host that is well, `answers` is closed, as it should be.

    \b
      nova-ha plan compute-7
    """
    values = planned(means, name)
    if as_json:
        return print_json(values)
    say(f"{name}: {values['duty']}")
    say(values["verdict"])
    click.echo()
    print_table(("gate", "is", "evidence", "what helps"), [list(gate.values()) for gate in values["gates"]])
    click.echo()
    say(f"Fence: {values['fence']}")
    for host, room in values["targets"].items():
        say(f"Target: {host}{f' ({room} free)' if room else ''}")
    if values["servers_trouble"]:
        return say(f"Servers: not known: {values['servers_trouble']}")
    click.echo(f"\nServers: {len(values['servers'])}")
    heads = ("name", "id", "is", "would be", "priority", "why")
    return print_table(heads, [[str(cell) for cell in row.values()] for row in values["servers"]])


def planned(means: Means, name: str) -> dict[str, Any]:
    """Return the plan, for JSON. Raises ConfigError where the node is not registered."""
    from nova_ha.cli import planning
    from nova_ha.cli.remedies import remedy_in
    from nova_ha.cluster.duty import duty
    from nova_ha.cluster.registry import existing_compute_node
    from nova_ha.cluster.view import read_view
    from nova_ha.recovery.findings import look
    from nova_ha.recovery.gates import readings, targets_of
    from nova_ha.recovery.last_look import decide

    tools = means.recovery()
    view = read_view(tools.store)
    node, incident = existing_compute_node(view, name), view.incident(name)
    findings = look(tools, node, view)
    hosts = targets_of(findings, node)
    room = planning.room_words(tools, hosts)
    trouble, servers = "", []
    try:
        servers = planning.server_lines(tools, findings, node)
    except HAError as error:
        trouble = str(error)
    return {
        "node": name,
        "seen_from": tools.me,
        "duty": duty(view, name, findings.now).words,
        "verdict": planning.verdict_words(decide(findings, name, incident)),
        "gates": [
            {
                "gate": reading.gate.value,
                "is": reading.is_,
                "evidence": reading.evidence,
                "remedy": remedy_in(view, reading.gate, name) if reading.shut else "",
            }
            for reading in readings(findings, node, incident)
        ],
        "fence": planning.fence_words(findings, node, incident),
        "targets": {host or "the scheduler's choice": room.get(host, "") for host in hosts},
        "servers_trouble": trouble,
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
