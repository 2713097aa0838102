"""An approval while a recovery is at work: nothing waits for it, and it must not wait for the next incident."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from kit.fakes.typing_operator import Operator
from kit.fakes.world import World
from nova_ha.cluster.schema import compute_node
from nova_ha.consul.transaction import Operation, lock

APPROVAL = compute_node("c1", "config/approval")


def a_driver_takes(world: World, node: str) -> None:
    session = world.store.create_session("driver", 3600, 30)
    world.store.consul.commit([lock(compute_node(node, "internal/.lock"), session)])


def fails(world: World, *names: str) -> None:
    for name in names:
        world.store.put(compute_node(name, "internal/number_fails"), "3")


def test_an_approval_for_a_node_that_is_worked_on_is_refused_and_nothing_is_left(
    nova_ha: Operator, world: World
) -> None:
    a_driver_takes(world, "c1")
    refused = nova_ha("approve", "c1")
    assert refused.code == 3
    assert "c1: a recovery works on it, nothing waits for you" in refused.err
    assert world.store.value(APPROVAL) is None


def test_of_several_nodes_those_that_wait_get_it(nova_ha: Operator, world: World) -> None:
    fails(world, "c2")
    a_driver_takes(world, "c1")
    said = nova_ha.well("approve", "c1", "c2")
    assert said.out.startswith("c2: ")
    assert "Note: c1: a recovery works on it" in said.err
    assert world.store.value(APPROVAL) is None
    assert world.store.value(compute_node("c2", "config/approval")) is not None


def test_a_driver_that_comes_in_between_gets_no_approval_for_the_next_incident(
    nova_ha: Operator, world: World
) -> None:
    fails(world, "c1")

    def claim(_: Sequence[Operation]) -> None:
        world.store.before = None
        a_driver_takes(world, "c1")

    world.store.before = claim
    assert nova_ha("approve", "c1").code == 75
    assert world.store.value(APPROVAL) is None


def test_sixty_nodes_are_approved_in_as_many_transactions_as_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    world = World(compute=60)
    fails(world, *world.names)
    nova_ha = Operator(world, capsys)
    nova_ha.well("approve", *world.names)
    assert all(world.store.value(compute_node(name, "config/approval")) for name in world.names)
