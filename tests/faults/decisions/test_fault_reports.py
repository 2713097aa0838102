"""Faults 39, 43 and 44: an sshd that dies alone, a Nova that hears nobody, clocks that differ."""

from __future__ import annotations

import pytest
from kit.clouds.observed_cloud import THRESHOLD, ObservedCloud
from kit.fakes.skewed import Skewed
from kit.shown import shows


def loses_ssh(cloud: ObservedCloud, name: str = "c1") -> None:
    """Its sshd dies, and all else of it is well; until the monitor has set it failed."""
    cloud.silent[name] = 1
    cloud.intervals(THRESHOLD)
    assert cloud.failed(name)


@pytest.mark.fault(39)
@pytest.mark.parametrize("phase", [half / 2 for half in range(20)])
def test_a_host_whose_sshd_alone_died_keeps_its_power_in_each_phase_of_its_reports(phase: float) -> None:
    cloud = ObservedCloud()
    cloud.nova.reports_at["c1"] = phase
    cloud.clock.sleep(30)
    loses_ssh(cloud)
    cloud.turns(3)
    cloud.assert_untouched("c1")
    shows(
        39,
        "c1: waits for the operator: nova-reports: its nova-compute still reports to Nova: the host lives",
        cloud.timer_says(),
    )
    shows(
        39,
        "is the host well? `nova-ha node reset c1`; else `nova-ha approve c1 --gate nova-reports`",
        cloud.says("status"),
    )


@pytest.mark.fault(43)
def test_where_nova_hears_nobody_the_silence_of_one_is_no_evidence(caplog: pytest.LogCaptureFixture) -> None:
    """Its message bus is away, and one sshd dies."""
    cloud = ObservedCloud(compute=2, ha=3)
    cloud.nova.silent.update(cloud.nova.hosts)
    loses_ssh(cloud)
    cloud.turns(3)
    cloud.assert_untouched("c1", "c2")
    shows(
        43,
        "host=c1 outcome=waits nova-away: 4 of 4 others are silent too: "
        "message bus, database, or nova/report_interval is wrong",
        caplog.text,
    )
    shows(43, "c1: failed, to be recovered", cloud.timer_says())
    cloud.nova.silent.clear()
    cloud.turns()
    cloud.assert_untouched("c1", "c2")
    assert cloud.incident("c1") is not None


@pytest.mark.fault(43)
@pytest.mark.parametrize("still_heard", [[], ["ha-1"]])
def test_in_a_cloud_of_three_one_other_that_is_silent_is_enough_to_wait(still_heard: list[str]) -> None:
    cloud = ObservedCloud(compute=2, ha=1)
    cloud.nova.silent.update(set(cloud.nova.hosts) - set(still_heard))
    loses_ssh(cloud)
    cloud.turns(3)
    cloud.assert_untouched("c1", "c2")
    cloud.nova.silent.difference_update(["c2", "ha-1"])
    cloud.turns()
    cloud.assert_recovered("c1")


@pytest.mark.fault(43)
def test_a_nova_that_really_reports_more_slowly_than_the_policy_says_gets_nobody_fenced() -> None:
    cloud = ObservedCloud()
    cloud.nova.report_interval_s = 30.0
    loses_ssh(cloud)
    cloud.turns(10)
    cloud.assert_untouched("c1")


@pytest.mark.fault(44)
@pytest.mark.parametrize("ahead_s", [-3600, -9, 9, 3600])
@pytest.mark.parametrize("whose", ["api", "conductor"])
def test_clocks_that_differ_void_no_gate_and_close_none(ahead_s: float, whose: str) -> None:
    for dead in (False, True):
        cloud = ObservedCloud()
        skew(cloud, whose, ahead_s)
        if dead:
            cloud.fails("c1")
            cloud.turns(2)
            cloud.assert_recovered("c1")
        else:
            loses_ssh(cloud)
            cloud.turns(3)
            cloud.assert_untouched("c1")
            shows(
                44,
                "c1: waits for the operator: nova-reports: its nova-compute still reports to Nova: the host lives",
                cloud.timer_says(),
            )


def skew(cloud: ObservedCloud, whose: str, ahead_s: float) -> None:
    """Let the Date of Nova's answers, or the stamps in them, be so far ahead of all other clocks."""
    nova, ahead = cloud.nova, Skewed(cloud.clock, ahead_s)
    if whose == "conductor":
        nova.clock = ahead  # it stamps and answers by this clock...
        nova.answers_at = cloud.clock.now  # ...but for the Date
    else:
        nova.answers_at = ahead.now
