"""`nova-ha handle`: what Consul's watches run, by hand."""

from __future__ import annotations

import click

from nova_ha.cli.lazy import COMMANDS, LazyGroup, Place

HANDLERS = {
    "failures": Place(COMMANDS + "handle_failures:handle_failures", "Count failed intervals, and set status/failed."),
    "recovery": Place(COMMANDS + "handle_recovery:handle_recovery", "Recover failed nodes."),
}


@click.group("handle", cls=LazyGroup, places=HANDLERS)
def handle() -> None:
    """Run a handler by hand, in the foreground, as the node of the local Consul agent.

    \b
      nova-ha handle recovery --node compute-7 --dry-run
    """
