"""What `doctor` makes of what it reads; logins at real machines are in tests/integration/cli."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kit.fakes.values import a_node, a_view
from kit.fakes.world import World
from nova_ha.cli.doctor.consul import Right, consul_findings, rights
from nova_ha.cli.doctor.finding import Finding, Level
from nova_ha.cli.doctor.hosts import ssh_findings, to_record
from nova_ha.cli.doctor.nova import nova_findings
from nova_ha.cli.overview import look
from nova_ha.cluster.node import SSHConfig
from nova_ha.cluster.schema import RESERVE_REASON, compute_node
from nova_ha.cluster.view import read_view
from nova_ha.errors import NovaError
from nova_ha.power.device import FenceDevice
from nova_ha.probe.reach import TURNED_AWAY
from nova_ha.probe.sighting import Met, Sighting, failing, unknown


def of_nova(world: World) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for finding in nova_findings(world.nova, read_view(world.store)):
        found.setdefault(finding.subject, []).append(finding)
    return found


def worst(findings: list[Finding]) -> Level:
    return max((finding.level for finding in findings), key=list(Level).index)


def test_a_sound_nova_has_nothing_bad(world: World) -> None:
    assert {worst(findings) for findings in of_nova(world).values()} == {Level.OK}


def test_a_reserved_ha_node_is_ready_and_one_disabled_by_somebody_is_not(world: World) -> None:
    world.nova.disable("id-ha-1", RESERVE_REASON)
    world.nova.disable("id-ha-2", "broken fan")
    found = of_nova(world)
    assert worst(found["ha-1"]) is Level.OK
    assert worst(found["ha-2"]) is Level.BAD
    assert "broken fan" in found["ha-2"][0].what


def test_a_compute_node_that_nova_does_not_know_is_bad(world: World) -> None:
    world.store.put(compute_node("c1", "internal/runtime_config"), '{"version":1,"nova_host":"elsewhere"}')
    [finding] = of_nova(world)["c1"]
    assert finding.level is Level.BAD
    assert "nova-ha node set c1 --nova-host" in finding.remedy


@pytest.mark.parametrize(
    ("seen", "remedy"),
    [
        (TURNED_AWAY, "PerSourcePenaltyExemptList"),
        (failing("timed out"), "bring the host up"),
        (unknown("host key changed", refused=True, met=Met.KEYS), "installed anew: `nova-ha node set c1 --probe`"),
        (unknown("config/ssh/host_key is not a public key", met=Met.KEYS), "nova-ha node set c1 --probe"),
        (unknown("login ended by the host in the key exchange: no algorithm in common", refused=True), "--ssh-..."),
        (unknown("wrong password", refused=True), "`nova-ha node set c1 --ssh-...`"),
    ],
)
def test_each_login_that_does_not_work_has_its_own_remedy(
    seen: Sighting, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nova_ha.probe.ssh_sweep.sweep", lambda nodes, *_: dict.fromkeys(nodes, seen))
    [finding] = ssh_findings(a_view([a_node("c1")]))
    assert finding.level is Level.BAD
    assert remedy in finding.remedy


def test_missing_rights_to_read_migrations_are_bad_before_a_recovery_needs_them(world: World) -> None:
    world.nova.fail("evacuations", NovaError("Nova refuses to list migrations (403)"))
    assert worst(of_nova(world)["rights"]) is Level.BAD


@pytest.mark.parametrize(
    ("room", "level"),
    [
        ({"VCPU": 8, "MEMORY_MB": 1024, "DISK_GB": 0}, Level.OK),
        ({"VCPU": 0, "MEMORY_MB": 1024}, Level.WARNING),
        ({}, Level.WARNING),
    ],
)
def test_a_host_without_processors_or_memory_has_no_room_and_one_without_disk_may(
    world: World, room: dict[str, int], level: Level, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.nova, "room", lambda host: room)
    assert worst(of_nova(world)["ha-1"]) is level


def of_consul(world: World, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Finding]]:
    from nova_ha.cli.doctor import consul

    monkeypatch.setattr(consul, "allowances", lambda store, wanted: [True] * len(wanted))
    world.store.answers["/v1/status/leader"] = "10.0.0.1:8300"
    world.store.answers["/v1/status/peers"] = ["10.0.0.1:8300", "10.0.0.2:8300", "10.0.0.3:8300"]
    found: dict[str, list[Finding]] = {}
    for finding in consul_findings(world.store, look(world.store, world.clock.now())):
        found.setdefault(finding.subject, []).append(finding)
    return found


def test_a_sound_consul_has_nothing_bad(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    found = of_consul(world, monkeypatch)
    assert {worst(findings) for findings in found.values()} == {Level.OK}
    assert "3 servers" in found["servers"][0].what


def test_an_observer_without_agent_is_bad(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.report(without=["ha-2"])
    found = of_consul(world, monkeypatch)
    assert (worst(found["ha-2"]), worst(found["ha-3"])) == (Level.BAD, Level.OK)


def test_every_bad_key_is_a_finding_with_what_mends_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    key = compute_node("c1", "config/bmc/port")
    world.store.put(key, "99999")
    [finding] = of_consul(world, monkeypatch)[key]
    assert (finding.level, finding.remedy) == (Level.BAD, "`nova-ha node set c1 --bmc-port PORT`")


def test_an_agent_that_is_no_ha_node_is_a_warning(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.store.node = "laptop"
    assert worst(of_consul(world, monkeypatch)["laptop"]) is Level.WARNING


def test_the_rights_asked_for_are_those_of_the_shipped_policies() -> None:
    driver = {right for right in rights("ha-1") if right.driver}
    assert Right("session", "ha-1", "write") in driver
    assert Right("key", "ha_cluster/config/", "write", driver=False) in rights("ha-1")
    assert Right("key", "ha_cluster/config/", "write") not in driver


def test_only_what_is_not_recorded_is_recorded() -> None:
    ssh, bmc = SSHConfig("c1"), FenceDevice("ipmi", "10.0.0.1", 623, "u", "p")
    known = a_node("c1", ssh=SSHConfig("c1", host_key="old"), bmc=replace(bmc, identity="old"))
    nodes = a_view([known, a_node("c2", ssh=ssh, bmc=bmc), a_node("c3", ssh=ssh)]).compute_nodes
    found = to_record(nodes, dict.fromkeys(("c1", "c2"), "key"), dict.fromkeys(("c1", "c2", "c3"), "guid"))
    assert set(found) == {"c2"}
    assert (found["c2"].ssh_host_key, found["c2"].bmc_identity) == ("key", "guid")


@pytest.mark.fault(36)
@pytest.mark.parametrize("segment", ["ha_cluster/paused", "ha_cluster/incidents/closed/", "ha_cluster/wake"])
def test_a_driver_is_asked_for_every_right_that_a_flip_and_an_archive_need(segment: str) -> None:
    driver = {(right.resource, right.segment, right.access) for right in rights("ha-1") if right.driver}
    assert ("key", segment, "write") in driver
