"""Servers that were on the move when the host failed: their guests run where Nova does not say."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kit.fakes.trace import TracedWorld
from kit.fakes.world import Crash, World
from nova_ha.cli.views.plan import server_lines
from nova_ha.cluster.incident import Incident, IncidentState, ServerState
from nova_ha.cluster.schema import open_incident
from nova_ha.cluster.view import read_view
from nova_ha.compute import Migration
from nova_ha.compute.states import MigrationStatus, VMState
from nova_ha.errors import NovaError
from nova_ha.recovery import operator
from nova_ha.recovery.findings import look

TO_C2 = "was being migrated to c2: see where it runs, then retry"


@pytest.fixture
def world() -> World:
    """c1 will hang; three servers on it stay where they are."""
    world = TracedWorld()
    world.nova.add("c1", 3)
    return world


def recovered(world: World) -> Incident:
    """Let c1 hang, and be recovered; return its incident. The auditor has nothing to say, and no guest ran twice."""
    world.hang("c1")
    world.recover()
    return closed(world)


def closed(world: World) -> Incident:
    incident = world.closed("c1")[-1]
    assert incident.state is IncidentState.FINISHED
    assert not world.nova.doubled
    return incident


def reason(incident: Incident, server: str) -> str:
    assert incident.servers[server].state is ServerState.FAILED
    return incident.servers[server].reason


def story(incident: Incident) -> list[str]:
    return [step.what for step in incident.steps if step.what.startswith("audit: ")]


@pytest.mark.fault(49)
@pytest.mark.parametrize("handed_over", [True, False])
def test_a_server_in_live_migration_is_named_with_where_it_went_and_never_runs_twice(
    world: World, handed_over: bool
) -> None:
    [moved] = world.nova.add("c1", 1)
    world.nova.migrate(moved, "c2", handed_over=handed_over)
    incident = recovered(world)
    assert reason(incident, moved).startswith(TO_C2)
    assert [p.state for s, p in incident.servers.items() if s != moved] == [ServerState.EVACUATED] * 3
    assert world.nova.guests[moved] == ({"c2"} if handed_over else set())
    assert f"audit: {moved} is still on c1: {TO_C2}" in " ".join(story(incident))


def test_nor_does_a_paused_one_whose_state_would_be_reset_first(world: World) -> None:
    [moved] = world.nova.add("c1", 1, VMState.PAUSED)
    world.nova.migrate(moved, "c2")
    assert reason(recovered(world), moved).startswith(TO_C2)
    assert ("reset_to_error", moved) not in world.nova.calls


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        ({"destination": ""}, "was being migrated, Nova does not say where to"),
        ({"source": "c3", "destination": "c1"}, "was being migrated here from c3"),
        # Its record may have ended while its task did not.
        ({"status": MigrationStatus.COMPLETED}, "was being migrated to c2"),
        (None, "was being migrated, Nova does not say where to"),
    ],
)
def test_what_nova_says_of_it_is_named(world: World, kept: dict[str, object] | None, words: str) -> None:
    [moved] = world.nova.add("c1", 1)
    move = world.nova.migrate(moved, "c2")
    world.nova.moves = [] if kept is None else [replace(move, **kept)]  # type: ignore[arg-type]
    assert reason(recovered(world), moved).startswith(f"{words}: see where it runs, then retry")


def test_an_open_record_counts_before_a_newer_one_that_is_over(world: World) -> None:
    [moved] = world.nova.add("c1", 1)
    world.nova.migrate(moved, "c2")
    world.nova.moves.insert(0, replace(world.nova.migrate(moved, "c3"), status=MigrationStatus.ERROR))
    world.nova.moves.pop(1)
    assert reason(recovered(world), moved).startswith(TO_C2)


def test_records_that_nova_cannot_read_hold_up_nobody(world: World) -> None:
    [moved] = world.nova.add("c1", 1)
    world.nova.migrate(moved, "c2")
    world.nova.fail("moves_of", NovaError("Nova answers 500"), times=1000)
    incident = recovered(world)
    assert reason(incident, moved).startswith("was being migrated, Nova does not say where to")
    assert [p.state for s, p in incident.servers.items() if s != moved] == [ServerState.EVACUATED] * 3


@pytest.mark.fault(49)
def test_one_that_began_to_move_after_it_was_listed_is_not_sent_either(world: World) -> None:
    """By a resize, which Nova takes up whatever the host does."""
    servers = world.nova.add("c1", 4)
    last = servers[-1]

    def moves(call: tuple[str, ...]) -> None:
        if call[0] == "evacuate" and not world.nova.moves:
            world.nova.migrate(last, "c2")

    world.nova.before = moves
    incident = recovered(world)
    assert reason(incident, last).startswith(TO_C2)
    assert ("evacuate", last) not in [call[:2] for call in world.nova.calls]


@pytest.mark.fault(49)
@pytest.mark.parametrize("moment", range(4, 40, 3))
def test_whoever_goes_on_after_a_crash_comes_to_the_same_end(world: World, moment: int) -> None:
    [moved] = world.nova.add("c1", 1)
    world.nova.migrate(moved, "c2", handed_over=True)
    [coming] = world.nova.add("c3", 1)
    world.nova.migrate(coming, "c1")
    world.hang("c1")
    world.crash_at(moment)
    try:
        world.recover()
    except Crash:
        world.no_more_crashes()
        world.clock.sleep(60)
        world.recover("ha-2")
    incident = closed(world)
    assert reason(incident, moved).startswith(TO_C2)
    assert f"audit: {coming} was being migrated here from c3: see where it runs" in story(incident)


@pytest.mark.fault(49)
@pytest.mark.parametrize("vm_state", [VMState.ACTIVE, VMState.STOPPED, VMState.PAUSED])
def test_one_whose_state_was_set_while_its_migration_stays_open_is_named_and_never_runs_twice(
    world: World, vm_state: VMState
) -> None:
    """As `openstack server set --state active` does, which ends its task."""
    [moved] = world.nova.add("c1", 1)
    world.nova.migrate(moved, "c2", handed_over=True)
    world.nova.inventory[moved] = replace(world.nova.inventory[moved], task_state="", vm_state=vm_state)
    incident = recovered(world)
    assert reason(incident, moved).startswith(TO_C2)
    assert world.nova.guests[moved] == {"c2"}
    assert [p.state for s, p in incident.servers.items() if s != moved] == [ServerState.EVACUATED] * 3


GIVEN_UP = "Nova gave up its live migration to c2: see where it runs; where it does not run there"


def given_up(world: World, server: str, destination: str = "c2") -> Migration:
    """Let Nova give up a live migration whose guest runs there already (nova/compute/manager.py, _do_live_migration).

    "Almost certainly too late to rollback": the record and the server are in error, and the task is gone.
    """
    move = replace(world.nova.migrate(server, destination, handed_over=True), status=MigrationStatus.ERROR, live=True)
    world.nova.moves[0] = move
    world.nova.inventory[server] = replace(world.nova.inventory[server], task_state="", vm_state=VMState.ERROR)
    return move


@pytest.mark.fault(49)
def test_one_whose_live_migration_nova_gave_up_is_named_and_never_runs_twice(world: World) -> None:
    [moved] = world.nova.add("c1", 1)
    given_up(world, moved)
    incident = recovered(world)
    assert reason(incident, moved).startswith(GIVEN_UP)
    assert world.nova.guests[moved] == {"c2"}
    assert [p.state for s, p in incident.servers.items() if s != moved] == [ServerState.EVACUATED] * 3


def test_an_operator_who_finds_that_it_does_not_run_there_sets_it_active_and_retries(world: World) -> None:
    [moved] = world.nova.add("c1", 1)
    given_up(world, moved)
    world.nova.guests[moved] = set()
    recovered(world)
    operator.retry(world.store, world.clock, "c1", by="ann")
    world.recover()
    assert reason(closed(world), moved).startswith(GIVEN_UP)
    world.nova.inventory[moved] = replace(world.nova.inventory[moved], vm_state=VMState.ACTIVE)
    operator.retry(world.store, world.clock, "c1", by="ann")
    world.recover()
    assert closed(world).servers[moved].state is ServerState.EVACUATED


@pytest.mark.parametrize(
    "newer",
    [
        {"status": MigrationStatus.CANCELLED},  # it was on c1 again, and well: Nova moves no other
        {"status": MigrationStatus.FAILED},
        {"status": MigrationStatus.COMPLETED, "source": "c2", "destination": "c1"},
    ],
)
def test_a_record_that_nova_gave_up_says_nothing_once_there_is_a_newer_one(
    world: World, newer: dict[str, object]
) -> None:
    server, *_ = world.nova.inventory
    move = given_up(world, server)
    world.nova.moves.insert(0, replace(move, **{"uuid": "newer", **newer}))  # type: ignore[arg-type]
    world.nova.guests[server] = {"c1"}
    assert [p.state for p in recovered(world).servers.values()] == [ServerState.EVACUATED] * 3


def test_nor_does_it_where_the_server_was_evacuated_since(world: World) -> None:
    """What left it in error is then the evacuation, which has failed."""
    server, *_ = world.nova.inventory
    move = given_up(world, server)
    world.nova.guests[server] = {"c1"}
    world.nova.moves[0] = replace(move, number=7)
    world.nova.records.insert(0, replace(move, uuid="since", status=MigrationStatus.ERROR, live=False, number=8))
    assert recovered(world).servers[server].state is ServerState.EVACUATED


def test_nor_does_a_cold_migration_that_nova_gave_up(world: World) -> None:
    """Its guest is off by then, wherever it is."""
    server, *_ = world.nova.inventory
    world.nova.moves[0:] = [replace(given_up(world, server), live=False)]
    world.nova.guests[server] = set()
    assert recovered(world).servers[server].state is ServerState.EVACUATED


def test_one_whose_live_migration_to_the_host_nova_gave_up_is_named_at_its_end(world: World) -> None:
    [coming, back] = world.nova.add("c3", 2)
    given_up(world, coming, "c1")
    given_up(world, back, "c1")
    world.nova.inventory[back] = replace(world.nova.inventory[back], vm_state=VMState.ACTIVE)
    assert story(recovered(world)) == [
        f"audit: {coming} was being migrated here from c3, and Nova gave that up: see where it runs"
    ]


@pytest.mark.fault(49)
@pytest.mark.parametrize("status", [MigrationStatus.COMPLETED, MigrationStatus.FINISHED, MigrationStatus.CONFIRMED])
def test_a_record_that_stays_open_from_before_it_came_to_the_host_keeps_no_server(
    world: World, status: MigrationStatus
) -> None:
    server, *_ = world.nova.inventory
    open_still = world.nova.migrate(server, "c2")
    came = replace(open_still, uuid="move-back", source="c3", destination="c1", status=status)
    world.nova.moves.insert(0, came)
    world.nova.inventory[server] = replace(world.nova.inventory[server], task_state="")
    assert [p.state for p in recovered(world).servers.values()] == [ServerState.EVACUATED] * 3


def test_a_listing_of_migrations_that_fails_is_waited_for_before_anything_is_sent(world: World) -> None:
    server, *_ = world.nova.inventory
    world.nova.migrate(server, "c2", handed_over=True)
    world.nova.inventory[server] = replace(world.nova.inventory[server], task_state="")
    world.nova.fail("moves_at", NovaError("Nova answers 500"), times=3)
    assert reason(recovered(world), server).startswith(TO_C2)


def test_once_its_task_has_ended_a_retry_brings_it_back(world: World) -> None:
    [moved] = world.nova.add("c1", 1)
    world.nova.migrate(moved, "c2")
    recovered(world)
    operator.retry(world.store, world.clock, "c1", by="ann")
    world.recover()
    assert reason(closed(world), moved).startswith(TO_C2)
    world.nova.inventory[moved] = replace(world.nova.inventory[moved], task_state="", vm_state=VMState.ERROR)
    operator.retry(world.store, world.clock, "c1", by="ann")
    world.recover()
    assert closed(world).servers[moved].state is ServerState.EVACUATED


def test_a_server_that_was_on_its_way_here_is_in_nobodys_list_and_named_at_the_end(world: World) -> None:
    [coming, back, gone, long_ago] = world.nova.add("c3", 4)
    world.nova.migrate(coming, "c1", handed_over=True)
    world.nova.migrate(back, "c1")
    world.nova.inventory[back] = replace(world.nova.inventory[back], task_state="")
    world.nova.migrate(gone, "c1")
    del world.nova.inventory[gone]
    old = world.nova.migrate(long_ago, "c1")
    world.nova.moves = [
        replace(move, status=MigrationStatus.ERROR) if move == old else move for move in world.nova.moves
    ]
    incident = recovered(world)
    assert coming not in incident.servers
    assert story(incident) == [f"audit: {coming} was being migrated here from c3: see where it runs"]
    assert ("evacuate", coming) not in [call[:2] for call in world.nova.calls]


def test_one_of_them_that_nova_cannot_read_is_named_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    [coming] = world.nova.add("c3", 1)
    world.nova.migrate(coming, "c1")
    read = world.nova.server

    def broken(server: object) -> object:
        if server == coming:
            raise NovaError("Nova answers 500")
        return read(server)  # type: ignore[arg-type]

    monkeypatch.setattr(world.nova, "server", broken)
    [line] = story(recovered(world))
    assert line.startswith(f"audit: {coming} was being migrated here from c3, and Nova cannot say more")


def test_the_plan_says_it_before_anything_is_done(world: World) -> None:
    [moved] = world.nova.add("c1", 1)
    world.nova.migrate(moved, "c2")
    clients = world.clients()
    node = read_view(world.store).compute_nodes["c1"]
    [line] = [line for line in server_lines(clients, look(clients, node), node) if line.id == moved]
    assert line.action == "report"
    assert line.progress.reason.startswith(TO_C2)
    assert world.store.get(open_incident("c1")) is None
