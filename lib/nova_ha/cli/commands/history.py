"""`nova-ha history`: what happened, and how long each step took."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from nova_ha.cli.clients import Clients, pass_clients
from nova_ha.cli.completion import complete_compute_node
from nova_ha.cli.output import json_option, note, print_json, print_table
from nova_ha.errors import ConfigError

if TYPE_CHECKING:
    from datetime import datetime

    from nova_ha.cluster.incident import Incident


@click.command("history")
@click.argument("name", metavar="[NODE]", required=False, shell_complete=complete_compute_node)
@click.option("--started", metavar="STAMP", help="Tell the incident that began then, not the last one.")
@click.option("--list", "listed", is_flag=True, help="List NODE's incidents instead of telling one.")
@click.option("-n", "--last", "most", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@json_option
@pass_clients
def history(
    clients: Clients, /, name: str | None, started: str | None, listed: bool, most: int, as_json: bool
) -> None:
    """List the incidents, oldest first; or with NODE tell its open or last one: steps, fence receipt, servers.

    \b
      nova-ha history
      nova-ha history compute-7
      nova-ha history compute-7 --started 2026-01-31T22:00:00.000Z --json
    """
    if name is None and (started or listed):
        raise click.UsageError("--started and --list need a NODE")
    incidents = _incidents(clients, name)
    if name is None or listed:
        return _print_list(incidents[-most:], clients.clock.now(), as_json)
    return _print_one(_chosen(incidents, name, started), clients.clock.now(), as_json)


def _incidents(clients: Clients, name: str | None) -> list[Incident]:
    from nova_ha.cli.incidents import open_incidents, past_incidents
    from nova_ha.cluster.view import read_view

    store = clients.store()
    past, bad_past = past_incidents(store, name)
    opened, bad_open = open_incidents(read_view(store), name)
    for problem in (*bad_past, *bad_open):
        note(f"Warning: {problem}")
    return sorted([*past, *opened], key=lambda incident: incident.started)


def _chosen(incidents: Sequence[Incident], name: str, started: str | None) -> Incident:
    found = [incident for incident in incidents if started is None or _began(incident, started)]
    if not found:
        which = f"incident that began {started}" if started else "incident"
        raise ConfigError(f"{name} has no {which}", remedy=f"see `nova-ha history {name} --list`")
    return found[-1]


def _began(incident: Incident, stamp: str) -> bool:
    """True where the incident began then, whether the stamp is a record's, a key's, or another ISO 8601."""
    from nova_ha.clock import from_stamp, to_stamp

    try:
        return to_stamp(from_stamp(stamp)) == to_stamp(incident.started)
    except ValueError:
        return False


def _print_list(incidents: Sequence[Incident], now: datetime, as_json: bool) -> None:
    from nova_ha.cli.views.history import HEADS, row

    if as_json:
        return print_json([_values(incident, now) for incident in incidents])
    if not incidents:
        return note("no incident is recorded")
    return print_table(HEADS, [row(incident, now) for incident in incidents])


def _print_one(incident: Incident, now: datetime, as_json: bool) -> None:
    from nova_ha.cli.views.history import lines

    if as_json:
        return print_json(_values(incident, now))
    return click.echo("\n".join(lines(incident, now)))


def _values(incident: Incident, now: datetime) -> dict[str, Any]:
    from nova_ha.cli.views.history import spent, took

    values = incident.to_values()
    durations = {state.value: round(seconds, 3) for state, seconds in spent(incident, now).items()}
    return {**values, "took_s": round(took(incident, now), 3), "spent_s": durations}
