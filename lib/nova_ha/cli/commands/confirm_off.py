"""`nova-ha node confirm-off`: vouch that the power of NODE is off, and stays off."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta

import click

from nova_ha.cli.clients import Clients, pass_clients
from nova_ha.cli.decision_options import limit_options, node_argument, record_options
from nova_ha.cli.output import say
from nova_ha.cli.words import end_of


@click.command("confirm-off")
@node_argument
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@limit_options("How long your word is good for.", "1h")
@record_options
@pass_clients
def confirm_off(
    clients: Clients, /, name: str, yes: bool, span: timedelta | None, until: datetime | None, why: str, by: str
) -> None:
    """Vouch that the power of NODE is off, and stays off: its servers are then started elsewhere.

    If it is not off, guests run twice and their disks are destroyed. Go and look, or pull the plug.

    \b
      nova-ha node confirm-off compute-7 --why "unplugged, seen by me"
    """
    from nova_ha.recovery import operator

    if not yes and sys.stdin is not None and sys.stdin.isatty():
        click.confirm(f"Is the power of {name} off, and does it stay off?", abort=True, err=True)
    end = end_of(clients.clock.now(), span, until)
    receipt = operator.confirm_off(clients.store(), clients.clock, name, by=by, why=why, until=end)
    say(f"{name} is off by the word of {receipt.by} until {receipt.until:%Y-%m-%d %H:%M:%S} UTC: it goes on")
