"""`nova-ha plan NODE`: the recovery's dry run, gate by gate."""

from __future__ import annotations

import click

from nova_ha.cli.clients import Clients, pass_clients
from nova_ha.cli.completion import complete_compute_node
from nova_ha.cli.output import json_option, print_json, print_table, say


@click.command("plan")
@click.argument("name", metavar="NODE", shell_complete=complete_compute_node)
@json_option
@pass_clients
def plan(clients: Clients, /, name: str, as_json: bool) -> None:
    """Say what a recovery of NODE would find and do now, as seen from the local HA node; nothing is changed.

    Each gate with its evidence, how the power would be cut, where servers would go and what room is there, and what
    would become of each server. For a host that is well, `answers` is closed, as it should be.

    \b
      nova-ha plan compute-7
    """
    from nova_ha.cli.views.plan import planned

    values = planned(clients, name)
    if as_json:
        return print_json(values)
    say(f"{name}: {values['duty']}")
    say(values["verdict"])
    click.echo()
    cells = ("gate", "is", "evidence", "remedy")
    print_table(
        ("gate", "is", "evidence", "what helps"), [[gate[cell] for cell in cells] for gate in values["gates"]]
    )
    click.echo()
    say(f"Fence: {values['fence']}")
    for host, room in values["targets"].items():
        say(f"Target: {host}{f' ({room} free)' if room else ''}")
    if values["servers_trouble"]:
        return say(f"Servers: not known: {values['servers_trouble']}")
    ends = ", ".join(f"{count} {action}" for action, count in values["servers_by_end"].items())
    click.echo(f"\nServers: {len(values['servers'])}{f' ({ends})' if ends else ''}")
    heads = ("name", "id", "is", "would be", "priority", "why")
    return print_table(heads, [[str(cell) for cell in row.values()] for row in values["servers"]])
