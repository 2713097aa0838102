"""The keys that a recovery writes: names that every Consul takes, and the history that an older nova-ha left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from kit.fakes.values import a_waiting_incident, started_key
from kit.fakes.world import World
from nova_ha.clock import to_key, to_stamp
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import Incident, IncidentState, ServerState
from nova_ha.cluster.policy import OPTIONS
from nova_ha.cluster.registry import (
    NodeSettings,
    add_compute_node,
    add_ha_node,
    remove_compute_node,
    remove_ha_node,
    set_option,
)
from nova_ha.cluster.schema import CONFIG, INCIDENTS_CLOSED, closed_incident, compute_node, open_incident
from nova_ha.cluster.view import read_view, with_left_behind
from nova_ha.consul.transaction import Operation
from nova_ha.consul.values import is_key
from nova_ha.errors import ConfigError
from nova_ha.recovery import operator
from nova_ha.recovery.archive import into_history, last_incident
from nova_ha.sandbox.snapshot import last_of

WRITING = ("set", "cas", "lock", "unlock")


@pytest.fixture
def world() -> World:
    world = World()
    world.nova.add("c1", 2)
    return world


def as_of_an_older_one(world: World, name: str) -> str:
    """Put the node's last record under the key that it had before; return the key."""
    incident = world.closed(name)[-1]
    world.store.drop(closed_incident(name, started_key(incident)))
    key = closed_incident(name, to_stamp(incident.started))
    world.store.put(key, incident.to_kv())
    return key


def recovered(world: World) -> Incident:
    world.hang("c1")
    assert world.recover()["c1"].outcome == "finished"
    return world.closed("c1")[-1]


def test_every_key_of_recoveries_and_of_an_operators_day_has_a_name_that_every_consul_takes(world: World) -> None:
    written: set[str] = set()

    def note(operations: Sequence[Operation]) -> None:
        written.update(operation.key for operation in operations if operation.verb in WRITING)

    world.store.before = note
    add_compute_node(
        world.store,
        "c9",
        NodeSettings(ssh_user="probe", ssh_password="x", bmc_ip="127.0.0.9", bmc_user="u", bmc_password="p"),
    )
    add_ha_node(world.store, "ha-9")
    set_option(world.store, "recovery/attempts", "2")
    for name in ("c9", "ha-9"):
        (remove_compute_node if name == "c9" else remove_ha_node)(world.store, name)
    recovered(world)
    operator.retry(world.store, world.clock, "c1", by="ann")
    world.recover()
    world.store.put(compute_node("c2", "internal/number_fails"), "1")
    operator.approve(world.store, world.clock, ["c2"], by="ann")
    operator.pause(world.store, world.clock, by="ann")
    operator.resume(world.store)
    waiting = a_waiting_incident("c2", Gate.BMC_UNREACHABLE, before=IncidentState.FENCING)
    world.silent["c2"] = 3
    world.report()
    world.store.put(compute_node("c2", "status/failed"), "True")
    world.store.put(open_incident("c2"), waiting.to_kv())
    operator.confirm_off(world.store, world.clock, "c2", by="ann")
    operator.retry(world.store, world.clock, "c2", by="ann")
    areas = {key.split("/")[1] for key in written}
    assert areas >= {"compute_nodes", "ha_nodes", "config", "incidents", "locks", "paused", "wake"}
    assert closed_incident("c2", to_key(waiting.started)) in written
    assert [key for key in written if not is_key(key)] == []


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_of_the_policy_has_such_a_key(name: str) -> None:
    assert is_key(CONFIG + name)


def test_a_key_with_a_colon_would_be_caught_wherever_it_is_written(world: World) -> None:
    with pytest.raises(
        ConfigError, match=r"'ha_cluster/incidents/closed/c1/2030-01-01T12:00:45\.000Z' is not written"
    ):
        world.store.commit([Operation("set", "ha_cluster/incidents/closed/c1/2030-01-01T12:00:45.000Z", b"")])


def test_a_node_whose_record_an_older_one_wrote_is_recovered_again(world: World) -> None:
    recovered(world)
    key = as_of_an_older_one(world, "c1")
    operator.retry(world.store, world.clock, "c1", by="ann")
    world.nova.add("c1", 1)
    assert world.recover()["c1"].outcome == "finished"
    assert len(world.closed("c1")) == 2
    assert key in world.store.data


def test_the_last_incident_is_that_of_the_later_moment_whatever_the_form_of_its_key(world: World) -> None:
    """By the text alone 20300101T11 comes after 2030-01-01T12."""
    later = recovered(world)
    as_of_an_older_one(world, "c1")
    earlier = replace(later, started=later.started - timedelta(hours=1), nova_host="earlier")
    world.store.commit([into_history(world.store, earlier)])
    assert last_incident(world.store, "c1") == last_of(world.store, "c1") == later


def test_a_record_that_a_backup_brings_back_stays_one(world: World) -> None:
    incident = recovered(world)
    key = as_of_an_older_one(world, "c1")
    withdrawn = replace(incident, state=IncidentState.WITHDRAWN)
    world.store.commit([into_history(world.store, withdrawn)])
    assert world.store.keys(INCIDENTS_CLOSED) == [key]
    assert world.closed("c1") == [withdrawn]


def test_servers_that_an_older_one_left_behind_are_counted(world: World) -> None:
    incident = recovered(world)
    key = as_of_an_older_one(world, "c1")
    failed = {name: replace(server, state=ServerState.FAILED) for name, server in incident.servers.items()}
    world.store.put(key, replace(incident, servers=failed).to_kv())
    assert with_left_behind(world.store, read_view(world.store)).left_behind == {"c1": {ServerState.FAILED: 2}}
