"""`doctor` warns of an HA node that could not take the servers of the fullest compute node."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from kit.fakes.world import World
from nova_ha.cli.doctor.finding import Finding, Level
from nova_ha.cli.doctor.nova import nova_findings
from nova_ha.cluster.view import read_view
from nova_ha.errors import NovaError

NEEDS = {"c1": {"VCPU": 4, "MEMORY_MB": 2048}, "c2": {"VCPU": 16, "MEMORY_MB": 8192, "DISK_GB": 40}}


def room_of_ha_1(world: World, monkeypatch: pytest.MonkeyPatch, room: Mapping[str, int]) -> Finding:
    monkeypatch.setattr(world.nova, "room", lambda host: room)
    monkeypatch.setattr(world.nova, "usage", lambda host: NEEDS.get(host, {}))
    found = [f for f in nova_findings(world.nova, read_view(world.store)) if f.subject == "ha-1"]
    return found[-1]


def test_a_host_with_room_for_the_fullest_one_is_fine(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    finding = room_of_ha_1(world, monkeypatch, {"VCPU": 16, "MEMORY_MB": 8192, "DISK_GB": 40})
    assert finding.level is Level.OK


@pytest.mark.parametrize(
    "room",
    [
        {"VCPU": 15, "MEMORY_MB": 9000, "DISK_GB": 100},
        {"VCPU": 32, "MEMORY_MB": 8191, "DISK_GB": 100},
        {"VCPU": 32, "MEMORY_MB": 9000, "DISK_GB": 39},
    ],
)
def test_a_host_with_less_room_than_the_fullest_one_needs_is_a_warning_with_both_figures(
    world: World, monkeypatch: pytest.MonkeyPatch, room: Mapping[str, int]
) -> None:
    finding = room_of_ha_1(world, monkeypatch, room)
    assert finding.level is Level.WARNING
    assert "c2 needs 40 DISK_GB, 8192 MEMORY_MB, 16 VCPU" in finding.what
    assert f"{room['VCPU']} VCPU" in finding.what
    assert finding.remedy


def test_of_several_that_are_too_full_the_fullest_is_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    finding = room_of_ha_1(world, monkeypatch, {"VCPU": 2, "MEMORY_MB": 1024})
    assert "c2 needs" in finding.what
    assert "and 1 more hosts do" in finding.what


def test_disks_that_are_elsewhere_are_not_missed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert room_of_ha_1(world, monkeypatch, {"VCPU": 16, "MEMORY_MB": 8192}).level is Level.OK


def test_a_compute_node_that_placement_does_not_know_is_no_reason_to_warn(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def usage(host: str) -> Mapping[str, int]:
        raise NovaError("Placement has no resource provider for it")

    monkeypatch.setattr(world.nova, "usage", usage)
    found = [f for f in nova_findings(world.nova, read_view(world.store)) if f.subject.startswith("ha-")]
    assert {finding.level for finding in found} == {Level.OK}
