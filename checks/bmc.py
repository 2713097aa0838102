"""BMC of all compute nodes: who could not be fenced now. Shown, never counted."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, NoReturn

import click
from nova_ha.checks import check_guard

if TYPE_CHECKING:
    from nova_ha.cluster.node import ComputeNode
    from nova_ha.consul.store import Store
    from nova_ha.power.bmc_sweep import BMCSighting
    from nova_ha.power.device import FenceDevice
    from nova_ha.probe.sighting import Sighting

# Of each interval.
DEADLINE = 5 / 6
# Between the end of the sweep and the deadline.
PRINTING_S = 1.0
LOOK_S = 15.0


@click.command("bmc")
@click.argument("nodes", nargs=-1)
@click.option(
    "--interval", type=click.IntRange(10, 3600), default=60, show_default=True, help="Seconds between runs."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON only.")
def command(nodes: tuple[str, ...], interval: int, as_json: bool) -> int:
    """Read power and identity from the BMCs of compute nodes: of those named, or of all as an agent's check.

    \b
    Exit codes: 0 all could be fenced, 1 something is unknown or powered off, 2 a node cannot be fenced.
    """
    from nova_ha.consul.connection import CHECK_TIMEOUT_S
    from nova_ha.consul.store import connect

    store = connect(call_timeout_s=CHECK_TIMEOUT_S)
    return look_at(store, nodes, as_json) if nodes else sweep(store, interval, as_json)


def sweep(store: Store, interval_s: int, as_json: bool = False) -> int:
    """Sweep all BMCs, print the report for Consul, and return the exit code. Raises ConsulError."""
    from nova_ha.checks.exit_code import exit_code
    from nova_ha.checks.inputs import read_inputs
    from nova_ha.cluster.schema import BMC_CHECK
    from nova_ha.probe.streak import next_report

    deadline_s = interval_s * DEADLINE
    check_guard.end_by(deadline_s)
    inputs = read_inputs(store, BMC_CHECK)
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    sightings = _sightings(inputs.nodes, deadline_s - check_guard.spent_s() - PRINTING_S)
    report = next_report(
        inputs.previous,
        sightings,
        probe="bmc",
        now_boottime=now,
        boot_id=check_guard.boot_id(),
        interval_s=interval_s,
        # Its streaks are counted by nobody: they stay at 1, and write nothing.
        fail_threshold=1,
        reasons_count=True,
    )
    text = report.to_output()
    click.echo(text.partition("\n")[2] if as_json else text, nl=False)
    return exit_code(sightings, (name for name, node in inputs.nodes.items() if node.failed))


def look_at(store: Store, names: tuple[str, ...], as_json: bool) -> int:
    """Look at the named nodes only, print a line for each, and return the exit code. Raises ConsulError."""
    from nova_ha.checks.exit_code import exit_code, show
    from nova_ha.checks.inputs import read_named
    from nova_ha.probe.sighting import unknown

    found = read_named(store, names)
    nodes = {name: node for name, node in found.items() if node}
    sightings = {name: unknown("is not registered") for name in found}
    sightings.update(_sightings(nodes, LOOK_S))
    show(sightings, "powered on, can be fenced", as_json)
    return exit_code(sightings)


def judge(device: FenceDevice, seen: BMCSighting, vouched: bool = False) -> Sighting:
    """Say what a BMC's sighting means for the node; `vouched` where an operator stands for its identity."""
    from nova_ha.power import UNFENCEABLE, PowerState
    from nova_ha.power.identity import Match, compared, known
    from nova_ha.probe.sighting import WELL, failing, unknown

    if seen.trouble:
        return failing(f"{UNFENCEABLE}{seen.trouble}")
    match = compared(device.identity, seen.identity)
    if match is Match.DIFFERS or (match is Match.NOTHING_TO_COMPARE and known(device.identity)):
        shown = f"is {seen.identity}" if seen.identity else "is not shown"
        return failing(f"{UNFENCEABLE}the BMC's identity {shown}, recorded is {device.identity}")
    if seen.power.state is PowerState.OFF:
        return unknown("powered off")
    if seen.power.state is PowerState.UNKNOWN:
        return failing(f"{UNFENCEABLE}its power cannot be read")
    if match is Match.NOTHING_TO_COMPARE and not vouched:
        return unknown("is not fenced without you: no identity of its BMC is recorded")
    return WELL


def _sightings(nodes: Mapping[str, ComputeNode], deadline_s: float) -> Mapping[str, Sighting]:
    from nova_ha.checks.inputs import problem_in
    from nova_ha.power.bmc_sweep import sweep as sweep_bmcs
    from nova_ha.probe.sighting import unknown

    bad = {name: problem for name, node in nodes.items() if (problem := problem_in(node, "bmc"))}
    bad.update({name: unknown("has no BMC") for name, node in nodes.items() if node.bmc is None and name not in bad})
    devices = {name: node.bmc for name, node in nodes.items() if node.bmc and name not in bad}
    seen = sweep_bmcs(devices, max(deadline_s, 0.1))
    vouched = {name for name in devices if nodes[name].identity_word}
    return {**bad, **{name: judge(device, seen[name], name in vouched) for name, device in devices.items()}}


def main() -> NoReturn:
    """Run as Consul's check."""
    check_guard.run(command)
