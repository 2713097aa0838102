"""Who looks first at a failed host: each HA node has its place in an order, and nobody waits for one that is gone."""

from __future__ import annotations

from collections import Counter

import pytest
from kit.fakes.world import World
from nova_ha.cluster.schema import IN_USE, LOCK, compute_node, ha_node
from nova_ha.cluster.view import read_view
from nova_ha.consul.transaction import lock
from nova_ha.recovery.driver_clients import Halted
from nova_ha.recovery.ranks import NEXT_AFTER_S, await_turn, rank

HA_NODES = ("ha-1", "ha-2", "ha-3")


@pytest.fixture
def world() -> World:
    return World(compute=60)


def ranks(world: World, node: str) -> dict[str, int]:
    view = read_view(world.store)
    return {me: rank(view, me, view.compute_nodes[node]) for me in HA_NODES}


def test_each_host_has_one_order_of_all_ha_nodes(world: World) -> None:
    assert sorted(ranks(world, "c1").values()) == [0, 1, 2]
    assert ranks(world, "c1") == ranks(world, "c1")


def test_many_hosts_are_shared_out(world: World) -> None:
    first = Counter(min(found, key=found.__getitem__) for found in (ranks(world, name) for name in world.names))
    assert set(first) == set(HA_NODES)
    assert min(first.values()) >= len(world.names) / 6


def test_one_that_works_on_another_host_is_not_waited_for_and_comes_last(world: World) -> None:
    first, *others = sorted(HA_NODES, key=ranks(world, "c1").__getitem__)
    world.store.put(ha_node(first, IN_USE), "True")
    assert [ranks(world, "c1")[name] for name in (*others, first)] == [0, 1, 2]


def test_the_hosts_own_is_not_waited_for(world: World) -> None:
    first, *others = sorted(HA_NODES, key=ranks(world, "c1").__getitem__)
    world.store.put(ha_node(first, "config/nova_host"), "c1")
    assert [ranks(world, "c1")[name] for name in others] == [0, 1]


def waited(world: World, me: str, due_s: float | None = None) -> tuple[bool, float]:
    before = world.clock.monotonic()
    taken = await_turn(world.clients(me), read_view(world.store), "c1", before if due_s is None else due_s)
    return taken, world.clock.monotonic() - before


@pytest.mark.parametrize("me", HA_NODES)
def test_each_waits_a_second_for_every_one_before_it(world: World, me: str) -> None:
    assert waited(world, me) == (True, pytest.approx(NEXT_AFTER_S * ranks(world, "c1")[me]))


@pytest.mark.parametrize("me", HA_NODES)
def test_what_has_been_due_for_long_is_waited_for_no_more(world: World, me: str) -> None:
    assert waited(world, me, world.clock.monotonic() - 60) == (True, 0)


def test_what_another_one_has_taken_meanwhile_is_left_to_it(world: World) -> None:
    last = max(HA_NODES, key=ranks(world, "c1").__getitem__)

    def takes() -> None:
        world.clock.meanwhile.remove(takes)
        session = world.store.create_session("another", 10, 0)
        world.store.commit([lock(compute_node("c1", LOCK), session)])

    world.clock.meanwhile.append(takes)
    taken, seconds = waited(world, last)
    assert not taken
    assert seconds < NEXT_AFTER_S


def test_a_handler_that_is_asked_to_end_waits_no_longer(world: World) -> None:
    last = max(HA_NODES, key=ranks(world, "c1").__getitem__)
    clients = world.clients(last)
    clients.stopping = lambda: True
    with pytest.raises(Halted, match="asked to end before the last look"):
        await_turn(clients, read_view(world.store), "c1", world.clock.monotonic())
