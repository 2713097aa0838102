"""Faults 7, 10 to 13 and 34: two drivers at once, drivers that stand still, die, or lose their session or host."""

from __future__ import annotations

import pytest
from kit.clouds.observed_cloud import ObservedCloud
from kit.fakes.world import Crash
from kit.shown import shows
from nova_ha.cluster.incident import IncidentState
from nova_ha.consul.session import LockLost
from nova_ha.errors import HAError
from nova_ha.power import PowerState
from nova_ha.recovery.driver_clients import Halted

BEYOND_THE_LOCK_S = 100.0
# Right before the power is cut, before Nova is told, and before servers are asked for.
MOMENTS = (b'"state":"fencing"', b'"state":"fenced"', b'"state":"asked"')


def story(cloud: ObservedCloud) -> list[str]:
    return [step.what for step in cloud.closed("c1")[0].steps]


# --- two at once ---


@pytest.mark.fault(7)
@pytest.mark.fault(12)
def test_of_two_drivers_that_found_the_same_only_one_gets_the_host(cloud: ObservedCloud) -> None:
    """The second claims and recovers it while the first, which has looked already, is about to claim."""
    cloud.fails("c1")
    others: list[str] = []

    def other_claims(_: object) -> None:
        cloud.store.before = None
        others.append(cloud.recover("ha-2")["c1"].outcome)

    cloud.store.before = other_claims
    results = cloud.recover("ha-1")
    assert others == ["finished"]
    assert results["c1"].outcome == "waits"
    cloud.assert_recovered("c1")
    assert sum(what.startswith("claimed") for what in story(cloud)) == 1
    assert cloud.bmcs["c1"].commands == [PowerState.ON]


@pytest.mark.fault(7)
@pytest.mark.fault(12)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_driver_that_finds_another_at_work_leaves_it_alone(cloud: ObservedCloud, moment: bytes) -> None:
    cloud.fails("c1")
    told: list[str] = []

    def other_looks() -> None:
        told.append(cloud.timer("ha-2"))
        assert cloud.recover("ha-2") == {}
        assert cloud.recover("ha-3") == {}

    cloud.after_writing(moment, other_looks)
    cloud.recover("ha-1")
    cloud.assert_recovered("c1")
    assert {step.by for step in cloud.closed("c1")[0].steps} == {"ha-1"}
    if moment == MOMENTS[0]:
        shows(7, "c1: fencing, ha-1 works on it", told[0])
        shows(12, "c1: fencing, ha-1 works on it", told[0])


# --- standing still ---


@pytest.mark.fault(10)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_driver_that_stood_still_sends_nothing_once_another_has_taken_over(
    cloud: ObservedCloud, moment: bytes
) -> None:
    cloud.fails("c1")

    def another_takes_over() -> None:
        assert cloud.recover("ha-2")["c1"].outcome == "finished"
        cloud.nova.calls.append(("from here on",))
        cloud.bmcs["c1"].commands.append(PowerState.UNKNOWN)

    cloud.after_writing(moment, lambda: cloud.stands_still("ha-1", BEYOND_THE_LOCK_S, another_takes_over))
    with pytest.raises(LockLost):
        cloud.recover("ha-1")
    assert cloud.nova.calls[-1] == ("from here on",)
    assert cloud.bmcs["c1"].commands[-1] is PowerState.UNKNOWN
    cloud.assert_recovered("c1")
    shows(10, "taken over from ha-1", cloud.says("history", "c1"))


@pytest.mark.fault(10)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_driver_that_stood_still_sends_nothing_though_nobody_has_taken_over_yet(
    cloud: ObservedCloud, moment: bytes
) -> None:
    cloud.fails("c1")
    sent: list[int] = []

    def stop() -> None:
        cloud.stands_still("ha-1", BEYOND_THE_LOCK_S)
        sent.append(len(cloud.nova.calls) + len(cloud.bmcs["c1"].commands))

    cloud.after_writing(moment, stop)
    with pytest.raises(LockLost):
        cloud.recover("ha-1")
    assert len(cloud.nova.calls) + len(cloud.bmcs["c1"].commands) == sent[0]
    cloud.turns(2)
    cloud.assert_recovered("c1")


# --- lost sessions and hosts ---


