"""What Consul's watch on the observers' checks runs: `nova-ha-handle-failures` counts, and flips.

The watch only wakes it: it reads the state itself, so what is on standard input does not matter.
"""

from __future__ import annotations

import click
from nova_ha.beside import start_look_out
from nova_ha.clock import SystemClock
from nova_ha.cluster.schema import ha_node
from nova_ha.consul.store import Store, connect
from nova_ha.errors import ExitCode, Refused
from nova_ha.monitor.look import decide, look
from nova_ha.monitor.summary import Summary
from nova_ha.monitor.writing import count_failures
from nova_ha.printable import printable, printable_json


@click.command()
@click.option("--node", metavar="NODE", help="Only this compute node.")
@click.option("--dry-run", is_flag=True, help="Say what would be counted and set; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(node: str | None, dry_run: bool, as_json: bool) -> None:
    """Count failed intervals, and set status/failed at the threshold, as the watch's handler does.

    Example: nova-ha handle failures --dry-run
    """
    store = connect()
    summary = preview(store, node) if dry_run else count(store, node)
    if as_json:
        click.echo(printable_json({"dry_run": dry_run, **summary.to_json()}, indent=2))
    else:
        click.echo("\n".join(printable(("would: " if dry_run else "") + line) for line in summary.in_words()))


def count(store: Store, only: str | None = None) -> Summary:
    """Count as the node of the local agent. Raises Refused where that is no HA node, else as count_failures."""
    me = store.node_name()
    if not store.keys(ha_node(me)):
        raise Refused(f"{me} is not an HA node: no keys under {ha_node(me)}", remedy=f"`nova-ha ha-node add {me}`")
    return count_failures(store, SystemClock(), only)


def preview(store: Store, only: str | None = None) -> Summary:
    """Return what `count` would do now. Raises ConsulError, and ConfigError where `only` is not registered."""
    seen = look(store, SystemClock())
    return Summary.of(seen.view, decide(seen, only))


def handle() -> int:
    """Handle one call of the watch."""
    store = connect()
    if count(store).failing:
        start_look_out(store.node_name())
    return ExitCode.DONE


def main() -> None:
    """Run as the watch's handler."""
    from nova_ha.handlers.handler_guard import run_handler

    run_handler("nova-ha-handle-failures", handle)
