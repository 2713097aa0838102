"""A host that lived between two failures: what was granted, judged or counted for the first serves not the second."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from kit.clouds.observed_cloud import THRESHOLD, ObservedCloud
from kit.fakes.world import Crash
from nova_ha.cluster.gate import Cause, Gate
from nova_ha.cluster.incident import Incident
from nova_ha.recovery.driver_clients import DriverClients, TryAgain

SENDING = b"sending power off"


@pytest.fixture
def rack() -> ObservedCloud:
    """Eight compute nodes, of which two may fail together."""
    return ObservedCloud(compute=8)


def incident_of(cloud: ObservedCloud, name: str = "c1") -> Incident:
    incident = cloud.incident(name)
    assert incident is not None
    return incident


def waits_for_its_bmc(cloud: ObservedCloud, *approved: str) -> None:
    cloud.bmcs["c1"].away = True
    cloud.fails("c1")
    if approved:
        cloud.says("approve", "c1", *approved, "--by", "ann")
    cloud.turns()
    assert incident_of(cloud).gate is Gate.BMC_UNREACHABLE


def confirmed_off(cloud: ObservedCloud, *more: str) -> str:
    return cloud.says("node", "confirm-off", "c1", "--by", "ann", "--why", "unplugged", "--yes", *more)


def resumed(cloud: ObservedCloud) -> None:
    cloud.clock.sleep(60)
    cloud.says("resume")
    cloud.turns(4)


def fail_together_and_are_approved(rack: ObservedCloud) -> list[str]:
    cut_off = rack.names[:5]
    rack.hangs(*cut_off)
    rack.intervals(THRESHOLD)
    rack.says("approve", *cut_off, "--by", "ann", "--for", "1h")
    rack.intervals()
    return cut_off


def live_and_fail_together_again(rack: ObservedCloud, names: list[str]) -> None:
    for name in names:
        rack.boots(name)
    rack.intervals(3)
    rack.clock.sleep(1500)
    rack.hangs(*names)
    rack.intervals(THRESHOLD + 1)


# --- what was granted ---


@pytest.mark.fault(37)
@pytest.mark.fault(47)
def test_a_host_that_the_observers_see_well_is_not_confirmed_off(cloud: ObservedCloud) -> None:
    waits_for_its_bmc(cloud)
    cloud.says("pause", "--by", "ann")
    cloud.boots("c1")
    cloud.intervals(2)
    assert "the observers see c1 well, so it is not off" in confirmed_off(cloud)
    cloud.hangs("c1")
    cloud.intervals(THRESHOLD + 1)
    resumed(cloud)
    cloud.assert_untouched("c1")


@pytest.mark.fault(37)
def test_a_host_that_went_off_while_nothing_was_counted_can_be_confirmed_off(cloud: ObservedCloud) -> None:
    """It was well in its maintenance, which says 0 failed intervals still."""
    waits_for_its_bmc(cloud)
    cloud.says("node", "maintenance", "c1", "--for", "2h", "--by", "bob")
    cloud.boots("c1")
    cloud.intervals(2)
    cloud.loses_power("c1")
    cloud.intervals(2)
    assert cloud.node("c1").number_fails == 0
    confirmed_off(cloud)
    assert incident_of(cloud).receipt is not None


@pytest.mark.fault(47)
def test_an_approval_that_has_ended_shields_no_word(cloud: ObservedCloud) -> None:
    waits_for_its_bmc(cloud)
    cloud.boots("c1")
    cloud.intervals(2)
    cloud.turns()
    cloud.says("approve", "c1", "--gate", "answers", "--gate", "nova-reports", "--for", "10m", "--by", "ann")
    cloud.turns()
    cloud.says("pause", "--by", "ann")
    cloud.clock.sleep(700)
    cloud.hangs("c1")
    cloud.intervals(1)
    confirmed_off(cloud)
    cloud.boots("c1")
    cloud.intervals(3)
    assert incident_of(cloud).receipt is None
    cloud.hangs("c1")
    cloud.intervals(THRESHOLD + 1)
    resumed(cloud)
    cloud.assert_untouched("c1")


@pytest.mark.fault(47)
def test_a_word_ends_with_a_life_in_a_maintenance(cloud: ObservedCloud) -> None:
    waits_for_its_bmc(cloud)
    cloud.says("pause", "--by", "ann")
    confirmed_off(cloud, "--for", "4h")
    cloud.says("node", "maintenance", "c1", "--for", "1h", "--by", "bob")
    cloud.says("resume")
    cloud.boots("c1")
    for _ in range(58):
        cloud.clock.sleep(60)
    cloud.turns(1)
    cloud.hangs("c1")
    cloud.clock.sleep(150)
    cloud.intervals(THRESHOLD)
    cloud.turns(3)
    cloud.assert_untouched("c1")


@pytest.mark.fault(47)
def test_an_approval_ends_with_a_life_in_a_maintenance(cloud: ObservedCloud) -> None:
    waits_for_its_bmc(cloud, "--gate", "nova-reports", "--for", "8h")
    cloud.says("node", "maintenance", "c1", "--for", "2h", "--by", "bob")
    cloud.boots("c1")
    cloud.intervals(3)
    cloud.bmcs["c1"].away = False
    cloud.silent["c1"] = 1  # its SSH alone
    cloud.clock.sleep(2 * 3600)
    cloud.intervals(THRESHOLD + 1)
    cloud.turns(3)
    cloud.assert_untouched("c1")


@pytest.mark.fault(47)
def test_an_approval_ends_with_a_life_that_the_driver_does_not_see(cloud: ObservedCloud) -> None:
    cloud.bmcs["c1"].away = True
    cloud.fails("c1")
    cloud.says("approve", "c1", "--gate", "nova-reports", "--for", "1h", "--by", "ann")

    def lives() -> None:
        cloud.boots("c1")
        cloud.intervals(1)
        cloud.silent["c1"] = 1  # its SSH alone
        cloud.intervals(1)

    cloud.after_writing(b"fence attempt 2 of 3", lives)
    cloud.turns()
    assert incident_of(cloud).permits == ()
    cloud.bmcs["c1"].away = False
    cloud.intervals(THRESHOLD + 1)
    cloud.turns(3)
    cloud.assert_untouched("c1")


# --- what was judged and counted ---


@pytest.mark.fault(23)
def test_a_host_that_was_well_between_two_attempts_is_counted_anew_before_it_is_fenced(cloud: ObservedCloud) -> None:
    cloud.bmcs["c1"].away = True
    cloud.fails("c1")

    def logs_in_once() -> None:
        cloud.silent.pop("c1")
        cloud.intervals(1)
        cloud.silent["c1"] = 1
        cloud.intervals(1)
        cloud.bmcs["c1"].away = False

    cloud.after_writing(b"fence attempt 2 of 3", logs_in_once)
    with pytest.raises(TryAgain, match="have seen it well"):
        cloud.recover()
    cloud.assert_untouched("c1")
    cloud.intervals(THRESHOLD)
    cloud.turns(3)
    cloud.assert_recovered("c1")


@pytest.mark.fault(21)
def test_hosts_that_were_approved_once_are_held_when_they_fail_together_again(rack: ObservedCloud) -> None:
    cut_off = fail_together_and_are_approved(rack)
    rack.after_writing(SENDING, lambda: rack.says("pause", "--by", "ann"), name="c5")  # the first that ha-1 takes
    rack.turns()
    live_and_fail_together_again(rack, cut_off)
    resumed(rack)
    assert rack.fenced == []


@pytest.mark.fault(21)
def test_hosts_that_were_set_failed_and_lived_are_held_when_they_fail_together_again(rack: ObservedCloud) -> None:
    """No HA node has claimed any of them."""
    cut_off = fail_together_and_are_approved(rack)
    assert all(map(rack.failed, cut_off))
    rack.says("pause", "--by", "ann")
    live_and_fail_together_again(rack, cut_off)
    resumed(rack)
    assert rack.fenced == []


@pytest.mark.fault(21)
def test_a_host_whose_fence_was_broken_off_is_held_when_it_fails_with_others_later(rack: ObservedCloud) -> None:
    rack.fails("c1")
    rack.after_writing(SENDING, lambda: rack.says("pause", "--by", "ann"))
    rack.turns()
    rack.boots("c1")
    rack.intervals(3)
    rack.hangs(*rack.names[:5])
    rack.intervals(THRESHOLD + 1)
    resumed(rack)
    assert rack.fenced == []


@pytest.mark.fault(23)
@pytest.mark.parametrize("written", [SENDING, b"goes on after"], ids=["in its fence", "claimed"])
def test_a_repeat_is_asked_for_again_when_its_driver_was_killed_and_the_host_lived(
    rack: ObservedCloud, written: bytes
) -> None:
    rack.fails("c1")
    rack.turns(2)
    rack.repaired("c1")
    rack.fails("c1")
    rack.turns()
    assert incident_of(rack).gate is Gate.REPEAT
    rack.says("approve", "c1", "--by", "ann", "--for", "1h")

    def dies() -> None:
        raise Crash("killed")

    rack.after_writing(written, dies)
    with pytest.raises(Crash):
        rack.recover("ha-1")
    rack.boots("c1")
    rack.intervals(2)  # the lock delay of the dead driver still runs
    rack.hangs("c1")
    rack.intervals(THRESHOLD + 1)
    rack.turns(3)
    assert len(rack.bmcs["c1"].commands) == 1


# --- what was seen before the word ---


@pytest.mark.fault(37)
def test_a_word_outlasts_an_agent_that_is_not_missed_yet(cloud: ObservedCloud) -> None:
    cloud.agents.add("c1")
    cloud.store.put("ha_cluster/config/monitor/witness", "ignore")
    waits_for_its_bmc(cloud, "--gate", "agent-alive", "--for", "5m")
    cloud.clock.sleep(400)
    cloud.turns(1)
    cloud.loses_power("c1")
    confirmed_off(cloud)
    cloud.recover("ha-1")
    waiting = incident_of(cloud)
    assert (waiting.gate, waiting.cause) == (Gate.AGENT_ALIVE, Cause.BEFORE_THE_WORD)
    assert waiting.receipt is not None
    cloud.clock.sleep(10)
    cloud.agents.discard("c1")
    cloud.sweep()
    cloud.turns(4)
    cloud.assert_recovered("c1")


@pytest.mark.fault(37)
def test_a_word_outlasts_a_report_from_before_it(cloud: ObservedCloud) -> None:
    """The HA node keeps what it has read, as its look-out does."""
    cloud.nova.down_after_s = 60.0
    cloud.store.put("ha_cluster/config/monitor/witness", "ignore")
    kept: dict[str, Any] = {"heard": [], "failing": {}}
    plain = cloud.clients

    def clients(me: str = "ha-1") -> DriverClients:
        found = plain(me)
        found.heard[:] = kept["heard"]
        found.failing_since.update(kept["failing"])
        return replace(found, keep=lambda heard, failing: kept.update(heard=list(heard), failing=dict(failing)))

    cloud.clients = clients  # type: ignore[method-assign]
    cloud.bmcs["c1"].away = True
    cloud.silent["c1"] = 1  # half dead: its nova-compute reports
    cloud.intervals(THRESHOLD)
    cloud.says("approve", "c1", "--gate", "nova-reports", "--for", "5m", "--by", "ann")
    cloud.turns()
    cloud.clock.sleep(400)
    cloud.turns(2)
    cloud.clock.sleep(5)
    cloud.recover("ha-1")
    cloud.clock.sleep(8)
    cloud.loses_power("c1")
    confirmed_off(cloud)
    cloud.recover("ha-1")
    waiting = incident_of(cloud)
    assert (waiting.gate, waiting.cause) == (Gate.NOVA_REPORTS, Cause.BEFORE_THE_WORD)
    assert waiting.receipt is not None
    cloud.turns(6)
    cloud.assert_recovered("c1")


@pytest.mark.fault(37)
def test_an_agent_that_still_lives_a_minute_after_the_word_ends_it(cloud: ObservedCloud) -> None:
    cloud.agents.add("c1")
    cloud.store.put("ha_cluster/config/monitor/witness", "ignore")
    waits_for_its_bmc(cloud, "--gate", "agent-alive", "--for", "5m")
    cloud.clock.sleep(400)
    cloud.turns(1)
    confirmed_off(cloud)
    cloud.recover("ha-1")
    cloud.clock.sleep(70)
    cloud.turns(2)
    assert incident_of(cloud).receipt is None
    cloud.assert_untouched("c1")


# --- what is told ---


def test_the_time_that_an_incident_waited_is_told_as_its_own(cloud: ObservedCloud) -> None:
    waits_for_its_bmc(cloud)
    cloud.clock.sleep(3600)
    cloud.bmcs["c1"].away = False
    cloud.turns(2)
    told = json.loads(cloud.says("history", "c1", "--json"))
    assert told["took_s"] > 3600
    assert told["took_s"] + 1 >= sum(told["spent_s"].values())
