"""`nova-ha pause`: stop all automatic action."""

from __future__ import annotations

import click

from nova_ha.cli.clients import Clients, pass_clients
from nova_ha.cli.decision_options import record_options
from nova_ha.cli.output import say


@click.command("pause")
@record_options
@pass_clients
def pause(clients: Clients, why: str, by: str) -> None:
    """Stop all automatic action: nothing is set failed, and drivers stop before their next step with an effect.

    \b
      nova-ha pause --why "switches are being replaced"
    """
    from nova_ha.recovery import operator

    present, is_new = operator.pause(clients.store(), clients.clock, by=by, why=why)
    say(f"{'paused' if is_new else 'paused already'} by {present.by} since {present.since}: {present.why}")
