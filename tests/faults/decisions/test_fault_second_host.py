"""Fault 33: a second host fails while the first is being evacuated, a destination among them."""

from __future__ import annotations

from collections import Counter

import pytest
from kit.clouds.observed_cloud import THRESHOLD, ObservedCloud
from kit.fakes.world import Crash
from kit.shown import shows
from nova_ha.cluster.incident import ServerState
from nova_ha.power import PowerState


@pytest.fixture
def cloud() -> ObservedCloud:
    """Ten compute hosts; one evacuation at a time, each of which takes 10 s."""
    cloud = ObservedCloud(compute=10, servers=3)
    cloud.store.put("ha_cluster/config/recovery/concurrency", "1")
    cloud.nova.rebuild_s = 10
    return cloud


def fails_meanwhile(cloud: ObservedCloud, name: str) -> None:
    """The host hangs, and the observers and the handlers of ha-2 and ha-3 see it as far as failed."""
    cloud.hangs(name)
    for _ in range(THRESHOLD + 1):
        cloud.clock.sleep(5)
        cloud.count("ha-2")
    assert cloud.failed(name)


@pytest.mark.fault(33)
def test_a_second_host_is_taken_by_another_ha_node_while_the_first_is_at_work(cloud: ObservedCloud) -> None:
    cloud.fails("c1")

    def second() -> None:
        fails_meanwhile(cloud, "c2")
        told = cloud.timer("ha-2")
        shows(33, "c1: evacuating, ha-1 works on it", told)
        cloud.assert_recovered_so_far("c2")

    cloud.after_writing(b'"state":"evacuated"', second)
    cloud.recover("ha-1")
    cloud.assert_recovered("c1", "c2")
    assert {step.by for step in cloud.closed("c2")[0].steps} == {"ha-2"}


@pytest.mark.fault(33)
def test_with_one_ha_node_the_second_host_waits_its_turn(cloud: ObservedCloud) -> None:
    for name in ("ha-2", "ha-3"):
        cloud.store.drop(f"ha_cluster/ha_nodes/{name}/")
        cloud.observers.remove(name)
    cloud.fails("c1")
    cloud.after_writing(b'"state":"evacuated"', lambda: fails_alone(cloud, "c2"))
    results = cloud.recover("ha-1")
    assert {name: result.outcome for name, result in results.items()} == {"c1": "finished", "c2": "finished"}
    cloud.assert_recovered("c1", "c2")


def fails_alone(cloud: ObservedCloud, name: str) -> None:
    cloud.hangs(name)
    for _ in range(THRESHOLD + 1):
        cloud.clock.sleep(5)
        cloud.count("ha-1")
    assert cloud.failed(name)


@pytest.mark.fault(33)
def test_a_third_host_meanwhile_is_one_too_many(cloud: ObservedCloud) -> None:
    cloud.fails("c1")

    def more() -> None:
        fails_meanwhile(cloud, "c2")
        cloud.hangs("c3")
        for _ in range(THRESHOLD + 1):
            cloud.clock.sleep(5)
            cloud.count("ha-3")
        assert not cloud.failed("c3")
        cloud.recover("ha-2")

    cloud.after_writing(b'"state":"evacuated"', more)
    cloud.recover("ha-1")
    cloud.turns(3)
    cloud.assert_recovered("c1", "c2")
    assert cloud.fenced == ["c1", "c2"]


@pytest.mark.fault(33)
def test_servers_on_their_way_to_a_host_that_dies_too_are_sent_elsewhere_once_it_is_fenced(
    cloud: ObservedCloud,
) -> None:
    """The scheduler has chosen c2; c2 hangs with one server arrived and one on its way."""
    cloud.store.put("ha_cluster/config/recovery/target", "scheduler")
    cloud.fails("c1")

    def target_dies() -> None:
        cloud.after_writing(b'"state":"asked"', lambda: target_hangs(cloud))

    cloud.after_writing(b'"state":"evacuated"', target_dies)
    cloud.recover("ha-1")
    cloud.turns(3)
    cloud.audit()
    assert cloud.fenced == ["c1", "c2"]
    first, second = cloud.closed("c1")[0], cloud.closed("c2")[0]
    assert {p.state for p in first.servers.values()} == {ServerState.EVACUATED}
    assert set(cloud.servers["c2"]) < set(second.servers), "what had arrived on c2 is rebuilt from there"
    homes = {cloud.nova.inventory[server].host for server in (*cloud.servers["c1"], *cloud.servers["c2"])}
    assert not homes & {"c1", "c2"}
    assert all(len(cloud.nova.guests[s]) == 1 for s in (*cloud.servers["c1"], *cloud.servers["c2"]))
    shows(33, "its destination c2 failed too, and was fenced", cloud.says("history", "c1"))


def target_hangs(cloud: ObservedCloud) -> None:
    """c2 hangs right after it was asked to take a server; ha-2 fences it while ha-1 follows that server."""

    def later() -> None:
        if not any(rebuild.target == "c2" for rebuild in cloud.nova.rebuilds) or cloud.silent.get("c2"):
            return
        for rebuild in cloud.nova.rebuilds:
            rebuild.began = float("inf")
        cloud.clock.meanwhile.remove(later)
        fails_meanwhile(cloud, "c2")
        cloud.recover("ha-2")

    cloud.clock.meanwhile.append(later)


@pytest.mark.fault(33)
def test_servers_on_their_way_to_an_ha_node_that_dies_are_named_and_not_asked_for_again(cloud: ObservedCloud) -> None:
    """Nobody fences an HA node: Nova may still finish them there."""
    cloud.fails("c1")

    def driver_and_target_die(call: tuple[str, ...]) -> None:
        if call[0] == "evacuate" and evacuated(cloud) == 1:
            cloud.nova.before = lambda call: None
            cloud.clock.meanwhile.append(lambda: die(cloud))

    cloud.nova.before = driver_and_target_die
    with pytest.raises(Crash):
        cloud.recover("ha-1")
    cloud.clock.meanwhile.pop()
    cloud.turns(2)
    [incident] = cloud.closed("c1")
    states = Counter(p.state for p in incident.servers.values())
    assert states == {ServerState.EVACUATED: 2, ServerState.FAILED: 1}
    assert max(Counter(call[1] for call in cloud.nova.calls if call[0] == "evacuate").values()) == 1
    shows(
        33,
        "still accepted on ha-1 after 300 s; make sure that it never runs there, then evacuate it by hand: "
        "`openstack server evacuate`",
        cloud.says("history", "c1"),
    )
    assert cloud.bmcs["c1"].commands == [PowerState.ON]
    assert not cloud.nova.doubled


def evacuated(cloud: ObservedCloud) -> int:
    incident = cloud.incident("c1")
    return sum(p.state is ServerState.EVACUATED for p in incident.servers.values()) if incident else 0


def die(cloud: ObservedCloud) -> None:
    for rebuild in cloud.nova.rebuilds:
        rebuild.began = float("inf")
    cloud.dead.add("ha-1")
    cloud.nova.silent.add("ha-1")
    service = cloud.nova.hosts["ha-1"]
    cloud.nova.hosts["ha-1"] = type(service)("id-ha-1", "ha-1", False, True, False, "", service.updated_at)
    raise Crash
