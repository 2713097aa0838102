"""SSH of all compute nodes: one sweep, whose streaks are what the monitor counts."""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, NoReturn

import click
from nova_ha.checks import check_guard

if TYPE_CHECKING:
    from nova_ha.checks.inputs import Inputs
    from nova_ha.cluster.node import ComputeNode
    from nova_ha.consul.store import Store
    from nova_ha.probe.observation import Report
    from nova_ha.probe.sighting import Sighting

# Of each interval; the rest is for Consul, and for a machine that is busy.
DEADLINE = 0.8
# Between the end of the sweep and the deadline.
PRINTING_S = 0.1
# Credentials that were refused are tried again this often, and at once when their keys change.
TRY_AGAIN_S = 600
# A `failed` node whose login hung is logged in to this often: our own logins that hang fill its MaxStartups, and
# OpenSSH from 9.8 on shuts whoever let some of them hang out for minutes, also after the node is well again.
HUNG_AGAIN_S = 60
CREDENTIALS = ("user", "password", "host_key", "address", "port")


@click.command("ssh")
@click.argument("nodes", nargs=-1)
@click.option("--interval", type=click.IntRange(2, 3600), default=5, show_default=True, help="In seconds.")
@click.option(
    "--host-limit", type=click.FloatRange(0.2, 60), default=2.0, show_default=True, help="Seconds per node."
)
@click.option(
    "--paced", is_flag=True, help="Wait for this agent's next turn: for an agent that starts it every second."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON only.")
def command(nodes: tuple[str, ...], interval: int, host_limit: float, paced: bool, as_json: bool) -> int:
    """Log in to compute nodes by SSH: to those named, or to all as an agent's check.

    \b
    Exit codes: 0 all well, 1 something is unknown, 2 a node fails that is not `failed` yet.
    """
    if paced and not nodes:
        check_guard.await_turn(interval)
    from nova_ha.consul.connection import CHECK_TIMEOUT_S
    from nova_ha.consul.store import connect

    store = connect(call_timeout_s=CHECK_TIMEOUT_S)
    if nodes:
        return look_at(store, nodes, host_limit, as_json)
    return sweep(store, interval, host_limit, as_json)


def sweep(store: Store, interval_s: int, host_s: float, as_json: bool = False) -> int:
    """Sweep all nodes, print the report for Consul, and return the exit code. Raises ConsulError."""
    from nova_ha.checks.exit_code import exit_code
    from nova_ha.checks.inputs import read_inputs
    from nova_ha.cluster.schema import SSH_CHECK
    from nova_ha.probe.streak import next_report

    deadline_s = interval_s * DEADLINE
    check_guard.end_by(deadline_s)
    inputs = read_inputs(store, SSH_CHECK)
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    only = banner_only(inputs, now, interval_s)
    seen = _sightings(inputs.nodes, deadline_s - check_guard.spent_s() - PRINTING_S, host_s, only)
    sightings = unless_turned_away(seen, inputs)
    report = next_report(
        inputs.previous,
        sightings,
        probe="ssh",
        now_boottime=now,
        boot_id=check_guard.boot_id(),
        interval_s=interval_s,
        fail_threshold=inputs.fail_threshold,
        credentials={name: credentials(node) for name, node in inputs.nodes.items()},
    )
    _print(report, as_json)
    return exit_code(sightings, (name for name, node in inputs.nodes.items() if node.failed))


def look_at(store: Store, names: tuple[str, ...], host_s: float, as_json: bool) -> int:
    """Look at the named nodes only, print a line for each, and return the exit code. Raises ConsulError."""
    from nova_ha.checks.exit_code import exit_code, show
    from nova_ha.checks.inputs import read_named
    from nova_ha.probe.sighting import unknown

    found = read_named(store, names)
    nodes = {name: node for name, node in found.items() if node}
    sightings = {name: unknown("is not registered") for name in found}
    sightings.update(_sightings(nodes, 2 * host_s + 2, host_s, {}))
    show(sightings, "login works", as_json)
    return exit_code(sightings)


def banner_only(inputs: Inputs, now: float, interval_s: int) -> Mapping[str, Sighting]:
    """Return the nodes that are to be seen only as far as the banner, with what then stands.

    A full try comes round in one window of every ten minutes, or of every minute, by the boot's clock, another one
    for each node: this needs no file that could be full, old or read-only. The window is longer than any time
    between two sweeps; for a login that hangs it is an interval, since two of them wait for twice as long.
    """
    found = {}
    for name, stands in standing(inputs).items():
        refused = (TRY_AGAIN_S, interval_s * (1 + DEADLINE))
        every_s, window_s = (HUNG_AGAIN_S, interval_s) if stands.hung else refused
        if (now + zlib.crc32(name.encode())) % every_s >= window_s:
            found[name] = stands
    return found


def unless_turned_away(sightings: Mapping[str, Sighting], inputs: Inputs) -> Mapping[str, Sighting]:
    """Return the sightings; where its sshd turned us away, what stands of the node since its last login."""
    from nova_ha.probe.reach import TURNED_AWAY

    stands = standing(inputs)
    return {name: stands.get(name, seen) if seen == TURNED_AWAY else seen for name, seen in sightings.items()}


def standing(inputs: Inputs) -> Mapping[str, Sighting]:
    """Return what stands of those nodes whose last login, with the credentials of now, was refused or hung.

    One that hung stands of a `failed` node only: until then each interval is counted by a login of its own.
    """
    from nova_ha.probe.observation import HUNG, Failing, Report, Unknown
    from nova_ha.probe.sighting import failing, unknown

    if not isinstance(inputs.previous, Report):
        return {}
    found = {}
    for name, seen in inputs.previous.nodes.items():
        node = inputs.nodes.get(name)
        # Below the threshold it would count an interval in which nobody logged in.
        capped = isinstance(seen, Failing) and seen.streak >= inputs.fail_threshold
        if node and seen.tried == credentials(node):
            why = seen.why if isinstance(seen, Unknown) else "login refused before"
            found[name] = unknown(why, refused=True)
        elif node and node.failed and capped and seen.tried == HUNG + credentials(node):
            found[name] = failing(seen.why, hung=True)
    return found


def credentials(node: ComputeNode) -> str:
    """Return what changes whenever somebody writes one of the keys that a login depends on."""
    indexes = ".".join(str(node.index(f"config/ssh/{leaf}")) for leaf in CREDENTIALS)
    return f"{zlib.crc32(indexes.encode()):x}"  # short: a report of 1,000 refusing nodes has to fit


def _sightings(
    nodes: Mapping[str, ComputeNode], deadline_s: float, host_s: float, only: Mapping[str, Sighting]
) -> Mapping[str, Sighting]:
    from nova_ha.checks.inputs import problem_in
    from nova_ha.probe import ssh_sweep

    bad = {name: problem for name, node in nodes.items() if (problem := problem_in(node, "ssh"))}
    configs = {name: node.ssh for name, node in nodes.items() if name not in bad}
    return {**bad, **ssh_sweep.sweep(configs, max(deadline_s, 0.0), host_s, only)}


def _print(report: Report, as_json: bool) -> None:
    text = report.to_output()
    click.echo(text.partition("\n")[2] if as_json else text, nl=False)


def main() -> NoReturn:
    """Run as Consul's check."""
    check_guard.run(command)
