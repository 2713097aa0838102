"""`nova-ha node rebuild-server`: let a server that was left come back with a new disk."""

from __future__ import annotations

import sys
from typing import Any

import click

from nova_ha.cli.clients import Clients, pass_clients
from nova_ha.cli.decision_options import node_argument, record_options
from nova_ha.cli.output import json_option, note, print_json, say
from nova_ha.errors import ExitCode


@click.command("rebuild-server")
@node_argument
@click.argument("servers", metavar="SERVER...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--no-wait", is_flag=True, help="Do not wait for the end.")
@record_options
@json_option
@pass_clients
def rebuild_server(
    clients: Clients,
    /,
    name: str,
    servers: tuple[str, ...],
    yes: bool,
    no_wait: bool,
    why: str,
    by: str,
    as_json: bool,
) -> int:
    """Start each SERVER elsewhere that was left with its root disk on the failed NODE, with a NEW one from its image.

    What is on the old disk does not come along, and Nova deletes it when the host returns. A server is named by its
    id or its name. It is done in a new incident, with a fresh fence, which also tries again what had failed. Refused
    unless the host was proved off and forced down, and the server was left.

    \b
      nova-ha node rebuild-server compute-7 0b7c2c5e-... --why "its owner has a backup"
    """
    from nova_ha.recovery import rebuild

    store = clients.store()
    plan = rebuild.planned(store, name, servers)
    if not yes and sys.stdin is not None and sys.stdin.isatty():
        names = ", ".join(plan.servers.values())
        click.confirm(f"Give up the root disk of {names}, and start it with a new one?", abort=True, err=True)
    rebuild.rebuild(store, clients.clock, plan, by=by, why=why)
    if no_wait:
        say(f"{', '.join(plan.servers.values())}: to be started with a new disk; `nova-ha history {name}` tells")
        return ExitCode.DONE
    note(f"{name} is to be recovered anew by an HA node; Ctrl-C leaves it to them")
    ended = rebuild.followed(store, clients.clock, plan, note)
    rows = [_row(server, plan, ended.get(server)) for server in plan.servers]
    if as_json:
        print_json(rows)
    else:
        for row in rows:
            say(": ".join(filter(None, (row["name"], " ".join(filter(None, (row["is"], row["host"]))), row["why"]))))
    return ExitCode.DONE if all(row["is"] in ("rebuilt", "evacuated") for row in rows) else ExitCode.FAILED


def _row(server: str, plan: Any, progress: Any) -> dict[str, str]:
    return {
        "id": server,
        "name": plan.servers[server],
        "is": progress.state.value if progress else "not listed",
        "host": progress.host if progress else "",
        "why": progress.reason if progress else "",
    }
