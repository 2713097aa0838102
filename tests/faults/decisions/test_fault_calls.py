"""Whom NOVA_HA_NOTIFY calls, and how often: for each stop that an answer can end, and not for every look at it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from kit.clouds.observed_cloud import ObservedCloud
from kit.fakes.skewed import Skewed
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import Incident
from nova_ha.recovery import recover as recovering
from nova_ha.recovery.operator import approve, confirm_off

Calls = list[tuple[str, Gate | None]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    made: Calls = []

    def notify(incident: Incident, event: str) -> None:
        made.append((event, incident.gate))

    monkeypatch.setattr(recovering, "notify", notify)
    return made


@pytest.mark.fault(25)
@pytest.mark.fault(37)
def test_an_approval_that_has_ended_by_novas_clock_is_said_once(cloud: ObservedCloud, calls: Calls) -> None:
    cloud.nova.clock = Skewed(cloud.clock, 7200)
    cloud.store.put("ha_cluster/config/recovery/mode", "approve")
    cloud.fails("c1")
    cloud.turns(2)
    approve(cloud.store, cloud.clock, ["c1"], by="ann")
    cloud.turns(10)
    assert calls == [("needs-operator", Gate.APPROVAL)] * 2
    incident = cloud.incident("c1")
    assert incident is not None
    assert "its approval has ended by Nova's clock, which is 7200 s ahead" in incident.reason


@pytest.mark.fault(37)
def test_each_stop_after_an_operators_word_has_expired_calls_again(cloud: ObservedCloud, calls: Calls) -> None:
    unplugged_without_bmc(cloud)
    for _ in range(2):
        until = cloud.clock.now() + timedelta(seconds=61)
        confirm_off(cloud.store, cloud.clock, "c1", by="ann", until=until)
        cloud.turns()
    assert [gate for _, gate in calls] == [Gate.NO_BMC, Gate.POWER_UNKNOWN, Gate.POWER_UNKNOWN]


@pytest.mark.fault(25)
@pytest.mark.fault(37)
def test_a_word_that_has_ended_by_novas_clock_stops_a_recovery_once(cloud: ObservedCloud, calls: Calls) -> None:
    cloud.nova.clock = Skewed(cloud.clock, 300)
    unplugged_without_bmc(cloud)
    until = cloud.clock.now() + timedelta(seconds=391)
    confirm_off(cloud.store, cloud.clock, "c1", by="ann", until=until)
    cloud.turns(5)
    assert [gate for _, gate in calls] == [Gate.NO_BMC, Gate.POWER_UNKNOWN, Gate.RECEIPT_EXPIRED]
    incident = cloud.incident("c1")
    assert incident is not None
    assert "by Nova's clock, which is 300 s ahead" in incident.reason
    claims = sum(step.what.startswith("goes on after") for step in incident.steps)
    assert claims == 2


def unplugged_without_bmc(cloud: ObservedCloud) -> None:
    """c1 waits for somebody's word that it is off, which it is; its servers will go one after the other."""
    cloud.store.put("ha_cluster/config/recovery/concurrency", "1")
    cloud.nova.rebuild_s = 50
    cloud.nova.add("c1", 4)
    for leaf in ("ip", "user", "password", "identity"):
        cloud.store.drop(f"ha_cluster/compute_nodes/c1/config/bmc/{leaf}")
    cloud.fails("c1")
    cloud.turns()
    cloud.loses_power("c1")
