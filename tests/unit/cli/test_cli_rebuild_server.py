"""`nova-ha node rebuild-server`: one that was left comes back with a new disk, by the operator's word."""

from __future__ import annotations

import pytest
from kit.fakes.trace import TracedWorld
from kit.fakes.typing_operator import Operator
from kit.fakes.world import World
from nova_ha.cluster.incident import ServerState
from nova_ha.cluster.node import Pause
from nova_ha.cluster.schema import PAUSED, compute_node
from nova_ha.compute.states import RootDisk
from nova_ha.consul.transaction import delete, lock
from nova_ha.power import PowerState

STORAGE = "ha_cluster/config/recovery/storage"


@pytest.fixture
def world() -> World:
    """Two servers of c1 have their disks on it, server-3 is on a volume."""
    world = TracedWorld()
    world.store.put(STORAGE, "local")
    world.nova.unshared = {*world.names, *world.observers}
    world.nova.add("c1", 2)
    world.nova.add("c1", 1, root_disk=RootDisk.VOLUME)
    return world


def hung(world: World) -> None:
    world.hang("c1")
    world.recover()


def rebuild(nova_ha: Operator, *words: str) -> tuple[str, ...]:
    return ("node", "rebuild-server", "c1", *words, "--yes")


def driven(world: World) -> None:
    """Let the handlers go on while the command waits."""
    started: list[bool] = []

    def once() -> None:
        if not started:
            started.append(True)
            world.recover()

    world.clock.meanwhile.append(once)


def state(world: World, server: str) -> ServerState:
    return world.closed("c1")[-1].servers[server].state


@pytest.mark.fault(51)
@pytest.mark.parametrize("way", ["id", "json"])
def test_it_comes_back_with_a_new_disk_and_the_other_stays(world: World, nova_ha: Operator, way: str) -> None:
    hung(world)
    driven(world)
    words = rebuild(nova_ha, "server-1", "--by", "ann", "--why", "has a backup")
    if way == "json":
        assert nova_ha.well(*words, "--json").values == [
            {
                "id": "server-1",
                "name": "server-1",
                "is": "rebuilt",
                "host": "ha-1",
                "why": "came back with a new disk from its image",
            }
        ]
    else:
        said = nova_ha.well(*words)
        assert said.out == "server-1: rebuilt ha-1: came back with a new disk from its image\n"
        assert "ann" not in said.out
        assert "lets server-1 come back with a new disk" in said.err
        assert "fenced: off" in said.err
    assert state(world, "server-1") is ServerState.REBUILT
    assert state(world, "server-2") is ServerState.LEFT
    assert world.nova.disks["server-2"] == "disk of server-2"
    assert world.nova.guests["server-1"] == {"ha-1"}
    assert isinstance(world, TracedWorld)
    assert world.audited == []


@pytest.mark.fault(51)
def test_the_word_is_for_one_occasion(world: World, nova_ha: Operator) -> None:
    """Taken by a claim, or ended after an hour: a later incident leaves the server again."""
    hung(world)
    nova_ha.well(*rebuild(nova_ha, "server-1"), "--no-wait")
    world.clock.sleep(3601)
    nova_ha.well("node", "retry", "c1")
    world.recover()
    assert state(world, "server-1") is ServerState.LEFT
    assert world.nova.disks["server-1"] == "disk of server-1"


@pytest.mark.fault(51)
@pytest.mark.parametrize(
    ("server", "words"),
    [
        ("server-3", "server-3 is evacuated to ha-1: only a server that was left can be rebuilt"),
        ("server-9", "the last incident of c1 has no server 'server-9'; left are server-1, server-2"),
    ],
)
def test_only_what_was_left_can_be_rebuilt(world: World, nova_ha: Operator, server: str, words: str) -> None:
    hung(world)
    before = len(world.nova.calls)
    said = nova_ha(*rebuild(nova_ha, server))
    assert said.code != 0
    assert words.split(";")[0] in said.err
    assert world.store.value(compute_node("c1", "config/approval")) is None
    assert len(world.nova.calls) == before


