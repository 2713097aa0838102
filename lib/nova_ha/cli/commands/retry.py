"""`nova-ha node retry`: recover the failed NODE in a new incident, with a fresh fence, for what is left on it."""

from __future__ import annotations

import click

from nova_ha.cli.clients import Clients, pass_clients
from nova_ha.cli.decision_options import by_option, node_argument
from nova_ha.cli.output import say


@click.command("retry")
@node_argument
@by_option
@pass_clients
def retry(clients: Clients, /, name: str, by: str) -> None:
    """Recover the failed NODE in a new incident, with a fresh fence, for what is left on it.

    \b
      nova-ha node retry compute-7
    """
    from nova_ha.recovery import operator

    done = operator.retry(clients.store(), clients.clock, name, by=by)
    old = f"; the incident of {done.archived} is in the history" if done.archived else ""
    say(f"{name} is to be recovered anew{old}")
