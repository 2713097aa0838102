"""What a check prints and exits with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum

import click
from nova_ha.printable import printable, printable_json
from nova_ha.probe.sighting import Sighting, State


class CheckCode(IntEnum):
    """An exit code, as Consul and Nagios read it."""

    PASSING = 0
    WARNING = 1
    CRITICAL = 2


WORDS = {State.WELL: "OK", State.FAILING: "FAILING", State.UNKNOWN: "UNKNOWN"}


def exit_code(sightings: Mapping[str, Sighting], failed: Iterable[str] = ()) -> CheckCode:
    """Return CRITICAL while a node fails that is not among the `failed` already, WARNING while one is unknown."""
    known = set(failed)
    states = {seen.state for name, seen in sightings.items() if not (seen.state is State.FAILING and name in known)}
    if State.FAILING in states:
        return CheckCode.CRITICAL
    return CheckCode.WARNING if State.UNKNOWN in states else CheckCode.PASSING


def show(sightings: Mapping[str, Sighting], well: str, as_json: bool) -> None:
    """Print a line for each node, or one JSON object. `well` says what was seen of a node that is well."""
    if as_json:
        rows = {name: {"state": seen.state.value, "why": seen.why} for name, seen in sightings.items()}
        click.echo(printable_json(rows))
        return
    for name, seen in sightings.items():
        click.echo(printable(f"{WORDS[seen.state]} {name} {seen.why or well}"))
