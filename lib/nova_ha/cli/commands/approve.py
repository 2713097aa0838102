"""`nova-ha approve`: let gates pass for one incident of each NODE."""

from __future__ import annotations

from datetime import datetime, timedelta

import click

from nova_ha.cli.clients import Clients, pass_clients
from nova_ha.cli.completion import complete_compute_node
from nova_ha.cli.decision_options import limit_options, record_options
from nova_ha.cli.output import note, say
from nova_ha.cli.views.remedies import remedy
from nova_ha.cli.words import end_of
from nova_ha.cluster.gate import APPROVABLE, APPROVED_BY_DEFAULT, Gate
from nova_ha.cluster.reading import in_words

GATES = click.Choice([gate.value for gate in APPROVABLE])


@click.command("approve")
@click.argument("names", metavar="NODE...", nargs=-1, required=True, shell_complete=complete_compute_node)
@click.option("--gate", "gates", multiple=True, type=GATES, help="Let this gate pass; may be repeated.")
@limit_options("How long it is good for: 30m, 2h, 1d.", "1h")
@record_options
@pass_clients
def approve(
    clients: Clients,
    /,
    names: tuple[str, ...],
    gates: tuple[str, ...],
    span: timedelta | None,
    until: datetime | None,
    why: str,
    by: str,
) -> None:
    """Let gates pass for one incident of each NODE: max-failed, repeat and approval where no --gate names others.

    It says which gates are closed now, which of them it lets pass, and which it does not: those stay closed. Refused
    for a node that does not fail. It ends with the failure that it was given for, or at its time.

    \b
      nova-ha approve compute-7 compute-8 --why "rack 3 has lost its power"
      nova-ha approve compute-7 --gate nova-reports --for 10m
    """
    from nova_ha.cli.views.closed_gates import closed_gates
    from nova_ha.recovery import operator

    chosen = [Gate(name) for name in gates] or APPROVED_BY_DEFAULT
    end = end_of(clients.clock.now(), span, until)
    closed, trouble = closed_gates(clients, names)
    done = operator.approve(clients.store(), clients.clock, names, by=by, why=why, until=end, gates=chosen)
    passed = ", ".join(gate.value for gate in done.gates)
    say(f"{', '.join(done.nodes)}: {passed} may pass until {done.until:%Y-%m-%d %H:%M:%S} UTC")
    for node in done.nodes:
        if found := closed.get(node):
            pass_now = ", ".join(reading.gate.value for reading in found if reading.gate in done.gates) or "none"
            say(f"{node}: closed now: {', '.join(reading.gate.value for reading in found)}; passes: {pass_now}")
    for node in done.worked_on:
        note(f"Note: {node}: a recovery works on it and waits for nobody: nothing was approved")
    for node in done.well:
        note(f"Note: {node}: there is no failure to approve: nothing was approved")
    for node, gate in done.still_closed.items():
        note(f"Note: {node} still waits at {gate.value}: {remedy(gate, node)}")
    for node in done.nodes:
        for reading in closed.get(node, ()):
            if reading.gate not in (*done.gates, done.still_closed.get(node)):
                words = f"{reading.gate.value} ({in_words(reading)})"
                note(f"Note: {node}: closed too, and not let pass: {words}: {remedy(reading.gate, node)}")
    if trouble:
        note(f"Note: not every gate was looked at: {trouble}")
