"""Consul with three servers, which fails in the middle of an incident: its leader, all of it, the driver's agent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kit.clouds.plan import WholePlan
from kit.clouds.whole import WholeCloud
from nova_ha.cluster.incident import IncidentState
from nova_ha.errors import ConsulError


@pytest.fixture(scope="module")
def cloud() -> Iterator[WholeCloud]:
    with WholeCloud(WholePlan(compute=3, observers=2, consul_servers=3)) as running:
        yield running


@pytest.mark.fault(9)
def test_an_incident_ends_recovered_when_consuls_leader_dies_in_the_middle(cloud: WholeCloud) -> None:
    host = cloud.host()
    cloud.slow_spawn(4, *cloud.servers_of(host))
    leader = cloud.consul.leader
    host.hang()
    cloud.reached(host, IncidentState.EVACUATING)
    leader.kill()
    cloud.audit_recovered(host)
    leader.start()
    cloud.consul.await_whole()


@pytest.mark.fault(8)
def test_an_incident_ends_recovered_when_consul_is_away_for_a_while_in_the_middle(cloud: WholeCloud) -> None:
    host = cloud.host()
    cloud.slow_spawn(4, *cloud.servers_of(host))
    host.hang()
    cloud.reached(host, IncidentState.FENCING)
    log = len(cloud.drivers_log)
    for server in cloud.consul.servers:
        server.suspend()
    try:
        cloud.wait(lambda: "not renewed: Consul" in cloud.drivers_log[log:], "the driver to notice")
        with pytest.raises(ConsulError):
            cloud.view()
    finally:
        for server in cloud.consul.servers:
            server.resume()
    cloud.audit_recovered(host)


@pytest.mark.fault(13)
@pytest.mark.fault(34)
def test_an_incident_ends_recovered_when_the_agent_of_its_driver_dies_in_the_middle(cloud: WholeCloud) -> None:
    """As when its whole host dies, but that the driver lives on, and must not do anything any more."""
    host = cloud.host()
    cloud.set_policy(recovery__concurrency="1")
    cloud.slow_spawn(8, *cloud.servers_of(host))
    host.hang()
    lost = cloud.reached(host, IncidentState.EVACUATING).driver
    cloud.wait(lambda: cloud.evacuations(host), "an evacuation to be under way")
    cloud.agent(lost).kill()
    cloud.audit_recovered(host)
    incident = cloud.finished(host)
    assert incident.driver != lost
    assert f"taken over from {lost}" in [step.what for step in incident.steps]
    cloud.agent(lost).start()
