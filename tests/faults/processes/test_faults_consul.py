"""Consul's servers die in the middle of an incident: its leader at each step, and all of them at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from kit.clouds.divided import DividedCloud
from kit.clouds.plan import WholePlan
from nova_ha.cluster.incident import IncidentState


@pytest.fixture(scope="module")
def cloud() -> Iterator[DividedCloud]:
    with DividedCloud(WholePlan(compute=2, consul_servers=5, policy={"recovery/concurrency": "1"})) as running:
        yield running


@pytest.mark.fault(9)
def test_an_incident_bears_with_the_death_of_every_leader_at_claim_fence_and_evacuation(cloud: DividedCloud) -> None:
    host = cloud.host()
    cloud.slow_spawn(4, *cloud.servers_of(host))
    host.hang()
    cloud.wait(lambda: cloud.open_incident(host), "the claim", every_s=0.02)
    # They come back beside it: whoever waited for that would not see in which state the incident is meanwhile.
    with ThreadPoolExecutor(1) as beside:
        back = []
        for state in (None, IncidentState.FENCING, IncidentState.EVACUATING):
            if state:
                cloud.reached(host, state)
            leader = cloud.consul.leader
            leader.kill()
            back.append(beside.submit(leader.start))
        for one in back:
            one.result()
    cloud.audit_recovered(host)
    assert host.only_cut
    cloud.consul.await_whole()


@pytest.mark.fault(8)
def test_an_incident_goes_on_when_all_servers_were_killed_and_come_back(cloud: DividedCloud) -> None:
    host = cloud.host()
    cloud.slow_spawn(4, *cloud.servers_of(host))
    host.hang()
    cloud.reached(host, IncidentState.EVACUATING)
    for server in cloud.consul.servers:
        server.kill()
    codes = [cloud.command("check", what, at="ha-1").returncode for what in ("ssh", "bmc", "cluster")]
    for server in cloud.consul.servers:
        server.start()
    cloud.audit_recovered(host)
    assert codes == [1, 1, 1]
