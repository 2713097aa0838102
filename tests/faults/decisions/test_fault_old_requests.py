"""What Nova still shows of evacuations that are over, or may still do for an earlier incident."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from kit.clouds.observed_cloud import ObservedCloud
from kit.fakes.skewed import Skewed
from kit.shown import shows
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import IncidentState, ServerState
from nova_ha.compute import Migration, ServerID
from nova_ha.compute.states import MigrationStatus, VMState
from nova_ha.power import PowerState
from nova_ha.recovery.driver_clients import DriverClients
from nova_ha.recovery.operator import retry
from nova_ha.recovery.reset import reset


@pytest.mark.fault(31)
def test_a_record_that_stays_open_from_before_the_host_was_back_keeps_no_server(cloud: ObservedCloud) -> None:
    """Its destination died over it; the next try was completed, and the server has come home since."""
    first, _ = cloud.servers["c1"]
    then = cloud.clock.now() - timedelta(days=30)
    cloud.nova.records = [
        Migration("old-2", ServerID(first), MigrationStatus.COMPLETED, "c1", "c3", then + timedelta(seconds=60)),
        Migration("old-1", ServerID(first), MigrationStatus.MIGRATING, "c1", "c2", then),
    ]
    cloud.fails("c1")
    cloud.recover("ha-1")
    [incident] = cloud.closed("c1")
    assert incident.servers[first].state is ServerState.EVACUATED


@pytest.mark.fault(25)
@pytest.mark.fault(29)
@pytest.mark.parametrize("ahead_s", [0, 3600])
def test_a_lost_request_is_not_sent_again_though_clocks_differ(cloud: ObservedCloud, ahead_s: int) -> None:
    """Its power is on again right after it was asked for: the driver stops, and the operator retries at once."""
    cloud.nova.rebuild_s = 30
    ordinary = cloud.clients

    def clients(me: str = "ha-1") -> DriverClients:
        own = ordinary(me)
        return replace(own, clock=Skewed(cloud.clock, ahead_s)) if me == "ha-1" else own

    cloud.clients = clients  # type: ignore[method-assign]
    cloud.fails("c1")
    cloud.nova.lose_and_act_later(20)
    cloud.after_writing(b"asked for", lambda: setattr(cloud.bmcs["c1"], "state", PowerState.ON))
    cloud.recover("ha-1")
    retry(cloud.store, cloud.clock, "c1", by="ann")
    cloud.recover("ha-2")
    cloud.turns(2)
    assert not cloud.nova.doubled


@pytest.mark.fault(31)
def test_servers_that_a_recovery_left_behind_are_said_until_somebody_acts(cloud: ObservedCloud) -> None:
    for host in cloud.nova.hosts:
        cloud.nova.fail_spawn[host] = "no room"
    cloud.fails("c1")
    cloud.recover("ha-1")
    [incident] = cloud.closed("c1")
    assert {progress.state for progress in incident.servers.values()} == {ServerState.FAILED}
    assert "2 of its servers failed" in cloud.timer("ha-1")
    shows(
        31,
        "c1: recovered, but 2 of its servers failed: `nova-ha history c1` names them, then `nova-ha node retry c1`",
        cloud.timer_says(),
    )
    shown = cloud.says("status")
    assert "2 of its servers failed" in shown
    assert "nova-ha node retry c1" in shown


@pytest.mark.fault(31)
def test_a_server_that_was_asked_for_long_ago_is_taken_as_it_is_now(cloud: ObservedCloud) -> None:
    """It was shut down then, and runs by now: so it runs afterwards."""
    [server] = cloud.nova.add("c1", 1, VMState.STOPPED)
    cloud.servers["c1"].append(server)
    stopped_over_a_request(cloud, server)
    cloud.nova.inventory[server] = replace(cloud.nova.inventory[server], vm_state=VMState.ACTIVE)
    cloud.nova.guests[server] = {"c1"}
    assert final_states(cloud) == {ServerState.EVACUATED}
    assert cloud.nova.inventory[server].host != "c1"
    assert ("stop", server) not in cloud.nova.calls


@pytest.mark.fault(31)
def test_a_request_of_an_earlier_incident_uses_none_of_this_ones_tries(cloud: ObservedCloud) -> None:
    cloud.store.put("ha_cluster/config/recovery/attempts", "1")
    stopped_over_a_request(cloud, cloud.servers["c1"][0])
    assert final_states(cloud) == {ServerState.EVACUATED}


@pytest.mark.fault(31)
def test_a_request_that_a_later_one_has_ended_is_not_followed(cloud: ObservedCloud) -> None:
    """Its record stays open for ever; a later try by hand was completed, and the server has come home since."""
    stopped_over_a_request(cloud, cloud.servers["c1"][0], MigrationStatus.ACCEPTED, MigrationStatus.COMPLETED)
    assert final_states(cloud) == {ServerState.EVACUATED}


def stopped_over_a_request(cloud: ObservedCloud, server: str, *ends: MigrationStatus) -> None:
    """c1's power comes back right after a server was asked for; the host is taken back, and the request has ended.

    `ends` are what Nova shows of it, and of later ones.
    """
    cloud.nova.rebuild_s = 1000
    cloud.fails("c1")
    cloud.after_writing(b"asked for", lambda: setattr(cloud.bmcs["c1"], "state", PowerState.ON))
    cloud.recover("ha-1")
    incident = cloud.incident("c1")
    assert incident is not None
    assert (incident.gate, incident.servers[server].state) == (Gate.POWERED_ON, ServerState.ASKED)
    cloud.nova.rebuilds.clear()
    for name in cloud.servers["c1"]:
        cloud.nova.inventory[name] = replace(cloud.nova.inventory[name], task_state="")
    asked, cloud.nova.records = cloud.nova.records, []
    for at, end in enumerate(ends or (MigrationStatus.FAILED,)):
        ended = [replace(record, uuid=f"{at}-{record.uuid}", status=end) for record in asked]
        cloud.nova.records = [*ended, *cloud.nova.records]
    cloud.boots("c1")
    cloud.intervals(2)
    reset(cloud.store, cloud.clock, "c1", cloud.nova, cloud.clients().sight, by="ann")
    cloud.nova.rebuild_s = 2
    cloud.clock.sleep(7200)


def final_states(cloud: ObservedCloud) -> set[ServerState]:
    """Return how the servers of c1's next incident end."""
    cloud.fails("c1")
    cloud.recover("ha-1")
    [incident] = [incident for incident in cloud.closed("c1") if incident.state is IncidentState.FINISHED]
    return {progress.state for progress in incident.servers.values()}


@pytest.mark.fault(31)
def test_a_server_that_was_shut_down_stays_so_though_its_first_rebuild_left_it_in_error(cloud: ObservedCloud) -> None:
    [server] = cloud.nova.add("c1", 1, VMState.STOPPED)
    for host in cloud.nova.hosts:
        cloud.nova.fail_spawn[host] = "no room"
    cloud.fails("c1")
    cloud.recover("ha-1")
    cloud.nova.fail_spawn.clear()
    cloud.nova.inventory[server] = replace(cloud.nova.inventory[server], vm_state=VMState.ERROR)
    retry(cloud.store, cloud.clock, "c1", by="ann")
    cloud.recover("ha-1")
    assert cloud.nova.inventory[server].host != "c1"
    assert cloud.nova.inventory[server].vm_state is VMState.STOPPED
