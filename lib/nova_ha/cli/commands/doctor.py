"""`nova-ha doctor`: try everything that a recovery would need."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import click

from nova_ha.cli.clients import Clients, pass_clients
from nova_ha.cli.doctor.finding import Finding, Level
from nova_ha.cli.output import json_option, print_json
from nova_ha.errors import ExitCode
from nova_ha.printable import printable

COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.BAD: "red"}


@click.command("doctor")
@click.option("--record", is_flag=True, help="Record host keys and BMC identities that are not recorded yet.")
@click.option("--quick", is_flag=True, help="Leave out what takes time: how often each nova-compute reports (25 s).")
@click.option("--quiet", is_flag=True, help="Print only what is not well.")
@json_option
@pass_clients
def doctor(clients: Clients, /, record: bool, quick: bool, quiet: bool, as_json: bool) -> int:
    """Try everything that a recovery would need, from here, and change nothing: Consul, rights, keys, observers, a
    login at every host and every BMC with its identity, Nova, room on the HA nodes, how often the nova-computes
    report. Exit 1 where something is bad.

    Run it on each HA node, from time to time.

    \b
      nova-ha doctor
      nova-ha doctor --record
    """
    found = _shown_findings(clients, record, quick)
    if as_json:
        print_json([_values(finding) for finding in found])
    else:
        for finding in found:
            if not (quiet and finding.level is Level.OK):
                _print(finding)
        click.echo(_summary(found), err=True)
    return ExitCode.FAILED if any(finding.level is Level.BAD for finding in found) else ExitCode.DONE


def _shown_findings(clients: Clients, record: bool, quick: bool) -> list[Finding]:
    from nova_ha.cli.doctor.examination import examine

    with _progress(["Consul", "SSH", "BMC", "Nova", *([] if quick else ["reports"])]) as done:
        return examine(clients, record=record, quick=quick, done=done)


@contextmanager
def _progress(left: list[str]) -> Iterator[Callable[[str], None]]:
    """Show on a terminal what is still being tried; nothing elsewhere."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda area: None
        return
    from rich.console import Console

    console = Console(stderr=True)
    with console.status(f"trying {', '.join(left)}") as status:

        def done(area: str) -> None:
            left.remove(area)
            status.update(f"trying {', '.join(left)}")

        yield done


def _print(finding: Finding) -> None:
    way = f" => {printable(finding.remedy)}" if finding.remedy else ""
    level = click.style(f"{finding.level.value:8}", fg=COLOURS[finding.level])
    click.echo(f"{level}{finding.area:10}{printable(finding.subject)}: {printable(finding.what)}{way}")


def _summary(found: Sequence[Finding]) -> str:
    counts = {level: sum(finding.level is level for finding in found) for level in Level}
    return ", ".join(f"{count} {level.value}" for level, count in counts.items())


def _values(finding: Finding) -> dict[str, str]:
    return {
        "level": finding.level.value,
        "area": finding.area,
        "subject": finding.subject,
        "what": finding.what,
        "remedy": finding.remedy,
    }
