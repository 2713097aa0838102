"""Fault 51: root disks on the dead host, a target without the shared storage, a disk that somebody still writes."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from kit.clouds.observed_cloud import ObservedCloud
from kit.fakes.world import Crash
from kit.shown import shows
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import Incident, ServerState
from nova_ha.cluster.schema import compute_node
from nova_ha.compute.states import RootDisk
from nova_ha.consul.transaction import delete

OPTION = "ha_cluster/config/recovery/storage"


def upgraded(cloud: ObservedCloud) -> None:
    """Nobody has said anything, and every host has disks of its own."""
    cloud.store.commit([delete(OPTION)])
    cloud.nova.unshared = set(cloud.nova.hosts)


def recovered(cloud: ObservedCloud) -> Incident:
    cloud.fails("c1")
    cloud.turns()
    [incident] = cloud.closed("c1")
    return incident


@pytest.mark.fault(51)
def test_after_an_upgrade_the_timer_says_at_once_what_is_missing(cloud: ObservedCloud) -> None:
    assert "recovery/storage" not in cloud.timer()
    upgraded(cloud)
    shows(
        51,
        "recovery/storage is not set: a server whose root disk is on a host that dies is left there; are all root "
        "disks on NFS, CephFS or rbd? `nova-ha config set recovery/storage shared`; else "
        "`nova-ha config set recovery/storage local`, which only ends this line",
        cloud.timer(),
    )
    for word in ("shared", "local"):
        cloud.says("config", "set", "recovery/storage", word)
        assert "recovery/storage" not in cloud.timer()


@pytest.mark.fault(51)
def test_servers_with_their_disks_on_the_host_are_left_and_said_and_no_disk_is_lost(cloud: ObservedCloud) -> None:
    upgraded(cloud)
    [volume] = cloud.nova.add("c1", root_disk=RootDisk.VOLUME)
    incident = recovered(cloud)
    left = cloud.servers["c1"]
    assert {incident.servers[server].state for server in left} == {ServerState.LEFT}
    assert incident.servers[volume].state is ServerState.EVACUATED
    assert all(disk == f"disk of {server}" for server, disk in cloud.nova.disks.items())
    history = cloud.says("history", "c1")
    shows(51, "its root disk is on the dead host: repair the host, or `nova-ha node rebuild-server c1", history)
    shows(51, "c1: recovered, but 2 of its servers were left, their root disks are on it", cloud.timer())
    shows(
        51,
        "`nova-ha node reset c1` once the host is repaired; or `nova-ha node rebuild-server c1",
        cloud.says("status"),
    )
    cloud.audit()


@pytest.mark.fault(51)
def test_the_plan_counts_them_before_the_night(cloud: ObservedCloud) -> None:
    upgraded(cloud)
    cloud.nova.add("c1", root_disk=RootDisk.VOLUME)
    shows(51, "Servers: 3 (1 evacuate, 2 leave)", cloud.says("plan", "c1"))
    cloud.says("config", "set", "recovery/local_disk", "rebuild")
    assert "(3 evacuate" not in cloud.says("plan", "c1")
    assert "2 evacuate with a new disk" in cloud.says("plan", "c1")


@pytest.mark.fault(51)
def test_where_the_policy_rebuilds_they_are_not_called_evacuated(cloud: ObservedCloud) -> None:
    upgraded(cloud)
    cloud.says("config", "set", "recovery/local_disk", "rebuild")
    incident = recovered(cloud)
    assert {progress.state for progress in incident.servers.values()} == {ServerState.REBUILT}
    shows(51, "came back with a new disk from its image", cloud.says("history", "c1"))
    cloud.audit()


@pytest.mark.fault(51)
def test_a_host_that_is_wrongly_said_to_share_is_seen_by_the_auditor_alone(cloud: ObservedCloud) -> None:
    """What the operator says is believed: nothing in Nova's API contradicts it. The judge finds it."""
    cloud.nova.unshared = {"c1"}
    recovered(cloud)
    with pytest.raises(AssertionError, match="I11"):
        cloud.audit()


@pytest.mark.fault(51)
def test_one_host_can_be_taken_out(cloud: ObservedCloud) -> None:
    cloud.says("node", "set", "c1", "--storage", "local")
    assert cloud.store.value(compute_node("c1", "config/storage")) == "local"
    cloud.nova.unshared = {"c1"}
    incident = recovered(cloud)
    assert {progress.state for progress in incident.servers.values()} == {ServerState.LEFT}
    cloud.audit()


