"""Faults 39, 43 and 44: an sshd that dies alone, a Nova that hears nobody, clocks that differ."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.clouds.observed_cloud import THRESHOLD, ObservedCloud
from kit.fakes.skewed import Skewed
from kit.shown import shows
from nova_ha.cluster.node import RuntimeConfig
from nova_ha.cluster.schema import RUNTIME_CONFIG, compute_node
from nova_ha.recovery.driver_clients import DriverClients
from nova_ha.recovery.heard_before import DRIVER, HeardBefore, take_over
from nova_ha.recovery.silence import needed_s


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
        "c1: waits for the operator, or until the cause has gone: nova-reports: its nova-compute still reports to "
        "Nova: the host lives",
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
    shows(
        43,
        "c1: failed, to be recovered: waits at nova-away: 4 of 4 others are silent too: message bus, database, or "
        "nova/report_interval is wrong; silent: c2, ha-1, ha-2, ha-3 (ha-1, ha-2, ha-3)",
        cloud.timer_says(),
    )
    assert "waits at nova-away: 4 of 4 others are silent too" in cloud.says("status")
    assert "waits at nova-away: 4 of 4 others are silent too" in cloud.says("explain", "c1")
    cloud.nova.silent.clear()
    cloud.turns()
    assert "waits at" not in cloud.printed()
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
def test_a_host_that_is_back_last_after_an_outage_of_the_bus_keeps_its_power(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sshd is dead. Each driver is a new process, and knows what the one before has read."""
    monkeypatch.setenv("NOVA_HA_RUN", str(tmp_path / "run"))
    cloud = ObservedCloud()
    remembering(cloud)
    cloud.nova.down_after_s = 60.0
    cloud.nova.silent.update(cloud.nova.hosts)
    cloud.clock.sleep(90)
    loses_ssh(cloud)
    cloud.recover("ha-1")
    cloud.nova.silent = {"c1"}
    cloud.clock.sleep(20)
    for _ in range(3):
        cloud.sweep()
        cloud.recover("ha-1")
        cloud.assert_untouched("c1")
        cloud.clock.sleep(15)
    shows(
        43,
        "c1: failed, to be recovered: waits at nova-away: 6 of 6 others report again since a short while: its own "
        "report may still be on its way (ha-1)",
        cloud.timer_says(),
    )
    cloud.nova.silent = set()
    cloud.clock.sleep(15)
    cloud.recover("ha-1")
    cloud.assert_untouched("c1")


@pytest.mark.fault(43)
def test_one_that_died_in_the_outage_is_recovered_a_while_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOVA_HA_RUN", str(tmp_path / "run"))
    cloud = ObservedCloud()
    remembering(cloud)
    cloud.nova.down_after_s = 60.0
    cloud.nova.silent.update(cloud.nova.hosts)
    cloud.clock.sleep(90)
    cloud.fails("c1")
    cloud.recover("ha-1")
    cloud.nova.silent = {"c1"}
    for _ in range(8):
        cloud.clock.sleep(20)
        cloud.sweep()
        cloud.recover("ha-1")
    cloud.assert_recovered("c1")


def remembering(cloud: ObservedCloud) -> None:
    """Let each driver begin with what the HA node's last one has kept, and keep what it reads."""
    ordinary = cloud.clients

    def clients(me: str = "ha-1") -> DriverClients:
        made = ordinary(me)
        take_over(me, made)
        made.keep = HeardBefore(me, DRIVER).keep
        return made

    cloud.clients = clients  # type: ignore[method-assign]


@pytest.mark.fault(43)
def test_a_nova_that_really_reports_more_slowly_than_the_policy_says_gets_nobody_fenced() -> None:
    cloud = ObservedCloud()
    cloud.nova.report_interval_s = 30.0
    loses_ssh(cloud)
    cloud.turns(10)
    cloud.assert_untouched("c1")


@pytest.mark.fault(43)
@pytest.mark.parametrize("phase", range(30))
def test_a_host_whose_own_nova_conf_reports_more_seldom_keeps_its_power_in_each_phase(phase: int) -> None:
    """All others report as the policy says, and its sshd dies."""
    cloud = ObservedCloud()
    cloud.store.put(compute_node("c1", RUNTIME_CONFIG), RuntimeConfig("c1", report_interval_s=30).to_kv())
    cloud.nova.own_interval_s["c1"] = 30.0
    cloud.nova.reports_at["c1"] = float(phase)
    cloud.clock.sleep(60)
    loses_ssh(cloud)
    cloud.turns(3)
    cloud.assert_untouched("c1")


@pytest.mark.fault(43)
def test_a_host_whose_own_nova_conf_reports_more_seldom_is_recovered_once_it_is_silent_for_as_long() -> None:
    cloud = ObservedCloud()
    cloud.store.put(compute_node("c1", RUNTIME_CONFIG), RuntimeConfig("c1", report_interval_s=30).to_kv())
    cloud.fails("c1")
    began = cloud.clock.monotonic()
    cloud.turns(2)
    cloud.assert_recovered("c1")
    assert cloud.clock.monotonic() - began > needed_s(30)


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
                "c1: waits for the operator, or until the cause has gone: nova-reports: its nova-compute still "
                "reports to Nova: the host lives",
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
