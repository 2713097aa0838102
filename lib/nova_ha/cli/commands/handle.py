"""`nova-ha handle`: what Consul's watches run, by hand."""

from __future__ import annotations

import click

from nova_ha.cli.lazy import LazyGroup, Place

HANDLERS = {
    "failures": Place("nova_ha.handlers.failures:command", "Count failed intervals, and set status/failed."),
    "recovery": Place("nova_ha.handlers.recovery:command", "Recover failed nodes."),
}


@click.group("handle", cls=LazyGroup, places=HANDLERS)
def handle() -> None:
    """Run a handler by hand, in the foreground, as the node of the local Consul agent.

    \b
      nova-ha handle recovery --node compute-7 --dry-run
    """
