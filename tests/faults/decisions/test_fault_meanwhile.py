"""What happens between the monitor's decision, the last look and the command: the fence asks by itself, once more."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from kit.clouds.observed_cloud import THRESHOLD, ObservedCloud
from nova_ha.cluster.gate import Gate
from nova_ha.recovery.driver_clients import Halted


def gate_of(cloud: ObservedCloud, node: str = "c1") -> Gate | None:
    incident = cloud.incident(node)
    return incident.gate if incident else None


def held_after(cloud: ObservedCloud, written: bytes, happen: Callable[[], None]) -> None:
    """c1 hangs; this happens right after its driver has written that, and the driver goes on to its end."""
    cloud.after_writing(written, happen)
    cloud.hangs("c1")
    cloud.intervals(THRESHOLD)
    try:
        cloud.recover("ha-1")
    except Halted as halted:
        print(halted)


# --- others that fail by then


@pytest.mark.fault(21)
@pytest.mark.fault(62)
def test_a_failed_host_that_fails_anew_with_many_others_is_held_with_them() -> None:
    """It was set failed days ago, and is well since; nobody has reset it."""
    cloud = ObservedCloud(compute=10)
    cloud.fails("c1")
    cloud.boots("c1")
    cloud.intervals(1)
    cloud.turns(1)
    assert gate_of(cloud) is Gate.ANSWERS
    cloud.clock.sleep(2 * 24 * 3600)
    cloud.intervals(2)
    cloud.hangs(*(f"c{number}" for number in range(1, 7)))
    cloud.intervals(THRESHOLD + 1)
    cloud.turns(3)
    assert (cloud.fenced, gate_of(cloud)) == ([], Gate.MAX_FAILED)


@pytest.mark.fault(21)
def test_a_host_that_was_set_failed_during_a_pause_is_held_with_the_many_that_fail_at_its_end() -> None:
    cloud = ObservedCloud(compute=10)
    cloud.fails("c1")
    cloud.says("pause", "--by", "ann")
    cloud.boots("c1")
    cloud.intervals(3)
    cloud.clock.sleep(3 * 3600)
    cloud.hangs(*(f"c{number}" for number in range(1, 7)))
    cloud.intervals(1)
    cloud.says("resume")
    cloud.turns(2)
    assert cloud.fenced == []


# --- what is asked right before a late command


@pytest.mark.fault(39)
def test_a_host_whose_nova_compute_reports_again_before_a_late_command_keeps_its_power() -> None:
    """As where the switch comes back for Nova's network and the BMCs, and not yet for SSH."""
    cloud = ObservedCloud(compute=8)

    def reports_again() -> None:
        cloud.nova.silent.discard("c1")
        cloud.bmcs["c1"].away = False
        cloud.clock.sleep(15)

    def bmc_away() -> None:
        cloud.bmcs["c1"].away = True
        cloud.after_writing(b"attempt 1 of 3 failed", reports_again)

    held_after(cloud, b"claimed: ", bmc_away)
    assert (cloud.fenced, gate_of(cloud)) == ([], Gate.NOVA_REPORTS)


@pytest.mark.fault(7)
def test_a_late_command_needs_a_quorum_too() -> None:
    cloud = ObservedCloud(compute=8)

    def lost() -> None:
        cloud.dead |= {"ha-2", "ha-3"}
        cloud.bmcs["c1"].away = False
        cloud.report()

    def bmc_away() -> None:
        cloud.bmcs["c1"].away = True
        cloud.after_writing(b"attempt 1 of 3 failed", lost)

    held_after(cloud, b"claimed: ", bmc_away)
    assert cloud.fenced == []


@pytest.mark.fault(37)
def test_a_pause_is_seen_right_before_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where what is asked before it takes seconds: the look at SSH, the observers, the power."""
    cloud = ObservedCloud(compute=8)
    began: list[float] = []
    sight = cloud._sight

    def late() -> None:
        cloud.clock.advance(6)
        began.append(cloud.clock.monotonic())

    def pausing(node: object, limit_s: float) -> object:
        if len(began) == 1:
            began.append(cloud.clock.monotonic())
            cloud.says("pause", "--by", "ann")
        return sight(node, limit_s)

    monkeypatch.setattr(cloud, "_sight", pausing)
    held_after(cloud, b"sending power off", late)
    assert len(began) == 2
    assert cloud.fenced == []