@pytest.mark.fault(51)
def test_a_host_that_was_not_proved_off_is_refused(world: World, nova_ha: Operator) -> None:
    assert "c1 is not failed" in nova_ha(*rebuild(nova_ha, "server-1")).err
    world.hang("c1")
    assert "c1 is without an incident: no server of it was left" in nova_ha(*rebuild(nova_ha, "server-1")).err
    world.bmcs["c1"].lies = True
    world.store.put("ha_cluster/config/recovery/mode", "approve")
    world.recover()
    said = nova_ha(*rebuild(nova_ha, "server-1"))
    assert (said.code, "no server of it was left" in said.err) == (3, True)
    assert world.store.value(compute_node("c1", "config/approval")) is None


@pytest.mark.fault(51)
def test_a_host_that_is_worked_on_is_refused(world: World, nova_ha: Operator) -> None:
    hung(world)
    session = world.store.at("ha-1").create_session("nova-ha c1", 15, 30)
    world.store.commit([lock(compute_node("c1", "internal/.lock"), session)])
    assert "works on c1" in nova_ha(*rebuild(nova_ha, "server-1")).err


@pytest.mark.fault(51)
def test_a_host_that_is_on_again_is_fenced_again_first(world: World, nova_ha: Operator) -> None:
    hung(world)
    world.bmcs["c1"].state = PowerState.ON
    driven(world)
    nova_ha.well(*rebuild(nova_ha, "server-1"))
    assert world.bmcs["c1"].state is PowerState.OFF
    assert state(world, "server-1") is ServerState.REBUILT


@pytest.mark.fault(51)
def test_where_it_waits_for_the_operator_it_says_so(world: World, nova_ha: Operator) -> None:
    hung(world)
    world.nova.fail_spawn["ha-1"] = world.nova.fail_spawn["ha-2"] = "no room"
    driven(world)
    world.store.put("ha_cluster/config/recovery/target", "ha-node")
    said = nova_ha(*rebuild(nova_ha, "server-1"))
    assert (said.code, said.out) == (1, "server-1: failed ha-1: no room (try 3 of 3)\n")


@pytest.mark.fault(51)
def test_while_nobody_works_on_it_that_is_said_once(world: World, nova_ha: Operator) -> None:
    hung(world)
    paused_by(world, "ann")
    waited = iter(range(20))
    events = {5: lambda: world.store.commit([delete(PAUSED)]), 10: world.recover}
    world.clock.meanwhile.append(lambda: events.get(next(waited, 99), lambda: None)())
    said = nova_ha.well(*rebuild(nova_ha, "server-1")).err
    assert (said.count("paused by ann"), said.count("failed, to be recovered")) == (1, 1)
    assert said.index("paused by ann") < said.index("failed, to be recovered") < said.index("fenced: off")


def paused_by(world: World, by: str) -> None:
    world.store.put(PAUSED, Pause(by, "a move", "2030-01-01T12:00:00+00:00").to_kv())


# --- the settings ---


def test_a_host_and_a_target_are_taken_out_and_put_back(world: World, nova_ha: Operator) -> None:
    for command, key in (("node", "compute_nodes/c1"), ("ha-node", "ha_nodes/ha-1")):
        name = key.partition("/")[2]
        nova_ha.well(command, "set", name, "--storage", "local")
        assert world.store.value(f"ha_cluster/{key}/config/storage") == "local"
        assert nova_ha.well(command, "show", name, "--json").values["storage"] == "local"
        assert "expected local" in nova_ha(command, "set", name, "--storage", "shared").err
        nova_ha.well(command, "set", name, "--storage", "")
        assert world.store.value(f"ha_cluster/{key}/config/storage") is None


def test_an_ha_node_that_is_not_there_is_not_made_by_set(world: World, nova_ha: Operator) -> None:
    assert "no HA node 'ha-9'" in nova_ha("ha-node", "set", "ha-9", "--storage", "local").err


def test_the_policy_takes_the_two_words_and_no_other(nova_ha: Operator) -> None:
    for word in ("shared", "local", "unset"):
        nova_ha.well("config", "set", "recovery/storage", word)
    assert "expected shared or local" in nova_ha("config", "set", "recovery/storage", "yes").err
    assert "expected refuse or rebuild" in nova_ha("config", "set", "recovery/local_disk", "yes").err
