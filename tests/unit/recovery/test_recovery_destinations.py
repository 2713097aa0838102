"""Where servers were on their way to: whether somebody may still finish them there, or has started them already."""

from __future__ import annotations

from datetime import timedelta

import pytest
from kit.fakes.world import Crash, World
from nova_ha.cluster.incident import ServerProgress, ServerState
from nova_ha.cluster.node import RuntimeConfig
from nova_ha.cluster.schema import RUNTIME_CONFIG, compute_node
from nova_ha.compute.states import MigrationStatus
from nova_ha.power import PowerState
from nova_ha.recovery import operator

FOR_EVER_S = 100_000.0
MEANT_BY_HAND = "see there; where it does not, `openstack server evacuate` to another host"


@pytest.fixture
def world() -> World:
    """The scheduler sends servers to c2 first."""
    world = World()
    world.store.put("ha_cluster/config/recovery/target", "scheduler")
    world.store.put("ha_cluster/config/monitor/max_failed", "4")
    return world


def fails(world: World, name: str) -> None:
    world.silent[name] = 3
    world.nova.silent.add(name)
    world.report()
    world.store.put(compute_node(name, "status/failed"), "True")
    world.store.put(compute_node(name, "internal/number_fails"), "3")


def asked_for(world: World) -> list[str]:
    return [call[2] for call in world.nova.calls if call[0] == "evacuate"]


def ended(world: World, server: str) -> ServerProgress:
    return world.closed("c1")[-1].servers[server]


# --- a destination that died ---


def over_a_destination_that_died(world: World) -> str:
    """c1's server was on its way to c2, which hung; c1's recovery gave up on it, then c2 was recovered too."""
    [server] = world.nova.add("c1", 1)
    world.nova.rebuild_s = FOR_EVER_S
    world.hang("c1")

    def dies() -> None:
        if world.nova.rebuilds:
            world.silent["c2"] = 3
            world.nova.silent.add("c2")

    world.clock.meanwhile.append(dies)
    world.recover()
    world.clock.meanwhile.remove(dies)
    assert ended(world, server).state is ServerState.FAILED
    fails(world, "c2")
    world.clock.sleep(60)
    assert world.recover("ha-2")["c2"].outcome == "finished"
    world.nova.rebuild_s = 2.0
    world.nova.rebuilds.clear()
    return server


def retried(world: World, server: str) -> ServerProgress:
    operator.retry(world.store, world.clock, "c1", by="ann")
    world.recover("ha-3")
    return ended(world, server)


@pytest.mark.fault(33)
def test_a_server_on_its_way_to_a_host_that_is_fenced_still_is_asked_for_again(world: World) -> None:
    server = over_a_destination_that_died(world)
    assert retried(world, server).state is ServerState.EVACUATED


@pytest.mark.fault(33)
@pytest.mark.parametrize("reports", [True, False])
def test_a_host_that_was_fenced_and_is_on_again_may_finish_what_was_on_its_way_there(
    world: World, reports: bool
) -> None:
    """Nova has it forced down for our reason until it is taken back, and its nova-compute takes its messages."""
    server = over_a_destination_that_died(world)
    world.bmcs["c2"].state = PowerState.ON
    if reports:
        world.bmcs["c2"].away = True
        world.nova.silent.discard("c2")
    world.clock.sleep(40)
    assert retried(world, server).state is ServerState.FAILED
    assert asked_for(world) == [""]


@pytest.mark.fault(33)
@pytest.mark.parametrize(("until_s", "ends"), [(3000, ServerState.EVACUATED), (10, ServerState.FAILED)])
def test_where_its_power_cannot_be_read_an_operators_word_will_do_while_it_lasts(
    world: World, until_s: int, ends: ServerState
) -> None:
    server = over_a_destination_that_died(world)
    world.bmcs["c2"].away = True
    world.store.put(compute_node("c2", "status/recovered"), "False")
    operator.retry(world.store, world.clock, "c2", by="ann")
    world.recover("ha-2")
    until = world.clock.now() + timedelta(seconds=until_s)
    operator.confirm_off(world.store, world.clock, "c2", by="ann", until=until)
    world.recover("ha-2")
    assert retried(world, server).state is ends


@pytest.mark.fault(33)
@pytest.mark.parametrize("own_s", [10, 60])
def test_one_whose_own_nova_conf_reports_more_seldom_is_listened_to_for_as_long(world: World, own_s: int) -> None:
    """It is on again, and reports, once in a minute; its BMC is away, and an operator's word lasts."""
    server = over_a_destination_that_died(world)
    world.bmcs["c2"].away = True
    world.store.put(compute_node("c2", "status/recovered"), "False")
    operator.retry(world.store, world.clock, "c2", by="ann")
    world.recover("ha-2")
    operator.confirm_off(world.store, world.clock, "c2", by="ann", until=world.clock.now() + timedelta(seconds=3000))
    world.recover("ha-2")
    world.store.put(compute_node("c2", RUNTIME_CONFIG), RuntimeConfig("c2", report_interval_s=own_s).to_kv())
    world.nova.own_interval_s["c2"] = 60.0
    world.nova.reports_at["c2"] = world.clock.monotonic() + 30
    world.nova.silent.discard("c2")
    progress = retried(world, server)
    assert progress.state is (ServerState.FAILED if own_s == 60 else ServerState.EVACUATED)


