"""Faults 18, 30 and 32: a host that is powered on, freed in Nova, or answers, while it is being recovered."""

from __future__ import annotations

import pytest
from kit.clouds.observed_cloud import ObservedCloud
from kit.fakes.world import Crash
from kit.shown import shows
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import IncidentState, ServerState
from nova_ha.power import PowerState

# What has been reached when it happens: the first intent, and the first server that has arrived.
DURING = (b'"state":"fenced"', b'"state":"forced-down"', b'"state":"asked"', b'"state":"evacuated"')


@pytest.fixture
def cloud() -> ObservedCloud:
    """Six servers on c1, one evacuation at a time."""
    cloud = ObservedCloud(servers=6)
    cloud.store.put("ha_cluster/config/recovery/concurrency", "1")
    cloud.fails("c1")
    return cloud


def stopped_at(cloud: ObservedCloud, gate: Gate) -> None:
    """The incident waits at the gate; what has not arrived by then is where it was, and nothing is held."""
    incident = cloud.incident("c1")
    assert incident is not None
    assert (incident.state, incident.gate) == (IncidentState.NEEDS_OPERATOR, gate)
    cloud.audit()


@pytest.mark.fault(18)
@pytest.mark.fault(32)
@pytest.mark.parametrize("moment", DURING)
def test_a_host_that_is_powered_on_again_stops_everything_at_once(cloud: ObservedCloud, moment: bytes) -> None:
    asked: list[int] = []

    def power_on() -> None:
        powers_on(cloud)
        asked.append(len(evacuations(cloud)))

    cloud.after_writing(moment, power_on)
    cloud.recover("ha-1")
    assert asked
    assert len(evacuations(cloud)) == asked[0]
    stopped_at(cloud, Gate.POWERED_ON)
    calls = list(cloud.nova.calls)
    cloud.turns(5)
    assert cloud.nova.calls == calls
    assert cloud.nova.hosts["c1"].forced_down or moment == b'"state":"fenced"'
    shows(
        18,
        "c1: waits for the operator: powered-on: its power is on again: no server is sent, none is followed further",
        cloud.timer(),
    )
    shows(
        32,
        "somebody powered it on: `nova-ha node retry c1` fences it again, `nova-ha node reset c1` keeps it",
        cloud.says("status"),
    )


def powers_on(cloud: ObservedCloud) -> None:
    """The host has power again, tests its memory for some seconds, and boots."""
    cloud.bmcs["c1"].state = PowerState.ON
    cloud.clock.sleep(4)
    cloud.boots("c1")


def evacuations(cloud: ObservedCloud) -> list[tuple[str, ...]]:
    return [call for call in cloud.nova.calls if call[0] == "evacuate"]


@pytest.mark.fault(18)
def test_power_that_came_back_while_nobody_drove_is_found_before_the_next_server_is_asked_for(
    cloud: ObservedCloud,
) -> None:
    def die() -> None:
        raise Crash

    cloud.after_writing(b'"state":"evacuated"', die)
    with pytest.raises(Crash):
        cloud.recover("ha-1")
    cloud.boots("c1")
    asked = len(evacuations(cloud))
    cloud.recover("ha-2")
    assert len(evacuations(cloud)) == asked
    stopped_at(cloud, Gate.POWERED_ON)


@pytest.mark.fault(18)
def test_what_is_left_on_a_host_that_powered_itself_on_is_recovered_with_a_fresh_fence(cloud: ObservedCloud) -> None:
    cloud.after_writing(b'"state":"evacuated"', lambda: powers_on(cloud))
    cloud.recover("ha-1")
    cloud.hangs("c1")
    cloud.intervals(3)
    cloud.says("node", "retry", "c1", "--by", "ann")
    cloud.turns(2)
    assert cloud.bmcs["c1"].commands == [PowerState.ON, PowerState.ON]
    assert not cloud.nova.servers("c1")
    cloud.audit()


@pytest.mark.fault(30)
@pytest.mark.parametrize("moment", DURING[1:])
def test_a_force_down_that_is_lost_stops_everything(cloud: ObservedCloud, moment: bytes) -> None:
    cloud.after_writing(moment, lambda: cloud.nova.force_down("id-c1", False))
    cloud.recover("ha-1")
    stopped_at(cloud, Gate.SERVICE_UP)
    assert len(evacuations(cloud)) <= 2
    shows(
        30,
        "c1: waits for the operator: service-up: Nova no longer takes c1 for forced down: somebody undid it",
        cloud.timer(),
    )


