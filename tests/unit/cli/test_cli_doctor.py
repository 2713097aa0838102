"""What `doctor` makes of what it reads; logins at real machines are in tests/integration/cli."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from kit.fakes.observers import a_report, publish
from kit.fakes.values import a_node, a_view
from kit.fakes.world import World
from nova_ha.cli.doctor.consul import Right, consul_findings, observer_findings, rights
from nova_ha.cli.doctor.finding import Finding, Level
from nova_ha.cli.doctor.hosts import ssh_findings, to_record
from nova_ha.cli.doctor.nova import nova_findings
from nova_ha.cli.overview import look
from nova_ha.cluster.node import SSHConfig
from nova_ha.cluster.schema import NOVA_HOST, RESERVE_REASON, RUNTIME_CONFIG, compute_node
from nova_ha.cluster.view import read_view
from nova_ha.errors import NovaError
from nova_ha.power.device import FenceDevice
from nova_ha.probe.reach import TURNED_AWAY
from nova_ha.probe.sighting import SightCause, Sighting, failing, graded


def of_nova(world: World) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for finding in nova_findings(world.nova, read_view(world.store)):
        found.setdefault(finding.subject, []).append(finding)
    return found


def worst(findings: list[Finding]) -> Level:
    return max((finding.level for finding in findings), key=list(Level).index)


def test_a_sound_nova_has_nothing_bad(world: World) -> None:
    found = of_nova(world)
    assert [finding.what for finding in found.pop("compute nodes")] == [
        "Nova's name is known by their own names alone: c2, c4"
    ]
    assert {worst(findings) for findings in found.values()} == {Level.OK}
    for name in world.names:
        world.store.put(compute_node(name, NOVA_HOST), name)
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
    world.store.put(compute_node("c1", NOVA_HOST), "elsewhere")
    [finding] = of_nova(world)["c1"]
    assert finding.level is Level.BAD
    assert "nova-ha node set c1 --nova-host" in finding.remedy


@pytest.mark.parametrize(
    ("seen", "remedy"),
    [
        (TURNED_AWAY, "PerSourcePenaltyExemptList"),
        (failing("timed out"), "bring the host up"),
        (graded(SightCause.KEY_CHANGED), "installed anew: `nova-ha node set c1 --probe`"),
        (graded(SightCause.BAD_HOST_KEY), "nova-ha node set c1 --probe"),
        (graded(SightCause.NO_ALGORITHM), "--ssh-..."),
        (graded(SightCause.WRONG_PASSWORD), "`nova-ha node set c1 --ssh-...`"),
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


def of_the_observers(world: World) -> list[Finding]:
    found = observer_findings(world.store, look(world.store, world.clock.now()))
    return [f for f in found if f.level is not Level.OK]


def observing_with(world: World, **fields: Any) -> None:
    """All HA nodes report as ever, but ha-2 with these fields."""
    seen = a_report({"c1": 0})
    publish(world.store, {"ha-1": seen, "ha-2": replace(seen, **fields), "ha-3": seen})


@pytest.mark.fault(54)
@pytest.mark.parametrize(
    ("fields", "what", "remedy"),
    [
        ({"interval_s": 3600}, "it sweeps every 3600 s", "give its check an --interval from 2 to 60 s"),
        ({"late": 2}, "its last 2 sweeps missed their deadline", "a longer --interval"),
    ],
)
def test_an_observer_whose_sweeps_cannot_do_is_bad(
    world: World, fields: dict[str, Any], what: str, remedy: str
) -> None:
    observing_with(world, **fields)
    [found] = of_the_observers(world)
    assert (found.level, found.subject) == (Level.BAD, "ha-2")
    assert what in found.what
    assert remedy in found.remedy


@pytest.mark.fault(54)
def test_an_interval_that_is_too_short_for_the_threshold_is_bad(world: World) -> None:
    world.store.put("ha_cluster/config/monitor/fail_threshold", "2")
    observing_with(world, interval_s=2)
    [found] = of_the_observers(world)
    assert "is 4 s: a host must fail for 6 s at least" in found.what


@pytest.mark.fault(59)
def test_mixed_releases_are_a_warning_and_an_option_that_one_does_not_know_is_bad(world: World) -> None:
    world.store.drop("ha_cluster/config/recovery/storage")
    observing_with(world, release="")
    [found] = of_the_observers(world)
    assert (found.level, found.subject) == (Level.WARNING, "releases")
    world.store.put("ha_cluster/config/nova/report_interval", "30")
    found = of_the_observers(world)[-1]
    assert (found.level, found.subject) == (Level.BAD, "ha_cluster/config/nova/report_interval")
    assert "ha-2 does nothing while it is set" in found.what


@pytest.mark.parametrize(
    ("said", "word", "remedy"),
    [
        ('{"version":1,"nova_host":"nova-1"}', "", "`nova-ha node migrate-keys c1`"),
        ('{"version":1,"nova_host":"nova-1"}', "c1", "`nova-ha node set c1 --nova-host HOST`"),
        ("", "c1", "`nova-ha node set c1 --nova-host HOST`"),
    ],
)
def test_a_node_whose_name_in_nova_is_not_believed_is_bad_among_the_keys(
    world: World, monkeypatch: pytest.MonkeyPatch, said: str, word: str, remedy: str
) -> None:
    for leaf, value in ((RUNTIME_CONFIG, said), (NOVA_HOST, word)):
        world.store.drop(compute_node("c1", leaf))
        if value:
            world.store.put(compute_node("c1", leaf), value)
    [finding] = of_consul(world, monkeypatch)["c1"]
    assert (finding.level, finding.remedy) == (Level.BAD, remedy)
    assert finding.what.startswith("it cannot be recovered: ha_cluster/compute_nodes/c1/internal/runtime_config")


def test_a_node_of_whose_name_nova_has_two_is_bad(world: World) -> None:
    world.store.put(compute_node("c2", RUNTIME_CONFIG), '{"version":1,"nova_host":"c2.one.org"}')
    for host in ("c2.one.org", "c2.two.org"):
        world.nova.hosts[host] = replace(world.nova.hosts["c1"], id=f"id-{host}", host=host)
        world.nova.reports_at[host] = 0.0
    [finding] = of_nova(world)["c2"]
    assert (finding.level, finding.remedy) == (Level.BAD, "`nova-ha node migrate-keys c2`")
    assert "c2.two.org" in finding.what
