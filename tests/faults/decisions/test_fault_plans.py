"""Faults 21 and 24: more hosts than can be believed, and hosts that are down on purpose."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from kit.clouds.observed_cloud import THRESHOLD, ObservedCloud
from kit.shown import shows
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.schema import compute_node


@pytest.mark.fault(21)
@pytest.mark.parametrize("hosts", [3, 4, 10])
def test_hosts_that_fall_silent_together_are_not_fenced(hosts: int) -> None:
    cloud = ObservedCloud(compute=10)
    cloud.hangs(*cloud.names[:hosts])
    cloud.intervals(10)
    cloud.turns(3)
    cloud.assert_untouched(*cloud.names)
    assert not any(cloud.failed(name) for name in cloud.names)


@pytest.mark.fault(21)
def test_hosts_that_fall_silent_one_after_the_other_are_fenced_up_to_the_limit() -> None:
    cloud = ObservedCloud(compute=10)
    for name in cloud.names[:5]:
        cloud.hangs(name)
        cloud.intervals(THRESHOLD + 1)
        cloud.turns()
    assert cloud.fenced == ["c1", "c2"]
    cloud.assert_recovered("c1", "c2")
    shows(21, "c3: fails, but is held, max-failed: 5 compute nodes count, at most 2 may", cloud.timer())
    shows(
        21,
        "look for a fault of the network first; `nova-ha approve c3` recovers it all the same",
        cloud.says("status"),
    )
    cloud.says("approve", "c3", "--by", "ann")
    cloud.turns(2)
    cloud.assert_recovered("c3")
    assert cloud.fenced == ["c1", "c2", "c3"]


@pytest.mark.fault(21)
def test_hosts_that_were_set_failed_by_hand_are_held_together() -> None:
    cloud = ObservedCloud(compute=10)
    cloud.hangs(*cloud.names)
    cloud.clock.sleep(60)
    for name in cloud.names:
        cloud.store.put(compute_node(name, "status/failed"), "True")
    cloud.turns(3)
    assert cloud.fenced == []
    shows(
        21,
        "waits for the operator: max-failed: 10 nodes failed together, 2 allowed: c1, c10, c2, c3, c4 and 5 more",
        cloud.timer(),
    )


def drained(cloud: ObservedCloud) -> None:
    cloud.nova.disable("id-c1", "disks are being changed")


def in_maintenance(cloud: ObservedCloud) -> None:
    cloud.says("node", "maintenance", "c1", "--for", "2h", "--by", "ann", "--why", "new disks")


def left(cloud: ObservedCloud) -> None:
    cloud.left = {"c1"}


@pytest.mark.fault(24)
@pytest.mark.parametrize("plan", [drained, in_maintenance, left])
def test_a_host_that_is_down_on_purpose_is_not_fenced(
    cloud: ObservedCloud, plan: Callable[[ObservedCloud], None]
) -> None:
    plan(cloud)
    calls = list(cloud.nova.calls)
    cloud.hangs("c1")
    cloud.intervals(10)
    cloud.turns(5)
    assert cloud.fenced == []
    assert cloud.nova.calls == calls
    cloud.audit()


@pytest.mark.fault(24)
def test_a_host_that_nova_disabled_by_itself_is_recovered_and_then_disabled_by_us(cloud: ObservedCloud) -> None:
    """As when its libvirtd died just before it: nobody wished that, and Nova would enable it by itself."""
    cloud.nova.disable("id-c1", "AUTO: Connection to libvirt lost: 1")
    cloud.hangs("c1")
    cloud.intervals(10)
    cloud.turns(5)
    assert cloud.fenced == ["c1"]
    reading = cloud.nova.service("c1")
    assert reading is not None
    assert reading.service.disabled_reason.startswith("nova-ha: failed, fenced by ")
    cloud.audit()


@pytest.mark.fault(24)
def test_a_host_that_somebody_forced_down_is_not_fenced_whatever_nova_did_by_itself(cloud: ObservedCloud) -> None:
    cloud.nova.disable("id-c1", "AUTO: Connection to libvirt lost: 1")
    cloud.nova.force_down("id-c1", True)
    cloud.hangs("c1")
    cloud.intervals(10)
    cloud.turns(5)
    assert cloud.fenced == []
    cloud.audit()


@pytest.mark.fault(24)
def test_what_holds_a_host_that_is_down_on_purpose_is_said(cloud: ObservedCloud) -> None:
    drained(cloud)
    cloud.hangs("c1", "c2")
    cloud.left = {"c2"}
    cloud.says("node", "maintenance", "c3", "--for", "2h", "--by", "ann", "--why", "new disks")
    cloud.intervals(10)
    cloud.turns()
    shows(
        24,
        "c1: waits for the operator: disabled-by-other: its nova-compute was disabled by somebody else "
        "('disks are being changed')",
        cloud.timer(),
    )
    shows(
        24,
        "c2: fails, but is held, left: its Consul agent has left, as for a planned shutdown",
        cloud.timer(),
    )
    shows(24, "until 2030-01-01 14:00 UTC by ann: new disks", cloud.says("status"))


@pytest.mark.fault(24)
def test_a_host_in_maintenance_that_was_set_failed_by_hand_is_waited_for(cloud: ObservedCloud) -> None:
    in_maintenance(cloud)
    cloud.hangs("c1")
    cloud.clock.sleep(60)
    cloud.store.put(compute_node("c1", "status/failed"), "True")
    cloud.turns(3)
    cloud.assert_untouched("c1")


@pytest.mark.fault(24)
def test_a_host_that_hangs_on_after_its_maintenance_is_recovered(cloud: ObservedCloud) -> None:
    in_maintenance(cloud)
    cloud.hangs("c1")
    cloud.intervals(5)
    cloud.clock.sleep(7200)
    cloud.intervals(THRESHOLD)
    cloud.turns()
    cloud.assert_recovered("c1")


# --- a rack, and a network ---


@pytest.mark.fault(61)
def test_a_rack_that_is_dead_is_recovered_once_you_say_so() -> None:
    """Half of the cloud is silent: nobody of it is asked whether Nova hears anybody."""
    cloud = ObservedCloud(compute=40, servers=1)
    rack = cloud.names[:20]
    cloud.hangs(*rack)
    cloud.intervals(THRESHOLD + 1)
    assert not any(cloud.failed(name) for name in cloud.names)
    shows(61, "c1: fails, but is held, max-failed: 20 compute nodes count, at most 8 may", cloud.timer())
    cloud.says("approve", *rack, "--by", "ann")
    cloud.intervals(1)
    assert all(cloud.failed(name) for name in rack)
    cloud.turns(3)
    assert sorted(cloud.fenced) == sorted(rack)
    cloud.assert_recovered(*rack)
    shows(61, "c20: recovered; `nova-ha node reset c20` once the host is repaired", cloud.timer())


@pytest.mark.fault(24)
def test_an_incident_that_waits_does_not_go_on_where_its_host_is_shut_down_on_purpose_by_then(
    cloud: ObservedCloud,
) -> None:
    """It was held for its nova-compute, which is silent after the shutdown too."""
    waits_for_a_report(cloud)
    cloud.left = {"c1"}
    cloud.nova.silent.add("c1")
    cloud.intervals(THRESHOLD)
    cloud.turns(10)
    cloud.assert_untouched("c1")
    shows(
        24,
        "c1: waits for the operator, or until the cause has gone: left: its Consul agent has left, "
        "as for a planned shutdown",
        cloud.timer(),
    )


@pytest.mark.fault(24)
def test_a_host_that_was_shut_down_came_back_and_dies_is_recovered_by_itself(cloud: ObservedCloud) -> None:
    waits_for_a_report(cloud)
    cloud.left = {"c1"}
    cloud.nova.silent.add("c1")
    cloud.turns(3)
    cloud.left = set()
    cloud.nova.silent.discard("c1")
    cloud.silent.pop("c1")
    cloud.turns(2)
    cloud.hangs("c1")
    cloud.turns(8)
    cloud.assert_recovered("c1")


@pytest.mark.fault(24)
def test_an_approval_recovers_a_host_whose_agent_has_left(cloud: ObservedCloud) -> None:
    waits_for_a_report(cloud)
    cloud.left = {"c1"}
    cloud.nova.silent.add("c1")
    cloud.turns(3)
    assert "left" in cloud.says("approve", "c1", "--gate", "left", "--by", "ann")
    cloud.turns(3)
    cloud.assert_recovered("c1")


def waits_for_a_report(cloud: ObservedCloud) -> None:
    """c1 has lost its sshd, and was set failed: its incident waits, since its nova-compute reports."""
    cloud.nova.down_after_s = 60.0
    cloud.silent["c1"] = 1
    cloud.intervals(THRESHOLD)
    cloud.recover("ha-1")
    incident = cloud.incident("c1")
    assert incident is not None
    assert incident.gate is Gate.NOVA_REPORTS
