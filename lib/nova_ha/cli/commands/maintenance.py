"""`nova-ha node maintenance`: neither count nor fence NODE until the maintenance ends."""

from __future__ import annotations

from datetime import datetime, timedelta

import click

from nova_ha.cli.clients import Clients, pass_clients
from nova_ha.cli.decision_options import limit_options, node_argument, record_options
from nova_ha.cli.output import say
from nova_ha.cli.words import end_of


@click.command("maintenance")
@node_argument
@click.option("--end", is_flag=True, help="End it now.")
@limit_options("How long it lasts: 30m, 2h, 1d.", "2h")
@record_options
@pass_clients
def maintenance(
    clients: Clients, /, name: str, end: bool, span: timedelta | None, until: datetime | None, why: str, by: str
) -> None:
    """Neither count nor fence NODE until the maintenance ends; it ends by itself.

    \b
      nova-ha node maintenance compute-7 --for 4h --why "new memory"
      nova-ha node maintenance compute-7 --end
    """
    from nova_ha.recovery import operator

    if end:
        ended = operator.end_maintenance(clients.store(), clients.clock, name)
        return say(f"{name} is watched again" if ended else f"{name} was not in maintenance")
    limit = end_of(clients.clock.now(), span, until) or clients.clock.now() + timedelta(hours=2)
    wanted = operator.maintenance(clients.store(), clients.clock, name, until=limit, by=by, why=why)
    return say(f"{name} is in maintenance until {wanted.until:%Y-%m-%d %H:%M:%S} UTC")
