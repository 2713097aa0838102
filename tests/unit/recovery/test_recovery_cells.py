"""A cloud of several cells: one whose database is away concerns its own hosts, and no others."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kit.fakes.findings import a_service, findings
from kit.fakes.world import World
from nova_ha.cli.doctor.finding import Level
from nova_ha.cli.doctor.nova import nova_findings
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import ServerState
from nova_ha.cluster.view import read_view
from nova_ha.compute import ServiceReading
from nova_ha.recovery.last_look import Ask, decide


@pytest.fixture
def world() -> World:
    """c1 hangs; of the other cell are c4 and ha-2."""
    world = World()
    world.nova.add("c1", 3)
    world.hang("c1")
    return world


@pytest.mark.fault(50)
def test_a_cell_that_is_away_stops_no_recovery_of_another(world: World) -> None:
    world.nova.cell_down = {"c4", "ha-2"}
    world.recover()
    [incident] = world.closed("c1")
    assert [p.state for p in incident.servers.values()] == [ServerState.EVACUATED] * 3


def test_one_that_goes_away_in_the_middle_does_not_either(world: World) -> None:
    def away(call: tuple[str, ...]) -> None:
        if call[0] == "evacuate":
            world.nova.cell_down = {"c4", "ha-2"}

    world.nova.before = away
    world.recover()
    assert [p.state for p in world.closed("c1")[0].servers.values()] == [ServerState.EVACUATED] * 3


def test_a_host_that_nova_cannot_read_takes_no_servers(world: World) -> None:
    world.nova.cell_down = {"ha-1"}
    world.recover()
    [incident] = world.closed("c1")
    assert "ha-1" not in {progress.host for progress in incident.servers.values()}
    assert {progress.target for progress in incident.servers.values()} == {""}


@pytest.mark.fault(50)
def test_of_the_failed_hosts_own_cell_nothing_is_concluded_while_it_is_away(world: World) -> None:
    world.nova.cell_down = {"c1"}
    assert world.recover()["c1"].gate is Gate.NOVA_AWAY
    assert world.bmcs["c1"].commands == []
    world.nova.cell_down = set()
    world.recover()
    assert world.closed("c1")


@pytest.mark.fault(50)
def test_nor_where_it_goes_away_in_the_middle(world: World) -> None:
    """A host that is missing in the list is not one that somebody has taken out of Nova."""

    def away(call: tuple[str, ...]) -> None:
        if call[0] == "evacuate":
            world.nova.cell_down = {"c1"}

    world.nova.before = away
    world.recover()
    incident = world.incident("c1")
    assert incident is not None
    assert incident.gate is Gate.NOVA_FAILS
    assert "its cell's database is away" in incident.reason


def test_a_host_of_which_nova_has_two_records_is_not_fenced_and_it_is_said_why() -> None:
    left: ServiceReading = a_service("c1", id="id-of-old", silent_s=9000)
    outcome = decide(findings(services=[a_service("c1"), a_service("ha-1"), left]), "c1", None)
    assert isinstance(outcome, Ask)
    assert outcome.closed.gate is Gate.RUNTIME_CONFIG
    assert "Nova has 2 records of a nova-compute on a host named 'c1'" in outcome.closed.why


def test_doctor_says_of_a_host_that_there_are_two_records_of_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = world.nova.services
    monkeypatch.setattr(world.nova, "services", lambda: [*read(), *read()[:1]])
    [found] = [f for f in nova_findings(world.nova, read_view(world.store)) if "records" in f.what]
    assert (found.level, found.subject) == (Level.BAD, "c1")
    assert "openstack compute service delete" in found.remedy


def test_doctor_says_of_a_host_that_cannot_be_read_what_is_away(world: World) -> None:
    world.nova.cell_down = {"c4", "ha-2"}
    found = {f.subject: f for f in nova_findings(world.nova, read_view(world.store)) if f.level is Level.BAD}
    assert {"c4", "ha-2"} <= set(found)
    assert "its cell's database is away" in found["c4"].what
    assert "its cell's database is away" in found["ha-2"].what
    world.nova.cell_down = set()
    world.nova.hosts["c4"] = replace(world.nova.hosts["c4"], host="c44")
    found = {f.subject: f for f in nova_findings(world.nova, read_view(world.store))}
    assert "Nova knows no nova-compute on 'c4'" in found["c4"].what
