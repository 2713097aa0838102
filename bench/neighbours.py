"""Many hosts hang whose BMCs are away: how much later one more has its power cut than one that fails alone."""

from __future__ import annotations

from collections.abc import Iterator

from nova_ha.cluster.gate import Gate
from nova_ha.sandbox.cloud import Sandbox
from nova_ha.sandbox.waiting import until

from bench.figure import Figure
from bench.striking import await_power_off, snapshots, strike

ROW = "neighbours"
AWAY = 20
MOST_LATER_S = 1
WITHIN_S = 240


def figures(sandbox: Sandbox) -> Iterator[Figure]:
    """Let one host hang alone; then as many as are left but one, without their BMCs; then that one."""
    alone, last, *away = sandbox.compute_names
    alone_s = _to_power_off_s(sandbox, alone)
    for name in away:
        sandbox.machines[name].bmc.suspend()
    strike(sandbox, away)
    until(lambda: all(_waits(sandbox, name) for name in away), "the BMCs to be missed", WITHIN_S, every_s=0.5)
    last_s = _to_power_off_s(sandbox, last)
    what = f"failed to power-off sent with {len(away)} BMCs away, later than alone"
    note = f"{last_s:.1f} s, alone {alone_s:.1f} s"
    yield Figure(ROW, what, last_s - alone_s, "s", MOST_LATER_S, note=note)


def _to_power_off_s(sandbox: Sandbox, name: str) -> float:
    [struck] = strike(sandbox, [name])
    return (await_power_off(sandbox, name) - struck.failed_at).total_seconds()


def _waits(sandbox: Sandbox, name: str) -> bool:
    incident = snapshots(sandbox)[name].incident
    return incident is not None and incident.gate is Gate.BMC_UNREACHABLE
