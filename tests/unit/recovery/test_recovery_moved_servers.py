"""Servers that leave the failed host by other ways than this incident's: Nova evacuates from wherever they are."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kit.fakes.world import World
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import ServerState
from nova_ha.cluster.schema import compute_node
from nova_ha.cluster.view import read_view
from nova_ha.compute import Server, ServerID
from nova_ha.compute.states import MigrationStatus
from nova_ha.errors import NovaError
from nova_ha.power import PowerState
from nova_ha.recovery import operator
from nova_ha.recovery.following import UNSEEN_S


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


def calls_one_gone(world: World, times: int, answer: Server | None) -> str:
    """Let Nova's answer about one server be this so many times, while it lists it on c1; return the server."""
    read, first = world.nova.server, sorted(world.nova.inventory)[0]
    asked: list[ServerID] = []

    def server(wanted: ServerID) -> Server | None:
        asked.append(wanted)
        return answer if wanted == first and asked.count(first) <= times else read(wanted)

    world.nova.server = server  # type: ignore[method-assign]
    return first


@pytest.mark.fault(29)
@pytest.mark.parametrize("gone", ["deleted", "moved"])
def test_a_server_that_nova_calls_gone_and_lists_on_the_host_is_asked_for_again(world: World, gone: str) -> None:
    here = world.nova.inventory[sorted(world.nova.inventory)[0]]
    calls_one_gone(world, 1, None if gone == "deleted" else replace(here, host="c3"))
    world.recover()
    [incident] = world.closed("c1")
    assert {p.state for p in incident.servers.values()} == {ServerState.EVACUATED}
    assert any("passed over before, but Nova lists it on c1" in step.what for step in incident.steps)
    assert not world.nova.doubled


@pytest.mark.fault(49)
def test_one_that_has_an_open_migration_by_then_is_not(world: World) -> None:
    """Nova says that it is on c3, then lists it on c1 again, with its task ended by hand."""
    server = sorted(world.nova.inventory)[0]
    calls_one_gone(world, 1, replace(world.nova.inventory[server], host="c3"))

    def moves(call: tuple[str, ...]) -> None:
        if call[0] == "evacuate" and not world.nova.moves:
            world.nova.migrate(server, "c3", handed_over=True)
            world.nova.inventory[server] = replace(world.nova.inventory[server], task_state="")

    world.nova.before = moves
    world.recover()
    [incident] = world.closed("c1")
    assert incident.servers[server].state is ServerState.SKIPPED
    assert world.nova.guests[server] == {"c3"}
    assert not world.nova.doubled


@pytest.mark.fault(29)
def test_one_that_stays_a_contradiction_is_named_as_failed_within_the_tries(world: World) -> None:
    server = calls_one_gone(world, 1000, None)
    world.recover()
    [incident] = world.closed("c1")
    first = incident.servers[server]
    assert first.state is ServerState.FAILED
    assert (
        first.reason == "was deleted meanwhile, but Nova lists it on c1: see where it is, then `nova-ha node retry`"
    )
    assert [p.state for p in incident.servers.values()].count(ServerState.EVACUATED) == 6


# --- others at work on a server that is still on the host ---


def set_completed(world: World) -> None:
    """The host's nova-compute has started: Nova sets so also what is still at work at its destination."""
    world.nova.records = [replace(record, status=MigrationStatus.COMPLETED) for record in world.nova.records]


def stopped_over_a_long_rebuild() -> tuple[World, str]:
    """A server takes ten minutes to come up on ha-1; meanwhile c1 is powered on, boots, and is to be fenced again."""
    world = World()
    [server] = world.nova.add("c1", 1)
    world.nova.rebuild_s = 600.0
    world.hang("c1")

    def powered_on() -> None:
        if world.nova.rebuilds and not world.closed("c1"):
            world.bmcs["c1"].state = PowerState.ON

    world.clock.meanwhile.append(powered_on)
    world.recover()
    world.clock.meanwhile.remove(powered_on)
    world.clock.sleep(120)
    world.nova.guests[server] = set()  # Nova leaves it shut down there
    set_completed(world)
    operator.retry(world.store, world.clock, "c1", by="ann")
    return world, server


@pytest.mark.fault(32)
@pytest.mark.parametrize(("timeout_s", "ends"), [(300, ServerState.FAILED), (3000, ServerState.EVACUATED)])
def test_a_completed_record_is_followed_while_nova_rebuilds_its_server(timeout_s: int, ends: ServerState) -> None:
    world, server = stopped_over_a_long_rebuild()
    world.store.put("ha_cluster/config/recovery/server_timeout", str(timeout_s))
    world.recover("ha-2")
    progress = world.closed("c1")[-1].servers[server]
    assert progress.state is ends
    assert "see whether it runs on ha-1" in progress.reason or ends is ServerState.EVACUATED
    world.clock.sleep(700)
    assert len(world.nova.records) == 1
    assert not world.nova.doubled


def rebuilt_by_hand(world: World, to: str = "") -> str:
    """Right before the driver looks at a server the first time, somebody else has it rebuilt."""
    [server] = world.nova.add("c1", 1)
    world.hang("c1")
    read, begun = world.nova.server, []

    def server_now(server_id: ServerID) -> Server | None:
        if not begun:
            begun.append(server_id)
            world.nova.inventory[server] = replace(world.nova.inventory[server], task_state="rebuilding")
            if to:
                world.nova._evacuate(ServerID(server), to)
        return read(server_id)

    world.nova.server = server_now  # type: ignore[method-assign]
    return server


@pytest.mark.fault(31)
def test_a_server_that_somebody_has_just_asked_for_is_not_asked_for_again() -> None:
    world = World()
    world.nova.rebuild_s = 20.0
    server = rebuilt_by_hand(world, to="c3")
    world.recover()
    assert world.closed("c1")[-1].servers[server].state is ServerState.EVACUATED
    assert [record.destination for record in world.nova.records] == ["c3"]
    assert not world.nova.doubled


@pytest.mark.fault(31)
def test_one_whose_owner_had_it_rebuilt_on_the_dead_host_is_asked_for_after_a_while() -> None:
    world = World()
    server = rebuilt_by_hand(world)
    before = world.clock.monotonic()
    world.recover()
    assert world.closed("c1")[-1].servers[server].state is ServerState.EVACUATED
    assert world.clock.monotonic() - before > UNSEEN_S


@pytest.mark.fault(31)
def test_a_server_that_its_owner_deletes_while_it_waits_its_turn_is_not_evacuated(world: World) -> None:
    last = sorted(world.nova.inventory)[-1]

    def deleted(call: tuple[str, ...]) -> None:
        if call[0] == "evacuate":
            world.nova.inventory[last] = replace(world.nova.inventory[last], task_state="deleting")

    world.nova.before = deleted
    world.recover()
    progress = world.closed("c1")[-1].servers[last]
    assert (progress.state, progress.task_state) == (ServerState.SKIPPED, "deleting")
    assert ("evacuate", last) not in [call[:2] for call in world.nova.calls]