@pytest.mark.fault(30)
def test_a_service_that_reads_up_right_after_it_was_forced_down_stops_everything(
    cloud: ObservedCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    disable = cloud.nova.disable

    def undone(service_id: str, reason: str) -> None:
        disable(service_id, reason)
        cloud.nova.force_down(service_id, False)

    monkeypatch.setattr(cloud.nova, "disable", undone)
    cloud.recover("ha-1")
    stopped_at(cloud, Gate.SERVICE_UP)
    assert evacuations(cloud) == []


@pytest.mark.fault(32)
def test_a_host_that_answers_again_before_the_claim_keeps_its_power(cloud: ObservedCloud) -> None:
    cloud.boots("c1")
    cloud.intervals()
    cloud.turns(3)
    cloud.assert_untouched("c1")
    shows(
        32,
        "c1: waits for the operator: answers: the observers see it again: ha-1 well, ha-2 well, ha-3 well",
        cloud.timer(),
    )


@pytest.mark.fault(32)
def test_a_host_that_answers_again_while_nobody_drives_keeps_its_power(cloud: ObservedCloud) -> None:
    def die() -> None:
        raise Crash

    cloud.after_writing(b'"state":"claimed"', die)
    with pytest.raises(Crash):
        cloud.recover("ha-1")
    cloud.boots("c1")
    cloud.turns(3)
    assert cloud.fenced == []
    assert cloud.nova.calls == []
    cloud.fails("c2")
    cloud.turns()
    cloud.assert_recovered("c2")


@pytest.mark.fault(32)
def test_a_host_that_comes_back_after_its_recovery_is_left_as_it_is(cloud: ObservedCloud) -> None:
    cloud.recover("ha-1")
    cloud.assert_recovered("c1")
    calls = list(cloud.nova.calls)
    cloud.boots("c1")
    cloud.turns(5)
    assert cloud.nova.calls == calls
    assert cloud.bmcs["c1"].commands == [PowerState.ON]
    assert cloud.nova.hosts["c1"].forced_down
    assert {p.state for p in cloud.closed("c1")[0].servers.values()} == {ServerState.EVACUATED}
    cloud.audit()


@pytest.mark.fault(17)
@pytest.mark.fault(32)
@pytest.mark.parametrize("moment", DURING[1:])
def test_a_host_whose_nova_compute_reports_again_stops_everything_though_its_bmc_reads_off(
    cloud: ObservedCloud, moment: bytes
) -> None:
    """It hung, and looked as dead as one without power: its BMC had lied, or was another machine's."""
    asked: list[int] = []

    def goes_on() -> None:
        cloud.nova.silent.discard("c1")
        cloud.clock.sleep(4)
        asked.append(len(evacuations(cloud)))

    cloud.after_writing(moment, goes_on)
    cloud.recover("ha-1")
    # The batch whose look at Nova was a moment before is on its way.
    assert len(evacuations(cloud)) <= asked[0] + 1
    stopped_at(cloud, Gate.NOT_SILENT)
    shows(
        32,
        "c1: waits for the operator: not-silent: nova-compute on c1 has reported since the fence: "
        "the host lives, whatever its BMC reads",
        cloud.timer(),
    )


@pytest.mark.fault(32)
def test_a_host_that_reported_again_is_recovered_with_a_fresh_fence_once_its_bmc_is_mended(
    cloud: ObservedCloud,
) -> None:
    cloud.after_writing(b'"state":"evacuated"', lambda: cloud.nova.silent.discard("c1"))
    cloud.recover("ha-1")
    stopped_at(cloud, Gate.NOT_SILENT)
    cloud.nova.silent.add("c1")
    cloud.bmcs["c1"].state = PowerState.ON
    cloud.says("node", "retry", "c1", "--by", "ann")
    cloud.intervals(3)
    cloud.turns(2)
    assert cloud.bmcs["c1"].commands == [PowerState.ON, PowerState.ON]
    assert cloud.closed("c1")[-1].state is IncidentState.FINISHED
    assert not cloud.nova.servers("c1")


@pytest.mark.fault(32)
def test_reports_from_before_an_operator_confirmed_that_it_is_off_are_no_sign_of_life(cloud: ObservedCloud) -> None:
    """While nobody could read its power it was on, and reported; then somebody unplugged it."""

    def lose_bmc() -> None:
        cloud.bmcs["c1"].away = True

    cloud.after_writing(b'"state":"evacuated"', lose_bmc)
    cloud.recover("ha-1")
    stopped_at(cloud, Gate.POWER_UNKNOWN)
    cloud.nova.silent.discard("c1")
    cloud.clock.sleep(10)
    cloud.nova.silent.add("c1")
    cloud.says("node", "confirm-off", "c1", "--yes", "--by", "ann", "--why", "unplugged")
    cloud.turns(2)
    cloud.assert_recovered("c1")