@pytest.mark.fault(51)
def test_a_disk_that_a_writer_holds_stops_everything_and_is_said(cloud: ObservedCloud) -> None:
    cloud.nova.locked_disks = {cloud.servers["c1"][0]}
    cloud.fails("c1")
    cloud.turns()
    incident = cloud.incident("c1")
    assert incident is not None
    assert incident.gate is Gate.DISK_LOCKED
    shows(51, "c1: waits for the operator: disk-locked: a writer holds the disk of", cloud.timer())
    shows(51, "see that its power is off, and that its storage has let go of its locks", cloud.says("status"))
    cloud.turns(3)
    assert sum(call[:2] == ("evacuate", cloud.servers["c1"][0]) for call in cloud.nova.calls) == 1


@pytest.mark.fault(51)
def test_an_operator_lets_one_server_come_back_with_a_new_disk(cloud: ObservedCloud) -> None:
    upgraded(cloud)
    recovered(cloud)
    one, *others = cloud.servers["c1"]
    words = ("node", "rebuild-server", "c1", one, "--by", "ann", "--why", "it has a backup", "--no-wait")
    assert f"{one}: to be started with a new disk" in cloud.says(*words)
    cloud.turns(2)
    *_, incident = cloud.closed("c1")
    assert incident.servers[one].state is ServerState.REBUILT
    assert {incident.servers[server].state for server in others} == {ServerState.LEFT}
    assert any(step.by == "ann" and "come back with a new disk" in step.what for step in incident.steps)
    assert json.loads(cloud.says("node", "show", "c1", "--json"))["approval"] is None
    cloud.audit()


@pytest.mark.fault(51)
def test_a_host_is_left_to_the_ha_node_that_can_bring_its_root_disks_back(cloud: ObservedCloud) -> None:
    """While that one works on another host, an HA node that is out of the shared storage leaves nothing behind."""
    cloud.store.put("ha_cluster/config/monitor/max_failed", "2")
    for name in ("ha-1", "ha-3"):
        cloud.says("ha-node", "set", name, "--storage", "local")
        cloud.nova.unshared.add(name)
    cloud.fails("c1", "c2")
    said: list[str] = []

    def meanwhile(call: tuple[str, ...]) -> None:
        if call[0] == "evacuate":
            cloud.nova.before = lambda call: None
            cloud.recover("ha-1")
            said.append(cloud.timer_says())

    cloud.nova.before = meanwhile
    cloud.recover("ha-2")
    shows(
        51,
        "c2: failed, to be recovered: waits at shared-first: ha-1 would leave 2 of its servers behind, whose root "
        "disks it does not share: left to ha-2, once the work on c1 is done (ha-1)",
        said[0],
    )
    cloud.assert_recovered("c1", "c2")


@pytest.mark.fault(51)
def test_a_host_whose_driver_died_on_the_only_ha_node_in_the_storage_comes_to_its_end(cloud: ObservedCloud) -> None:
    """Its agent lives and no driver of it begins anew, as over a dead disk: it is not waited for for ever."""
    for name in ("ha-1", "ha-3"):
        cloud.says("ha-node", "set", name, "--storage", "local")
        cloud.nova.unshared.add(name)
    cloud.fails("c1")
    cloud.crash_at(9)
    with suppress(Crash):
        cloud.recover("ha-2")
    cloud.no_more_crashes()
    cloud.recover("ha-1")
    assert cloud.incident("c1") is None
    shows(51, "c1: recovered, but 2 of its servers were left, their root disks are on it", cloud.timer_says())
    assert cloud.audited == []
    cloud.audit()


@pytest.mark.fault(51)
def test_a_host_to_be_resumed_says_whom_it_is_left_to(cloud: ObservedCloud) -> None:
    cloud.store.put("ha_cluster/config/monitor/max_failed", "2")
    cloud.says("ha-node", "set", "ha-1", "--storage", "local")
    cloud.nova.unshared.add("ha-1")
    cloud.fails("c1")
    cloud.crash_at(9)
    with suppress(Crash):
        cloud.recover("ha-3")
    cloud.no_more_crashes()
    cloud.fails("c2")
    said: list[str] = []

    def meanwhile(call: tuple[str, ...]) -> None:
        if call[0] == "evacuate":
            cloud.nova.before = lambda call: None
            cloud.recover("ha-1")
            said.append(cloud.timer_says())

    cloud.nova.before = meanwhile
    cloud.recover("ha-2")
    shows(
        51,
        "c1: forced-down, and ha-3 has gone: to be resumed: waits at shared-first: ha-1 would leave 2 of its servers "
        "behind, whose root disks it does not share: left to ha-2, ha-3, once the work on c2 is done (ha-1)",
        said[0],
    )
    cloud.assert_recovered("c1", "c2")
