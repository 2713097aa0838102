"""`nova-ha handle recovery`: what Consul's watches run when there may be something to recover, by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from nova_ha.cli.clients import Clients, pass_clients
from nova_ha.errors import ExitCode
from nova_ha.printable import printable

if TYPE_CHECKING:
    from nova_ha.recovery.recover import Result


@click.command("recovery")
@click.option("--node", "nodes", multiple=True, metavar="NODE", help="Only this compute node; may be repeated.")
@click.option("--dry-run", is_flag=True, help="Say what is due and what the last look finds; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@pass_clients
def handle_recovery(clients: Clients, nodes: tuple[str, ...], dry_run: bool, as_json: bool) -> int:
    """Recover the failed nodes that are due, in the foreground.

    It claims one node at a time, fences it, evacuates its servers and goes on with the next. A second one
    started beside it finds the locks held and leaves it alone. SIGTERM stops it between two steps. It exits with 3
    where a gate is closed or an incident asks for you, with 75 where the timer will try again by itself.

    Example: nova-ha handle recovery --node compute-7
    """
    from nova_ha.cluster.registry import existing_compute_node
    from nova_ha.cluster.view import read_view
    from nova_ha.recovery.recover import dry_run_all, not_due, recover_all

    driver = clients.recovery()
    if nodes:
        view = read_view(driver.store)
        for node in nodes:
            existing_compute_node(view, node)
    if dry_run:
        results = dry_run_all(driver, nodes)
    else:
        done = recover_all(driver, nodes)
        results = {**done, **not_due(driver, [node for node in nodes if node not in done])}
    if as_json:
        click.echo(json.dumps({r.node: {"outcome": r.outcome, "words": r.words} for r in results.values()}))
    else:
        for result in results.values():
            click.echo(printable(f"{result.node}: {result.outcome}: {result.words}"))
        if not results:
            click.echo("nothing is due")
    codes = {_exit_code(result) for result in results.values()}
    return next((code for code in (ExitCode.REFUSED, ExitCode.TRY_AGAIN) if code in codes), ExitCode.DONE)


def _exit_code(result: Result) -> ExitCode:
    if result.outcome == "waits":
        return ExitCode.TRY_AGAIN if result.gate is None or result.gate.tried_again else ExitCode.REFUSED
    return ExitCode.REFUSED if result.outcome == "needs-operator" else ExitCode.DONE
