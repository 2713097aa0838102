"""`nova-ha node reset`: take the repaired NODE back."""

from __future__ import annotations

import click

from nova_ha.cli.clients import Clients, pass_clients
from nova_ha.cli.decision_options import by_option, node_argument
from nova_ha.cli.output import note, say


@click.command("reset")
@node_argument
@by_option
@pass_clients
def reset(clients: Clients, /, name: str, by: str) -> None:
    """Take the repaired NODE back: it is watched again, and Nova schedules to it.

    The host must answer, and its nova-compute must have been restarted: that removes what was evacuated. Waits up to
    three minutes for it. An incident that waits is put into the history. Where it says that
    something is missing, mend that and run it again.

    \b
      nova-ha node reset compute-7
    """
    from nova_ha.recovery.reset import reset as take_back

    tools = clients.recovery()
    compute = tools.compute()
    done = take_back(tools.store, tools.clock, name, compute, tools.sight, by=by, bmc=tools.bmc, progress=note)
    old = f"; the incident of {done.archived} is in the history" if done.archived else ""
    say(f"{name} is watched again{old}")
    if done.left_disabled:
        note(f"Note: its nova-compute stays disabled, as somebody else left it ({done.left_disabled})")
