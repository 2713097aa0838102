"""What `doctor` says of disks: that nobody has said where they are, and how many servers would stay behind."""

from __future__ import annotations

import pytest
from kit.fakes.values import a_node, a_view
from kit.fakes.world import World
from nova_ha.cli.doctor.consul import _keys
from nova_ha.cli.doctor.finding import Finding, Level
from nova_ha.cli.doctor.nova import nova_findings
from nova_ha.cli.overview import Overview
from nova_ha.cluster.node import RuntimeConfig
from nova_ha.cluster.policy import Policy, Storage
from nova_ha.cluster.schema import STORAGE, compute_node, ha_node
from nova_ha.cluster.view import read_view
from nova_ha.compute.states import RootDisk
from nova_ha.errors import NovaError

OPTION = "ha_cluster/config/recovery/storage"


def left_behind(world: World) -> list[Finding]:
    return [found for found in nova_findings(world.nova, read_view(world.store)) if "root disk" in found.what]


@pytest.mark.fault(51)
@pytest.mark.parametrize("word", Storage)
def test_that_nobody_has_said_it_is_bad_and_says_what_to_do(world: World, word: Storage) -> None:
    view = a_view([a_node("c1")], policy=Policy(recovery_storage=word))
    seen = Overview(view=view, votes=None, at=world.clock.now(), trouble="")
    found = [finding for finding in _keys(seen) if "recovery/storage" in finding.what]
    assert bool(found) is (word is Storage.UNSET)
    for finding in found:
        assert finding.level is Level.BAD
        assert "`nova-ha config set recovery/storage shared`" in finding.remedy


@pytest.mark.fault(51)
@pytest.mark.parametrize(
    ("word", "others", "named"), [("shared", True, True), ("shared", None, False), ("local", True, False)]
)
def test_a_host_that_reports_unshared_instances_is_named(
    world: World, word: str, others: bool | None, named: bool
) -> None:
    said = {"c1": others, "c2": False}
    nodes = [a_node(name, runtime=RuntimeConfig(name, shared_instances=shared)) for name, shared in said.items()]
    view = a_view(nodes, policy=Policy(recovery_storage=Storage(word)))
    seen = Overview(view=view, votes=None, at=world.clock.now(), trouble="")
    found = [finding for finding in _keys(seen) if "on a disk of its own" in finding.what]
    assert [finding.level for finding in found] == [Level.BAD] * named
    assert all("c2/internal/runtime_config" in finding.subject for finding in found)


@pytest.mark.fault(51)
def test_servers_that_would_stay_are_counted_by_host(world: World) -> None:
    world.nova.add("c1", 2)
    world.nova.add("c1", 3, root_disk=RootDisk.VOLUME)
    world.nova.add("c2", 1, root_disk=RootDisk.VOLUME)
    assert left_behind(world) == []
    world.store.put(OPTION, "local")
    [finding] = left_behind(world)
    assert (finding.subject, finding.level) == ("c1", Level.WARNING)
    assert finding.what == "2 of its 5 servers have their root disk on it: they would be left"
    world.store.put("ha_cluster/config/recovery/local_disk", "rebuild")
    assert "would come back with new disks" in left_behind(world)[0].what


@pytest.mark.fault(51)
def test_of_a_host_that_is_out_they_are_counted_too(world: World) -> None:
    for host in ("c1", "c2"):
        world.nova.add(host, 1)
    world.store.put(compute_node("c1", STORAGE), "local")
    assert [finding.subject for finding in left_behind(world)] == ["c1"]


@pytest.mark.fault(51)
def test_where_every_target_is_out_nobody_comes_back(world: World) -> None:
    world.nova.add("c1", 1)
    world.store.put(ha_node("ha-1", STORAGE), "local")
    assert left_behind(world) == []
    for name in world.observers:
        world.store.put(ha_node(name, STORAGE), "local")
    assert [finding.subject for finding in left_behind(world)] == ["c1"]


def test_a_host_whose_servers_cannot_be_listed_keeps_the_others_no_secret(world: World) -> None:
    world.store.put(OPTION, "local")
    world.nova.add("c1", 1)
    world.nova.add("c2", 1)
    world.nova.cell_down = {"c1"}
    world.nova.fail("servers", NovaError("its cell is away"), 1)
    assert {finding.subject for finding in left_behind(world)} <= {"c1", "c2"}
