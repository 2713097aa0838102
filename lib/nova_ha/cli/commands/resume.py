"""`nova-ha resume`: go on after a pause."""

from __future__ import annotations

import click

from nova_ha.cli.clients import Clients, pass_clients
from nova_ha.cli.output import say


@click.command("resume")
@pass_clients
def resume(clients: Clients) -> None:
    """Go on after a pause: what is due begins at once.

    \b
      nova-ha resume
    """
    from nova_ha.recovery import operator

    ended = operator.resume(clients.store())
    say(f"resumed; it was paused by {ended.by} since {ended.since}" if ended else "it was not paused")
