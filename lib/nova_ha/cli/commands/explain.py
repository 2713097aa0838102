"""`nova-ha explain NODE`: why it is, or is not, set failed: every gate of the monitor with its evidence."""

from __future__ import annotations

import click

from nova_ha.cli.clients import Clients, pass_clients
from nova_ha.cli.completion import complete_compute_node
from nova_ha.cli.output import json_option, print_json, print_table, say

HEADS = ("gate", "is", "evidence", "what helps")


@click.command("explain")
@click.argument("name", metavar="NODE", shell_complete=complete_compute_node)
@json_option
@pass_clients
def explain(clients: Clients, /, name: str, as_json: bool) -> None:
    """Say why NODE is, or is not, taken for failed: the observers' votes, and each gate with its evidence.

    For a node that has failed, `nova-ha plan NODE` says what its recovery waits for.

    \b
      nova-ha explain compute-7
    """
    from nova_ha.cli.views.explain import explanation

    values = explanation(clients, name)
    if as_json:
        return print_json(values)
    say(values["words"])
    say(f"Observers: {values['votes']}")
    click.echo()
    rows = [
        (gate["gate"], "open" if gate["open"] else "closed", gate["evidence"], gate["remedy"])
        for gate in values["gates"]
    ]
    return print_table(HEADS, rows)
