"""Whose turn it is: one host that can be recovered does not wait behind many that cannot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import NoReturn

import pytest
from kit.fakes.store import FakeStore
from kit.fakes.world import World
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.schema import compute_node, ha_node, open_incident
from nova_ha.consul.transaction import lock
from nova_ha.errors import BMCError, ConsulError, TryAgain
from nova_ha.limits import BMC_READING_S
from nova_ha.recovery.driver_clients import DriverClients, Halted, Sight
from nova_ha.recovery.operator import approve, confirm_off
from nova_ha.recovery.ranks import NEXT_AFTER_S
from nova_ha.recovery.recover import recover_all

MANY = [f"c{n}" for n in range(1, 21)]


@pytest.fixture
def world() -> World:
    """Twenty hosts whose rack has lost its power, and a last one that is well."""
    world = World(compute=21)
    world.store.put("ha_cluster/config/monitor/max_failed", "21")
    return world


def bmc_away(world: World, *names: str) -> None:
    """The BMCs do not answer, and each question costs its whole time."""

    def unanswered(timeout_s: float) -> None:
        world.clock.advance(timeout_s)
        raise BMCError("the BMC does not answer")

    for name in names:
        world.bmcs[name].away = True
        world.bmcs[name].identity = unanswered  # type: ignore[method-assign, assignment]


def with_looks(clients: DriverClients, happen: Callable[[str], None]) -> DriverClients:
    """Return the clients of a driver at whose looks something happens, with the name of the node."""

    def sight(node: ComputeNode, limit_s: float) -> Sight:
        happen(node.name)
        return clients.sight(node, limit_s)

    return replace(clients, sight=sight)


def drive(world: World, happen: Callable[[str], None], only: Sequence[str] = ()) -> dict[str, str]:
    """Run one pass on ha-1, and return the outcomes."""
    world.driving.add("ha-1")
    clients = with_looks(world.clients("ha-1"), happen)
    return {name: result.outcome for name, result in recover_all(clients, only).items()}


@pytest.mark.fault(53)
def test_a_host_that_fails_among_twenty_whose_bmcs_are_away_is_looked_at_next(world: World) -> None:
    bmc_away(world, *MANY)
    world.hang(*MANY)
    world.recover()
    assert {world.incident(name).gate for name in MANY} == {Gate.BMC_UNREACHABLE}  # type: ignore[union-attr]
    looked: dict[str, float] = {}

    def flip_at_the_third(name: str) -> None:
        looked.setdefault(name, world.clock.monotonic())
        if len(looked) == 3 and "c21" not in world.silent:
            world.hang("c21")
            looked["flip"] = world.clock.monotonic()

    assert drive(world, flip_at_the_third)["c21"] == "finished"
    assert looked["c21"] - looked["flip"] <= BMC_READING_S + 2 * NEXT_AFTER_S
    assert [*looked][3:5] == ["flip", "c21"]


@pytest.mark.fault(53)
def test_of_hosts_that_fail_together_the_one_whose_bmc_answers_is_first(world: World) -> None:
    bmc_away(world, *MANY)
    world.hang(*MANY, "c21")
    others: list[str] = []
    lost = world.bmcs["c21"].on_off

    def off() -> None:
        lost()
        others.extend(world.store.keys(open_incident("")))

    world.bmcs["c21"].on_off = off
    looks: list[str] = []
    outcomes = drive(world, looks.append)
    # Twice at the first, whose nova-compute has to be seen silent: that look serves the others too.
    assert looks[0] == looks[1]
    assert looks[2] == "c21"
    assert others == [open_incident("c21")]
    assert outcomes == {**dict.fromkeys(MANY, "needs-operator"), "c21": "finished"}


@pytest.mark.fault(53)
def test_a_host_that_breaks_each_time_does_not_keep_the_others_waiting(world: World) -> None:
    for error in (ConsulError("too large"), TryAgain("changed meanwhile"), ValueError("odd")):
        world = World()
        world.store.put("ha_cluster/config/monitor/max_failed", "3")
        world.hang("c1", "c2")

        def break_the_first(name: str, error: Exception = error) -> None:
            if name == "c1":
                raise error

        with pytest.raises(type(error)):
            drive(world, break_the_first)
        assert len(world.closed("c2")) == 1


def test_what_a_driver_that_lost_consul_left_is_said_rather_than_that_consul_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    world.hang("c1")

    def lose_consul(name: str) -> None:
        def away(store: FakeStore, prefix: str) -> NoReturn:
            raise ConsulError("no Consul agent answers")

        monkeypatch.setattr(FakeStore, "list", away)
        raise TryAgain(f"the lock of {name} is gone")

    with pytest.raises(TryAgain, match="the lock of c1 is gone"):
        drive(world, lose_consul)


def test_a_driver_that_is_asked_to_end_takes_no_further_host() -> None:
    world = World()
    world.hang("c1")
    world.stopping = True
    looks: list[str] = []
    with pytest.raises(Halted, match="asked to end"):
        drive(world, looks.append)
    assert looks == []


def test_a_host_that_an_operator_lets_pass_meanwhile_has_another_turn(world: World) -> None:
    bmc_away(world, *MANY[:3])
    world.hang(*MANY[:3])
    world.recover()
    looks: list[str] = []

    def approve_the_first(name: str) -> None:
        looks.append(name)
        if len(looks) == 2:
            confirm_off(world.store, world.clock, "c1", by="ann", why="unplugged")

    assert drive(world, approve_the_first)["c1"] == "finished"
    assert looks[:3] == ["c1", "c2", "c1"]


def test_an_approval_that_ends_during_its_turn_keeps_no_other_host_waiting() -> None:
    world = World()
    world.store.put("ha_cluster/config/recovery/mode", "approve")
    world.hang("c1", "c2")
    world.recover()
    bmc_away(world, "c1")
    approve(world.store, world.clock, ["c1"], by="ann", until=world.clock.now() + timedelta(seconds=30))
    approve(world.store, world.clock, ["c2"], by="ann")
    assert drive(world, lambda name: None) == {"c1": "needs-operator", "c2": "finished"}


@pytest.mark.parametrize("held", [["c1"], ["c1", "c2"]])
def test_the_end_of_a_lock_delay_is_not_waited_for_while_another_host_can_be_claimed(held: list[str]) -> None:
    world = World()
    world.store.put("ha_cluster/config/monitor/max_failed", "3")
    world.hang("c1", "c2", "c3")
    for name in held:
        session = world.store.at("ha-2").create_session("gone", 15, 30)
        world.store.commit([lock(compute_node(name, "internal/.lock"), session)])
        world.store.expire_session(session)
    assert set(drive(world, lambda name: None).values()) == {"finished"}
    ends = {name: world.closed(name)[0].steps[-1].at for name in ("c1", "c2", "c3")}
    assert max(ends, key=lambda name: ends[name]) in held
    assert min(ends, key=lambda name: ends[name]) not in held


def test_a_busy_ha_node_says_so_before_it_looks_at_anything() -> None:
    world = World()
    world.hang("c1")
    world.store.put(ha_node("ha-1", "status/in_use"), "True")
    looks: list[str] = []
    assert drive(world, looks.append) == {"c1": "waits"}
    assert looks == []
