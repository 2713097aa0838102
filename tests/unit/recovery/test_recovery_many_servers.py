"""A host with very many servers: recovered like any other, or the operator's; never a crash after the fence."""

from __future__ import annotations

import pytest
from kit.fakes.world import World
from nova_ha.cluster import incident as records
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import IncidentState
from nova_ha.power import PowerState
from nova_ha.recovery import evacuation, gates


@pytest.fixture
def world() -> World:
    world = World()
    world.store.put("ha_cluster/config/recovery/concurrency", "100")
    world.nova.rebuild_s = 1.0
    return world


def test_more_servers_than_a_record_could_have_unpacked_are_all_recovered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "MOST_BYTES", 24 * 1024)
    world.nova.add("c1", 120)
    world.hang("c1")
    world.recover()
    [closed] = world.closed("c1")
    assert closed.state is IncidentState.FINISHED
    assert len(closed.servers) == 120
    assert not world.nova.servers("c1")
    sizes = [len(o.value or b"") for commit in world.store.commits for o in commit]
    assert max(sizes, default=0) <= 24 * 1024


@pytest.mark.fault(55)
def test_too_many_servers_for_one_record_are_the_operators_before_the_power_is_cut(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gates, "MOST_SERVERS", 10)
    world.nova.add("c1", 11)
    world.hang("c1")
    world.recover()
    incident = world.incident("c1")
    assert incident is not None
    assert (incident.state, incident.gate) == (IncidentState.NEEDS_OPERATOR, Gate.TOO_MANY_SERVERS)
    assert "11 servers are on the host" in incident.reason
    assert world.bmcs["c1"].state is PowerState.ON
    assert world.leftovers() == []


def test_too_many_servers_that_came_after_the_look_are_the_operators_and_the_locks_are_given_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evacuation, "MOST_SERVERS", 10)
    world.nova.add("c1", 11)
    world.hang("c1")
    world.recover()
    incident = world.incident("c1")
    assert incident is not None
    assert (incident.state, incident.gate) == (IncidentState.NEEDS_OPERATOR, Gate.TOO_MANY_SERVERS)
    assert "11 servers are on the host" in incident.reason
    assert "evacuate" not in {call[0] for call in world.nova.calls}
    assert world.leftovers() == []
