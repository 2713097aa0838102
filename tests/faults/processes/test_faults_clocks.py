"""HA nodes whose time of day is an hour ahead, or an hour behind: no deadline of anybody may hang on it alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from kit.clouds.divided import DividedCloud
from kit.clouds.plan import WholePlan
from nova_ha.cluster.incident import IncidentState

AHEAD, BEHIND = "ha-1", "ha-2"
HOUR_S = 3600.0
# Until the test lets them go on.
SLOW_S = 240.0


@pytest.fixture(scope="module")
def cloud() -> Iterator[DividedCloud]:
    plan = WholePlan(compute=5, consul_servers=1, policy={"recovery/limit": "3"})
    with DividedCloud(plan, clocks={AHEAD: HOUR_S, BEHIND: -HOUR_S}) as running:
        yield running


@pytest.mark.fault(25)
def test_hosts_that_fail_are_recovered_by_ha_nodes_with_wrong_clocks_and_no_other_is_touched(
    cloud: DividedCloud,
) -> None:
    """As many fail as there are HA nodes, so that each of them drives; and one in maintenance for half an hour."""
    kept, *failing = (cloud.host() for _ in range(4))
    well = cloud.host()
    assert cloud.command("node", "maintenance", kept.name, "--for", "30m", "--why", "a test").returncode == 0
    for host in failing:
        cloud.slow_spawn(SLOW_S, *cloud.servers_of(host))
    for host in (kept, *failing):
        host.hang()
    for host in failing:
        cloud.reached(host, IncidentState.EVACUATING)
    for host in failing:
        cloud.slow_spawn(0, *cloud.servers_of(host))
    drivers = {cloud.finished(host).driver for host in failing}
    assert {AHEAD, BEHIND} <= drivers
    for host in failing:
        cloud.audit_recovered(host)
    cloud.more_sweeps(3)
    assert not cloud.node(well).failed
    for host in (kept, well):
        assert host.commands == []
        cloud.audit_untouched(host)


def test_the_clocks_of_this_cloud_are_wrong(cloud: DividedCloud) -> None:
    """What the drivers wrote into their incidents shows it, else the test above would prove nothing."""
    recovered = [host for host in cloud.machines.values() if cloud.history(host)]
    ends = {cloud.finished(host).driver: cloud.finished(host).steps[-1].at for host in recovered}
    assert ends[AHEAD] - ends[BEHIND] > timedelta(seconds=1.5 * HOUR_S)