@pytest.mark.fault(33)
def test_a_bmc_that_reads_off_and_is_another_machines_proves_nothing(world: World) -> None:
    server = over_a_destination_that_died(world)
    world.bmcs["c2"].name = "guid-of-another"
    assert retried(world, server).state is ServerState.FAILED
    assert asked_for(world) == [""]


# --- a destination where the rebuild failed ---


@pytest.mark.fault(31)
def test_a_server_that_has_failed_at_a_host_is_asked_for_nowhere_else(world: World) -> None:
    """Nova lost its database after the guest had been started there: it destroys nothing."""
    world.store.put("ha_cluster/config/recovery/target", "ha-node,scheduler")
    world.nova.fail_late["ha-1"] = "Timed out waiting for a reply to message ID 5f0c"
    [server] = world.nova.add("c1", 1)
    world.hang("c1")
    world.recover()
    progress = ended(world, server)
    assert progress.state is ServerState.FAILED
    assert progress.reason == f"Instance already exists. (try 3 of 3); its guest may run on ha-1: {MEANT_BY_HAND}"
    assert asked_for(world) == ["ha-1"] * 3
    retried(world, server)
    assert asked_for(world) == ["ha-1"] * 6
    assert not world.nova.doubled


@pytest.mark.fault(31)
def test_nor_after_its_driver_was_killed(world: World) -> None:
    world.store.put("ha_cluster/config/recovery/target", "ha-node,scheduler")
    world.nova.fail_late["ha-1"] = "Timed out waiting for a reply to message ID 5f0c"
    [server] = world.nova.add("c1", 1)
    world.hang("c1")

    def killed(call: tuple[str, ...]) -> None:
        if call[0] == "evacuate" and len(world.nova.records) == 1:
            world.nova.before = lambda call: None
            raise Crash

    world.nova.before = killed
    with pytest.raises(Crash):
        world.recover()
    world.clock.sleep(60)
    world.recover("ha-2")
    assert ended(world, server).state is ServerState.FAILED
    assert set(asked_for(world)) == {"ha-1"}
    assert not world.nova.doubled


@pytest.mark.fault(31)
def test_nor_where_it_has_failed_by_hand_before(world: World) -> None:
    world.nova.fail_late["c3"] = "Timed out waiting for a reply to message ID 5f0c"
    [server] = world.nova.add("c1", 1)
    world.hang("c1")
    world.bmcs["c1"].state = PowerState.OFF
    world.nova.power_lost("c1")
    world.nova.hosts["c1"] = type(world.nova.hosts["c1"])("id-c1", "c1", False, True, False, "", world.clock.now())
    world.nova._evacuate(server, "c3")  # type: ignore[arg-type]
    world.clock.sleep(60)
    assert world.nova.records[0].status is MigrationStatus.FAILED
    world.recover()
    assert ended(world, server).state is ServerState.FAILED
    assert set(asked_for(world)) == {"c3"}
    assert not world.nova.doubled


@pytest.mark.fault(31)
def test_a_rebuild_that_failed_once_is_tried_again_where_it_was(world: World) -> None:
    world.nova.fail_late["c2"] = "libvirt: no such device"
    [server] = world.nova.add("c1", 1)
    world.hang("c1")

    def mended() -> None:
        if world.nova.records and world.nova.records[0].status is MigrationStatus.FAILED:
            world.nova.fail_late.clear()
            world.nova.guests[server].discard("c2")

    world.clock.meanwhile.append(mended)
    world.recover()
    progress = ended(world, server)
    assert (progress.state, progress.host) == (ServerState.EVACUATED, "c2")
    assert asked_for(world) == ["", "c2"]


@pytest.mark.fault(31)
@pytest.mark.fault(33)
def test_a_host_that_was_fenced_since_binds_nobody(world: World) -> None:
    world.nova.fail_late["c2"] = "Timed out waiting for a reply to message ID 5f0c"
    [server] = world.nova.add("c1", 1)
    world.hang("c1")
    world.recover()
    assert ended(world, server).state is ServerState.FAILED
    fails(world, "c2")
    world.clock.sleep(60)
    assert world.recover("ha-2")["c2"].outcome == "finished"
    progress = retried(world, server)
    assert progress.state is ServerState.EVACUATED
    assert not world.nova.doubled
