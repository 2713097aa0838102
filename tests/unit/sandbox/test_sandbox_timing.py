"""How often the simulated Nova hears its hosts: as in the field, unless a test says otherwise."""

from __future__ import annotations

from kit.clouds.plan import WholePlan
from kit.fakes.clock import FakeClock
from nova_ha.clock import Clock
from nova_ha.cluster.policy import Policy
from nova_ha.sandbox.cloud import CloudPlan
from nova_ha.sandbox.nova.life import advance
from nova_ha.sandbox.nova.simulator import NovaSimulator
from nova_ha.sandbox.nova.state import Timing


def test_a_rehearsals_nova_reports_as_often_as_the_policy_expects() -> None:
    assert CloudPlan().timing == Timing()
    assert Timing().report_interval_s == Policy().nova_report_interval
    assert Timing().service_down_time_s == 6 * Timing().report_interval_s, "Nova's own defaults"


def test_the_tests_own_clouds_tell_the_policy_how_often_theirs_does() -> None:
    for plan in (WholePlan(), WholePlan(timing=Timing())):
        assert plan.options["nova/report_interval"] == f"{plan.timing.report_interval_s:g}"


def test_a_host_reports_every_ten_seconds_and_is_alive_only_while_it_beats() -> None:
    clock: Clock = FakeClock()
    simulator = NovaSimulator(clock=clock)
    simulator.add_host("itself")
    simulator.add_host("beaten", reports_itself=False)
    stamps: dict[str, set[object]] = {"itself": set(), "beaten": set()}
    for _ in range(60):
        clock.sleep(0.5)
        with simulator.cloud.lock:
            simulator.control.heartbeat("beaten", "b")
            advance(simulator.cloud)
        for name, seen in stamps.items():
            seen.add(simulator.cloud.hosts[name].reported)
    assert {name: len(seen) for name, seen in stamps.items()} == {"itself": 4, "beaten": 3}
    clock.sleep(3)
    alive = {name: simulator.cloud.is_alive(host) for name, host in simulator.cloud.hosts.items()}
    assert alive == {"itself": True, "beaten": False}
    assert simulator.cloud.is_up(simulator.cloud.hosts["beaten"]), "Nova notices after a minute"