@pytest.mark.fault(13)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_session_that_a_flap_of_its_agent_ended_stops_the_driver_at_its_next_step(
    cloud: ObservedCloud, moment: bytes
) -> None:
    cloud.fails("c1")
    sent: list[int] = []

    def flap() -> None:
        for session in list(cloud.store.consul.sessions):
            cloud.store.expire_session(session)
        sent.append(len(cloud.nova.calls) + len(cloud.bmcs["c1"].commands))
        cloud.clock.sleep(12)

    cloud.after_writing(moment, flap)
    with pytest.raises(LockLost) as lost:
        cloud.recover("ha-1")
    assert len(cloud.nova.calls) + len(cloud.bmcs["c1"].commands) == sent[0]
    shows(13, "lock ha_cluster/compute_nodes/c1/internal/.lock is not held any more", str(lost.value))
    began = cloud.clock.monotonic()
    assert cloud.recover("ha-2")["c1"].outcome == "finished"
    assert cloud.clock.monotonic() - began > 15, "the lock delay was not waited out"
    cloud.assert_recovered("c1")


@pytest.mark.fault(11)
@pytest.mark.fault(34)
@pytest.mark.parametrize("state", [*list(IncidentState)[:5]])
def test_a_driver_whose_host_died_is_followed_by_another_one(cloud: ObservedCloud, state: IncidentState) -> None:
    cloud.fails("c1")

    def die() -> None:
        raise Crash

    cloud.after_writing(f'"state":"{state.value}"'.encode(), die)
    with pytest.raises(Crash):
        cloud.recover("ha-1")
    cloud.dead.add("ha-1")
    cloud.nova.silent.add("ha-1")
    cloud.nova.hosts["ha-1"] = type(cloud.nova.hosts["ha-1"])(
        "id-ha-1", "ha-1", False, True, False, "", cloud.clock.now()
    )
    assert cloud.incident("c1") is not None
    if state is IncidentState.FENCED:
        shows(11, "c1: fenced, and ha-1 has gone: to be resumed", cloud.timer_says())
        shows(34, "c1: fenced, and ha-1 has gone: to be resumed", cloud.timer_says())
    cloud.turns(2)
    cloud.assert_recovered("c1")
    assert "taken over from ha-1" in story(cloud)
    assert {server.host for server in cloud.nova.inventory.values() if server.id in cloud.servers["c1"]} == {"ha-2"}


@pytest.mark.fault(34)
def test_an_ha_node_that_fails_itself_is_not_fenced_by_its_own_handler() -> None:
    """It is a compute node of the same Nova host: by its keys it takes itself out of automatic action."""
    cloud = ObservedCloud()
    cloud.store.put("ha_cluster/ha_nodes/ha-1/config/nova_host", "c1")
    cloud.hangs("c1")
    cloud.intervals(3)
    cloud.turns(2)
    cloud.assert_untouched("c1")
    shows(
        34,
        "c1: out of automatic action: ha_cluster/compute_nodes/c1/config/nova_host has the Nova host "
        "'c1', which ha-1 has too",
        cloud.timer("ha-2"),
    )


# --- asked to end ---


@pytest.mark.fault(11)
@pytest.mark.parametrize("moment", [b'"state":"fenced"', b'"state":"forced-down"'])
def test_a_driver_that_waits_for_a_bmc_ends_within_a_second(cloud: ObservedCloud, moment: bytes) -> None:
    """Its receipt is there, and its power cannot be read for now."""
    cloud.fails("c1")

    def dies() -> None:
        raise Crash

    cloud.after_writing(moment, dies)
    with pytest.raises(Crash):
        cloud.recover("ha-1")
    cloud.clock.sleep(BEYOND_THE_LOCK_S)
    asked_at: list[float] = []

    def away_and_asked_to_end() -> None:
        cloud.bmcs["c1"].away = True
        cloud.clock.meanwhile.append(lambda: asked_at or (asked_at.append(cloud.clock.monotonic()) or end()))

    def end() -> None:
        cloud.stopping = True

    cloud.after_writing(b"taken over", away_and_asked_to_end)
    with pytest.raises(Halted, match="c1: asked to end while"):
        cloud.recover("ha-2")
    assert cloud.clock.monotonic() - asked_at[0] <= 1
    assert cloud.leftovers() == []
    cloud.stopping, cloud.bmcs["c1"].away = False, False
    cloud.clock.meanwhile.pop()
    cloud.turns()
    cloud.assert_recovered("c1")


@pytest.mark.fault(8)
@pytest.mark.fault(11)
def test_a_driver_that_waits_for_consul_ends_within_a_second(cloud: ObservedCloud) -> None:
    cloud.fails("c1")
    asked_at: list[float] = []

    def away_and_asked_to_end() -> None:
        cloud.away.add("ha-1")
        cloud.stopping = True
        asked_at.append(cloud.clock.monotonic())

    cloud.after_writing(b'"state":"fenced"', away_and_asked_to_end)
    with pytest.raises(HAError, match="Consul has no leader"):
        cloud.recover("ha-1")
    assert cloud.clock.monotonic() - asked_at[0] <= 1
    cloud.stopping = False
    cloud.away.clear()
    cloud.turns(4)
    cloud.assert_recovered("c1")
