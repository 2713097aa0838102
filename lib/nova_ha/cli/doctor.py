"""`nova-ha doctor`: try everything that a recovery would need."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from nova_ha.cli.finding import Finding, Level, bad, ok
from nova_ha.cli.means import Means, pass_means
from nova_ha.cli.output import json_option, print_json
from nova_ha.errors import ConsulError, ExitCode, HAError
from nova_ha.printable import printable

if TYPE_CHECKING:
    from nova_ha.cli.look import Look
    from nova_ha.cluster.registry import NodeSettings
    from nova_ha.consul.store import Store

COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.BAD: "red"}
Examination = Callable[[], Sequence[Finding]]


@click.command("doctor")
@click.option("--record", is_flag=True, help="Record host keys and BMC identities that are not recorded yet.")
@click.option("--quiet", is_flag=True, help="Print only what is not well.")
@json_option
@pass_means
def doctor(means: Means, /, record: bool, quiet: bool, as_json: bool) -> int:
    """Try everything that a recovery would need, from here, and change nothing: Consul, rights, keys, observers, a
    login at every host and every BMC with its identity, Nova, room on the HA nodes. Exit 1 where something is bad.

    Run it on each HA node, from time to time.

    \b
      nova-ha doctor
      nova-ha doctor --record
    """
    found = _shown_findings(means, record)
    if as_json:
        print_json([_values(finding) for finding in found])
    else:
        for finding in found:
            if not (quiet and finding.level is Level.OK):
                _print(finding)
        click.echo(_summary(found), err=True)
    return ExitCode.FAILED if any(finding.level is Level.BAD for finding in found) else ExitCode.DONE


def examine(means: Means, *, record: bool, done: Callable[[str], None] = lambda area: None) -> list[Finding]:
    """Try it all and return the findings by area; `done` is told each area that has ended.

    Nothing is raised: what cannot be tried is a finding.
    """
    from nova_ha.cli.doctor_consul import consul_findings, unreadable
    from nova_ha.cli.look import look

    store = means.store()
    try:
        seen = look(store, means.clock.now())
    except ConsulError as error:
        return list(unreadable(store, error))
    settings: dict[str, NodeSettings] = {}
    # Alone: the others import for a second, and the sweep would find this machine too busy to tell.
    logins = _tried("SSH", lambda: _ssh(seen))
    done("SSH")
    areas: Mapping[str, Examination] = {
        "Consul": lambda: [*consul_findings(store, seen), *_agent(store, seen)],
        "BMC": lambda: _bmc(seen, settings, record),
        "Nova": lambda: _nova(means, seen),
    }
    found = _all_at_once(areas, done)
    return [*logins, *found] + [_recorded(store, name, wanted) for name, wanted in settings.items()]


def _all_at_once(areas: Mapping[str, Examination], done: Callable[[str], None]) -> list[Finding]:
    """Try all areas at once. In daemon threads, so that Ctrl-C ends it although a sweep still runs."""
    ended: queue.SimpleQueue[tuple[str, Sequence[Finding]]] = queue.SimpleQueue()

    def work(area: str) -> None:
        ended.put((area, _tried(area, areas[area])))

    for area in areas:
        threading.Thread(target=work, args=(area,), name=area, daemon=True).start()
    found: dict[str, Sequence[Finding]] = {}
    while len(found) < len(areas):
        area, findings = ended.get()
        found[area] = findings
        done(area)
    return [finding for area in areas for finding in found[area]]


def _agent(store: Store, seen: Look) -> Sequence[Finding]:
    from nova_ha.cli.doctor_agent import agent_findings

    # Of its own: what the agent does not tell takes nothing from the other findings about Consul.
    return _tried("Consul", lambda: list(agent_findings(store, seen)))


def _ssh(seen: Look) -> list[Finding]:
    from nova_ha.cli.doctor_hosts import ssh_findings

    return list(ssh_findings(seen.view))


def _bmc(seen: Look, settings: dict[str, NodeSettings], record: bool) -> list[Finding]:
    """Return the BMCs' findings; with `record`, put into `settings` what can be recorded of the hosts."""
    from nova_ha.cli.doctor_hosts import bmc_findings, missing_host_keys, to_record

    found, identities = bmc_findings(seen.view)
    if record:
        nodes = seen.view.compute_nodes
        settings.update(to_record(nodes, missing_host_keys(nodes), identities))
    return found


def _nova(means: Means, seen: Look) -> list[Finding]:
    from nova_ha.cli.doctor_nova import nova_findings

    return list(nova_findings(means.compute(), seen.view))


def _recorded(store: Store, name: str, wanted: NodeSettings) -> Finding:
    from nova_ha.cluster.registry import set_compute_node

    what = " and ".join(
        words for words, value in (("host key", wanted.ssh_host_key), ("BMC identity", wanted.bmc_identity)) if value
    )
    try:
        set_compute_node(store, name, wanted)
    except HAError as error:
        return bad("record", name, error.message, error.remedy)
    return ok("record", name, f"{what} recorded")


def _tried(area: str, examination: Examination) -> Sequence[Finding]:
    try:
        return examination()
    except HAError as error:
        return [bad(area, "all", error.message, error.remedy)]
    except Exception as error:
        # A thread's own end of the guard: without it nobody would ever hear of the area.
        return [bad(area, "all", f"{type(error).__name__}: {error}", "this is a mistake in nova-ha: report it")]


def _shown_findings(means: Means, record: bool) -> list[Finding]:
    with _progress() as done:
        return examine(means, record=record, done=done)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Show on a terminal what is still being tried; nothing elsewhere."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda area: None
        return
    from rich.console import Console

    left = ["Consul", "SSH", "BMC", "Nova"]
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
