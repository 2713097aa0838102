"""Servers that leave the failed host by other ways than this incident's: Nova evacuates from wherever they are."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kit.fakes.world import World
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import ServerState
from nova_ha.cluster.schema import compute_node
from nova_ha.cluster.view import read_view
from nova_ha.compute import MigrationStatus, Server, ServerID
from nova_ha.errors import NovaError
from nova_ha.power import PowerState
from nova_ha.recovery import operator


@pytest.fixture
def world() -> World:
    """c1 hangs, with two servers more than are evacuated at a time."""
    world = World()
    world.nova.add("c1", 7)
    world.hang("c1")
    return world


@pytest.mark.fault(31)
@pytest.mark.parametrize("up", [True, False])
def test_a_server_that_somebody_moves_while_it_waits_its_turn_is_left_where_it_is(world: World, up: bool) -> None:
    """c3 may look as dead to Nova as c1, while its guests run on: nobody has fenced it."""
    last = sorted(world.nova.inventory)[-1]

    def moved(call: tuple[str, ...]) -> None:
        if call[0] == "evacuate" and world.nova.inventory[last].host == "c1":
            world.nova.inventory[last] = replace(world.nova.inventory[last], host="c3")
            world.nova.guests[last] = {"c3"}
            if not up:
                world.nova.silent.add("c3")
                world.nova.hosts["c3"] = replace(world.nova.hosts["c3"], up=False)

    world.nova.before = moved
    world.recover()
    [incident] = world.closed("c1")
    assert incident.servers[last].state is ServerState.SKIPPED
    assert incident.servers[last].reason == "is on c3: somebody else moved it"
    assert [p.state for s, p in incident.servers.items() if s != last] == [ServerState.EVACUATED] * 6
    assert ("evacuate", last) not in [call[:2] for call in world.nova.calls]
    assert not world.nova.unfenced
    assert not world.nova.doubled


def stopped_after_a_lost_answer(world: World, after_s: float) -> None:
    """Nova begins the evacuation only so much later, and its answer is lost; then the host powers itself on."""
    world.nova.lose_and_act_later(after_s)
    asked: list[float] = []

    def powers_itself_on() -> None:
        if world.nova._later and not asked:
            asked.append(world.clock.monotonic())
        if asked and world.clock.monotonic() - asked[0] > 3 and not world.closed("c1"):
            world.bmcs["c1"].state = PowerState.ON

    world.clock.meanwhile.append(powers_itself_on)
    world.recover()


@pytest.mark.fault(29)
def test_a_retry_right_after_a_lost_answer_follows_what_nova_may_still_do(world: World) -> None:
    """Nova acts only 45 s after it was asked; meanwhile the power came back, and the operator began anew."""
    world = World()
    [server] = world.nova.add("c1", 1)
    world.nova.rebuild_s = 40.0
    world.hang("c1")
    stopped_after_a_lost_answer(world, 45.0)
    incident = world.incident("c1")
    assert incident is not None
    assert incident.gate is Gate.POWERED_ON
    world.clock.sleep(5)
    operator.retry(world.store, world.clock, "c1", by="ann")
    world.recover()
    world.clock.sleep(150)
    assert len(world.nova.records) == 1
    assert not world.nova.doubled
    assert world.closed("c1")[-1].servers[server].state is ServerState.EVACUATED


@pytest.mark.fault(29)
@pytest.mark.fault(31)
def test_a_moved_server_that_nova_cannot_read_does_not_hold_up_the_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = sorted(world.nova.inventory)[-1]
    read = world.nova.server

    def moved(call: tuple[str, ...]) -> None:
        if call[0] == "evacuate":
            world.nova.inventory[last] = replace(world.nova.inventory[last], host="c3")

    def broken(server: ServerID) -> Server | None:
        if server == last and world.nova.inventory[last].host == "c3":
            raise NovaError("Nova answers 500: cannot load the instance")
        return read(server)

    world.nova.before = moved
    monkeypatch.setattr(world.nova, "server", broken)
    world.recover()
    [incident] = world.closed("c1")
    assert [p.state for s, p in incident.servers.items() if s != last] == [ServerState.EVACUATED] * 6
    assert incident.servers[last].state is ServerState.FAILED
    assert "cannot load the instance" in incident.servers[last].reason


@pytest.mark.fault(29)
def test_what_was_asked_for_is_known_over_an_incident_that_never_came_to_its_servers() -> None:
    """The first retry finds that the host answers, the second one that it has hung again."""
    world = World()
    world.nova.add("c1", 1)
    world.nova.rebuild_s = 40.0
    world.hang("c1")
    stopped_after_a_lost_answer(world, 55.0)
    world.revive("c1")
    operator.retry(world.store, world.clock, "c1", by="ann")
    world.recover()
    world.silent["c1"] = 3
    world.nova.silent.add("c1")
    world.report()
    operator.retry(world.store, world.clock, "c1", by="ann")
    world.recover()
    world.clock.sleep(150)
    assert len(world.nova.records) == 1
    assert not world.nova.doubled


@pytest.mark.fault(31)
def test_a_server_that_came_home_meanwhile_is_asked_for_anew() -> None:
    """Its last evacuation has long ended: the host was repaired, and fails again within minutes."""
    world = World()
    [server] = world.nova.add("c1", 1)
    world.nova.rebuild_s = 20.0
    world.hang("c1")

    def powers_itself_on() -> None:
        if world.nova.rebuilds and not world.closed("c1"):
            world.bmcs["c1"].state = PowerState.ON

    world.clock.meanwhile.append(powers_itself_on)
    world.recover()
    world.clock.sleep(30)
    opened = read_view(world.store).incidents["c1"]
    world.store.commit(operator.archived(world.store, world.clock, opened, "ann", "node reset"))
    world.nova.records = [replace(record, status=MigrationStatus.COMPLETED) for record in world.nova.records]
    for leaf in ("status/failed", "status/recovered"):
        world.store.put(compute_node("c1", leaf), "False")
    back = {"forced_down": False, "enabled": True, "disabled_reason": "", "up": True}
    world.nova.hosts["c1"] = replace(world.nova.hosts["c1"], **back)
    world.revive("c1")
    world.clock.sleep(100)
    world.nova.inventory[server] = replace(world.nova.inventory[server], host="c1")
    world.nova.guests[server] = {"c1"}
    world.hang("c1")
    operator.approve(world.store, world.clock, ["c1"], by="ann")
    world.recover()
    assert world.closed("c1")[-1].servers[server].state is ServerState.EVACUATED
