"""Fault 47: an approval older than its end, or given for the failure before."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from kit.clouds.observed_cloud import THRESHOLD, ObservedCloud
from kit.shown import shows
from nova_ha.cluster.gate import Gate

TWO_DAYS_S = 2 * 24 * 3600


def waits_for_its_bmc(cloud: ObservedCloud) -> None:
    """c1 hangs, its BMC is away, and ann lets three gates pass for ten minutes."""
    cloud.bmcs["c1"].away = True
    cloud.fails("c1")
    gates = ("--gate", "answers", "--gate", "nova-reports", "--gate", "maintenance")
    cloud.says("approve", "c1", *gates, "--for", "10m", "--by", "ann")
    cloud.turns()
    incident = cloud.incident("c1")
    assert incident is not None
    assert incident.gate is Gate.BMC_UNREACHABLE


def answers(cloud: ObservedCloud) -> None:
    cloud.silent.pop("c1")


def reports(cloud: ObservedCloud) -> None:
    cloud.nova.silent.discard("c1")


def is_maintained(cloud: ObservedCloud) -> None:
    cloud.says("node", "maintenance", "c1", "--for", "8h", "--by", "bob")


def is_back(cloud: ObservedCloud) -> None:
    for happens in (answers, reports, is_maintained):
        happens(cloud)


@pytest.mark.fault(47)
@pytest.mark.parametrize("happens", [answers, reports, is_maintained, is_back])
def test_an_approval_of_ten_minutes_opens_nothing_two_days_later(
    cloud: ObservedCloud, happens: Callable[[ObservedCloud], None]
) -> None:
    waits_for_its_bmc(cloud)
    cloud.clock.sleep(TWO_DAYS_S)
    happens(cloud)
    cloud.bmcs["c1"].away = False
    cloud.intervals()
    for me in cloud.observers:
        cloud.recover(me)
    cloud.turns(3)
    cloud.assert_untouched("c1")


@pytest.mark.fault(47)
def test_what_has_ended_is_said_where_it_is_looked_for(cloud: ObservedCloud) -> None:
    waits_for_its_bmc(cloud)
    lasts = "ann lets answers, nova-reports, maintenance pass until 2030-01-01T12:10:15.000Z"
    assert lasts in cloud.says("status")
    cloud.clock.sleep(TWO_DAYS_S)
    is_back(cloud)
    shows(
        47,
        "ann let answers, nova-reports, maintenance pass until 2030-01-01T12:10:15.000Z: that has ended",
        cloud.says("status"),
    )
    shows(
        47,
        "Approved by ann until 2030-01-01T12:10:15.000Z: answers, nova-reports, maintenance",
        cloud.says("history", "c1"),
    )
    assert "ann let it pass until 2030-01-01T12:10:15.000Z: that has ended" in cloud.says("plan", "c1")


@pytest.mark.fault(21)
@pytest.mark.fault(47)
def test_an_approval_for_one_failure_of_a_switch_opens_nothing_in_the_next() -> None:
    cloud = ObservedCloud(compute=8)
    cut_off = cloud.names[:5]
    cloud.hangs(*cut_off)
    cloud.intervals(THRESHOLD - 1)
    cloud.says("approve", *cut_off, "--by", "ann")
    for name in cut_off:
        cloud.boots(name)
    cloud.intervals(THRESHOLD)
    cloud.clock.sleep(50 * 60)
    cloud.hangs(*cut_off)
    cloud.intervals(THRESHOLD + 1)
    cloud.turns(3)
    cloud.assert_untouched(*cloud.names)
    shows(47, "c1: fails, but is held, max-failed: 5 compute nodes count, at most 2 may", cloud.timer())


@pytest.mark.fault(47)
def test_a_host_that_is_well_is_not_approved_for_its_next_failure(cloud: ObservedCloud) -> None:
    shows(
        47,
        "c1: there is no failure to approve: number_fails is 0, and no incident is open",
        cloud.says("approve", "c1"),
    )
    cloud.store.put("ha_cluster/config/recovery/mode", "approve")
    cloud.fails("c1")
    cloud.turns(2)
    cloud.assert_untouched("c1")


@pytest.mark.fault(21)
@pytest.mark.fault(47)
@pytest.mark.parametrize("claimed", [False, True], ids=["not claimed yet", "claimed, its BMC away"])
def test_what_was_approved_for_hosts_that_were_set_failed_opens_nothing_in_their_next_failure(claimed: bool) -> None:
    cloud = ObservedCloud(compute=8)
    cut_off = cloud.names[:5]
    cloud.store.put("ha_cluster/config/recovery/limit", "5")
    for name in cut_off:
        cloud.bmcs[name].away = True
    cloud.hangs(*cut_off)
    cloud.intervals(THRESHOLD)
    cloud.says("approve", *cut_off, "--by", "ann")
    cloud.intervals()
    assert all(cloud.failed(name) for name in cut_off)
    if claimed:
        cloud.turns()
    for name in cut_off:
        cloud.bmcs[name].away = False
        cloud.boots(name)
    cloud.intervals()
    cloud.turns()
    cloud.clock.sleep(25 * 60)
    cloud.hangs(*cut_off)
    cloud.intervals(THRESHOLD + 1)
    cloud.turns(3)
    cloud.assert_untouched(*cloud.names)


@pytest.mark.fault(47)
def test_what_was_approved_while_a_host_is_well_serves_no_failure_that_comes_later(
    cloud: ObservedCloud,
) -> None:
    cloud.store.put("ha_cluster/config/recovery/mode", "approve")
    cloud.fails("c1")
    cloud.turns()
    cloud.boots("c1")
    cloud.intervals(2)
    cloud.says("approve", "c1", "--by", "ann")
    cloud.turns()
    incident = cloud.incident("c1")
    assert incident is not None
    assert incident.gate is Gate.ANSWERS
    cloud.hangs("c1")
    cloud.intervals(THRESHOLD + 1)
    cloud.turns(2)
    cloud.assert_untouched("c1")
    cloud.says("approve", "c1", "--by", "ann")
    cloud.turns(2)
    cloud.assert_recovered("c1")


@pytest.mark.fault(37)
@pytest.mark.fault(47)
@pytest.mark.parametrize("lives", [answers, reports], ids=["answers", "reports"])
def test_a_word_that_it_is_off_ends_with_a_sign_of_life(
    cloud: ObservedCloud, lives: Callable[[ObservedCloud], None]
) -> None:
    cloud.bmcs["c1"].away = True
    cloud.fails("c1")
    cloud.turns()
    cloud.says("pause", "--by", "ann")
    cloud.says("node", "confirm-off", "c1", "--by", "ann", "--why", "unplugged")
    lives(cloud)
    cloud.clock.sleep(30)
    cloud.says("resume")
    cloud.turns(2)
    incident = cloud.incident("c1")
    assert incident is not None
    assert incident.receipt is None
    cloud.silent["c1"] = 1
    cloud.nova.silent.add("c1")
    cloud.intervals(THRESHOLD)
    cloud.turns(4)
    cloud.assert_untouched("c1")


@pytest.mark.fault(37)
def test_a_word_about_a_host_that_nova_has_not_called_down_yet_stands(cloud: ObservedCloud) -> None:
    cloud.nova.down_after_s = 60.0
    cloud.bmcs["c1"].away = True
    cloud.fails("c1")
    cloud.turns(3)
    cloud.loses_power("c1")
    cloud.says("node", "confirm-off", "c1", "--by", "ann", "--why", "unplugged")
    cloud.turns(4)
    cloud.assert_recovered("c1")


@pytest.mark.fault(47)
def test_that_its_bmc_is_waited_for_hides_no_sign_of_life(cloud: ObservedCloud) -> None:
    cloud.bmcs["c1"].away = True
    cloud.fails("c1")
    cloud.turns()
    cloud.boots("c1")
    cloud.intervals()
    cloud.turns()
    incident = cloud.incident("c1")
    assert incident is not None
    assert incident.gate is Gate.ANSWERS
    cloud.hangs("c1")
    cloud.intervals()
    cloud.clock.sleep(13)
    cloud.bmcs["c1"].away = False
    cloud.recover()
    cloud.assert_untouched("c1")
    cloud.intervals(THRESHOLD)
    cloud.turns(2)
    cloud.assert_recovered("c1")


@pytest.mark.fault(21)
@pytest.mark.fault(23)
def test_what_has_waited_for_longer_than_the_window_counts_from_when_it_is_fenced() -> None:
    cloud = ObservedCloud(compute=10)
    for name in ("c1", "c2"):
        cloud.bmcs[name].away = True
    cloud.fails("c1", "c2")
    cloud.turns()
    cloud.clock.sleep(3700)
    for name in ("c1", "c2"):
        cloud.bmcs[name].away = False
    cloud.intervals()
    cloud.turns(3)
    cloud.assert_recovered("c1", "c2")
    cloud.hangs("c3")
    cloud.intervals(THRESHOLD + 1)
    cloud.turns(2)
    cloud.assert_untouched("c3")


@pytest.mark.fault(23)
def test_a_host_that_was_fenced_late_and_fails_soon_again_is_a_repeat(cloud: ObservedCloud) -> None:
    cloud.bmcs["c1"].away = True
    cloud.fails("c1")
    cloud.turns()
    cloud.clock.sleep(3 * 3600)
    cloud.bmcs["c1"].away = False
    cloud.turns(2)
    cloud.assert_recovered_so_far("c1")
    cloud.repaired("c1")
    cloud.fails("c1")
    cloud.turns(2)
    incident = cloud.incident("c1")
    assert incident is not None
    assert incident.gate is Gate.REPEAT
    assert len(cloud.bmcs["c1"].commands) == 1
