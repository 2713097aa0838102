"""`nova-ha handle failures`: what Consul's watch on the observers' checks runs, by hand."""

from __future__ import annotations

import click

from nova_ha.cli.clients import Clients, pass_clients
from nova_ha.printable import printable, printable_json


@click.command("failures")
@click.option("--node", metavar="NODE", help="Only this compute node.")
@click.option("--dry-run", is_flag=True, help="Say what would be counted and set; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@pass_clients
def handle_failures(clients: Clients, node: str | None, dry_run: bool, as_json: bool) -> None:
    """Count failed intervals, and set status/failed at the threshold, as the watch's handler does.

    Example: nova-ha handle failures --dry-run
    """
    from nova_ha.handlers.failures import count, preview

    store = clients.store()
    summary = preview(store, node) if dry_run else count(store, node)
    if as_json:
        click.echo(printable_json({"dry_run": dry_run, **summary.to_json()}, indent=2))
    else:
        click.echo("\n".join(printable(("would: " if dry_run else "") + line) for line in summary.in_words()))
