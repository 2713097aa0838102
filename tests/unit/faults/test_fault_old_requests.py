"""What Nova still shows of evacuations that are over, or may still do for an earlier incident."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from fakes.skewed import Skewed
from nova_ha.cluster.incident import ServerState
from nova_ha.compute import Migration, MigrationStatus, ServerID
from nova_ha.power import PowerState
from nova_ha.recovery.means import Means
from nova_ha.recovery.operator import retry
from observed_cloud import ObservedCloud


@pytest.mark.fault(31)
def test_a_record_that_stays_open_from_before_the_host_was_back_keeps_no_server(cloud: ObservedCloud) -> None:
    """Its destination died over it; the next try was completed, and the server has come home since."""
    first, _ = cloud.servers["c1"]
    then = cloud.clock.now() - timedelta(days=30)
    cloud.nova.records = [
        Migration("old-2", ServerID(first), MigrationStatus.COMPLETED, "c1", "c3", then + timedelta(seconds=60)),
        Migration("old-1", ServerID(first), MigrationStatus.MIGRATING, "c1", "c2", then),
    ]
    cloud.fails("c1")
    cloud.recover("ha-1")
    [incident] = cloud.closed("c1")
    assert incident.servers[first].state is ServerState.EVACUATED


@pytest.mark.fault(25)
@pytest.mark.fault(29)
@pytest.mark.parametrize("ahead_s", [0, 3600])
def test_a_lost_request_is_not_sent_again_though_clocks_differ(cloud: ObservedCloud, ahead_s: int) -> None:
    """Its power is on again right after it was asked for: the driver stops, and the operator retries at once."""
    cloud.nova.rebuild_s = 30
    ordinary = cloud.means

    def means(me: str = "ha-1") -> Means:
        own = ordinary(me)
        return replace(own, clock=Skewed(cloud.clock, ahead_s)) if me == "ha-1" else own

    cloud.means = means  # type: ignore[method-assign]
    cloud.fails("c1")
    cloud.nova.lose_and_act_later(20)
    cloud.after_writing(b"asked for", lambda: setattr(cloud.bmcs["c1"], "state", PowerState.ON))
    cloud.recover("ha-1")
    retry(cloud.store, cloud.clock, "c1", by="ann")
    cloud.recover("ha-2")
    cloud.turns(2)
    assert not cloud.nova.doubled


@pytest.mark.fault(31)
def test_servers_that_a_recovery_left_behind_are_said_until_somebody_acts(cloud: ObservedCloud) -> None:
    for host in cloud.nova.hosts:
        cloud.nova.fail_spawn[host] = "no room"
    cloud.fails("c1")
    cloud.recover("ha-1")
    [incident] = cloud.closed("c1")
    assert {progress.state for progress in incident.servers.values()} == {ServerState.FAILED}
    assert "2 of its servers failed" in cloud.timer("ha-1")
    shown = cloud.says("status")
    assert "2 of its servers failed" in shown
    assert "nova-ha node retry c1" in shown
