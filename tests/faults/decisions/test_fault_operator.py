"""Faults 25, 28 and 37: clocks that jump, keys that somebody broke, and an operator who steps in."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from kit.clouds.observed_cloud import THRESHOLD, ObservedCloud
from kit.shown import shows
from nova_ha.cluster.incident import ServerState
from nova_ha.cluster.schema import compute_node, open_incident
from nova_ha.errors import TryAgain
from nova_ha.power import PowerState

HOUR = 3600.0
MOMENTS = (
    b'"state":"claimed"',
    b'"state":"fencing"',
    b'"state":"fenced"',
    b'"state":"asked"',
    b'"state":"evacuated"',
)


# --- clocks ---


@pytest.mark.fault(25)
@pytest.mark.parametrize("seconds", [HOUR, -HOUR, 400 * 24 * HOUR])
def test_a_clock_that_jumps_fails_nobody_and_hides_nobody(cloud: ObservedCloud, seconds: float) -> None:
    cloud.intervals(2)
    cloud.clock.jump(seconds)
    cloud.intervals(5)
    assert not any(cloud.failed(name) for name in cloud.names)
    cloud.hangs("c1")
    cloud.intervals(THRESHOLD - 1)
    cloud.clock.jump(-2 * seconds)
    assert not cloud.failed("c1")
    cloud.intervals()
    assert cloud.failed("c1")


@pytest.mark.fault(25)
@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_drivers_clock_that_jumps_changes_nothing_about_the_recovery(
    cloud: ObservedCloud, moment: bytes, seconds: float
) -> None:
    """Its own clock, not Nova's."""
    cloud.fails("c1")
    real = cloud.nova.clock
    cloud.nova.clock = SteadyClock(real)
    cloud.after_writing(moment, lambda: cloud.clock.jump(seconds))
    assert cloud.recover("ha-1")["c1"].outcome == "finished"
    cloud.assert_recovered("c1")


class SteadyClock:
    """Nova's clock: it goes on as the world's does, and does not jump with it."""

    def __init__(self, world: object) -> None:
        self._world = world
        self._start = world.now()  # type: ignore[attr-defined]
        self._from = world.monotonic()  # type: ignore[attr-defined]

    def monotonic(self) -> float:
        return self._world.monotonic()  # type: ignore[attr-defined,no-any-return]

    def now(self) -> object:
        from datetime import timedelta

        return self._start + timedelta(seconds=self.monotonic() - self._from)


@pytest.mark.fault(25)
def test_a_clock_ahead_neither_ends_a_maintenance_nor_forgets_an_earlier_incident(cloud: ObservedCloud) -> None:
    cloud.nova.clock = SteadyClock(cloud.clock)  # type: ignore[assignment]
    cloud.says("node", "maintenance", "c1", "--for", "2h", "--by", "ann")
    cloud.fails("c2")
    cloud.turns()
    cloud.assert_recovered("c2")
    cloud.repaired("c2")
    cloud.clock.jump(3 * HOUR)
    cloud.hangs("c1", "c2")
    cloud.intervals(10)
    cloud.turns(3)
    assert cloud.bmcs["c1"].commands == []
    assert cloud.bmcs["c2"].commands == [PowerState.ON]
    shows(
        25,
        "c2: waits for the operator: repeat: its last incident began 2030-01-01 12:00:59Z, within 3600 s",
        cloud.timer_says(),
    )


# --- keys ---

BROKEN = {
    "truncated": (compute_node("c1", "internal/runtime_config"), '{"version":1,"nova_host":"c'),
    "unknown-version": (compute_node("c1", "internal/runtime_config"), '{"version":2,"nova_host":"c1"}'),
    "hand-edited": (compute_node("c1", "internal/number_fails"), "three"),
    "flag": (compute_node("c1", "status/failed"), "perhaps"),
    "not-utf-8": (compute_node("c1", "config/bmc/ip"), b"\xff\xfe"),
    "approval": (compute_node("c1", "config/approval"), "[]"),
    "incident": (open_incident("c1"), '{"version":1,"node":"c1","sta'),
}


@pytest.mark.fault(28)
@pytest.mark.parametrize(("key", "value"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_key_takes_its_host_out_loudly_and_the_others_go_on(
    cloud: ObservedCloud, key: str, value: str
) -> None:
    cloud.store.put(key, value)
    cloud.hangs("c1", "c2")
    cloud.turns(4)
    cloud.assert_untouched("c1")
    cloud.assert_recovered("c2")
    assert f"c1: out of automatic action: {key}" in cloud.timer_says()
    if value == "perhaps":
        shows(
            28,
            "c1: out of automatic action: ha_cluster/compute_nodes/c1/status/failed is 'perhaps'",
            cloud.timer_says(),
        )
        shows(28, "`consul kv put ha_cluster/compute_nodes/c1/status/failed VALUE`", cloud.says("status"))


@pytest.mark.fault(28)
def test_a_host_whose_key_breaks_in_the_middle_of_its_recovery_stops_there(cloud: ObservedCloud) -> None:
    cloud.fails("c1")
    cloud.after_writing(b'"state":"fenced"', lambda: cloud.store.put(compute_node("c1", "status/failed"), "perhaps"))
    cloud.recover("ha-1")
    assert cloud.nova.calls == []
    cloud.turns(3)
    assert cloud.nova.calls == []
    cloud.store.put(compute_node("c1", "status/failed"), "True")
    cloud.says("node", "retry", "c1", "--by", "ann")
    cloud.turns(2)
    assert not cloud.nova.servers("c1")
    cloud.audit()


# --- the operator ---


@pytest.mark.fault(37)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_pause_stops_the_driver_before_its_next_step_and_resume_goes_on(
    cloud: ObservedCloud, moment: bytes
) -> None:
    cloud.store.put("ha_cluster/config/recovery/concurrency", "1")
    cloud.fails("c1")
    sent: list[int] = []

    def pause() -> None:
        cloud.says("pause", "--by", "ann", "--why", "switch is replaced")
        sent.append(len(cloud.nova.calls) + len(cloud.bmcs["c1"].commands))

    cloud.after_writing(moment, pause)
    with pytest.raises(TryAgain, match="paused"):
        cloud.recover("ha-1")
    assert len(cloud.nova.calls) + len(cloud.bmcs["c1"].commands) == sent[0]
    cloud.turns(3)
    assert len(cloud.nova.calls) + len(cloud.bmcs["c1"].commands) == sent[0]
    if moment == MOMENTS[0]:
        shows(37, "paused by ann: `nova-ha resume` ends it", cloud.timer())
        shows(37, "switch is replaced. Nothing acts until `nova-ha resume`", cloud.says("status"))
        shows(37, "c1: paused while fencing (key ha_cluster/paused)", cloud.says("history", "c1"))
    cloud.says("resume")
    cloud.turns(2)
    cloud.assert_recovered("c1")


@pytest.mark.fault(37)
def test_an_operators_word_that_the_host_is_off_is_recorded_and_ends(cloud: ObservedCloud) -> None:
    cloud.loses_power("c1")
    cloud.bmcs["c1"].away = True
    cloud.intervals(THRESHOLD)
    cloud.turns()
    cloud.says("node", "confirm-off", "c1", "--yes", "--by", "ann", "--why", "unplugged", "--for", "1h")
    incident = cloud.incident("c1")
    assert incident is not None
    assert incident.receipt is not None
    assert (incident.receipt.by, incident.receipt.why) == ("ann", "unplugged")
    shows(37, "confirmed off until 2030-01-01T13:01:04.000Z: unplugged", cloud.says("history", "c1"))
    cloud.turns()
    cloud.assert_recovered("c1")
    shows(37, "fenced: off, by operator ann (unplugged)", cloud.says("history", "c1"))


@pytest.mark.fault(37)
def test_an_operators_word_that_has_expired_is_worth_nothing(cloud: ObservedCloud) -> None:
    cloud.loses_power("c1")
    cloud.bmcs["c1"].away = True
    cloud.intervals(THRESHOLD)
    cloud.turns()
    cloud.says("pause", "--by", "ann")
    cloud.says("node", "confirm-off", "c1", "--yes", "--by", "ann", "--for", "1h")
    cloud.clock.sleep(2 * HOUR)
    cloud.intervals()
    cloud.says("resume")
    cloud.turns(2)
    assert cloud.nova.calls == []
    assert cloud.incident("c1") is not None


@pytest.mark.fault(37)
def test_failed_that_is_set_back_by_hand_withdraws_before_the_next_step(cloud: ObservedCloud) -> None:
    cloud.fails("c1")
    calls: Sequence[object] = []

    def withdraw() -> None:
        nonlocal calls
        cloud.store.put(compute_node("c1", "status/failed"), "False")
        calls = list(cloud.nova.calls)

    cloud.after_writing(b'"state":"asked"', withdraw)
    cloud.recover("ha-1")
    cloud.turns(3)
    assert cloud.nova.calls == calls
    incident = cloud.incident("c1")
    assert incident is not None
    assert {p.state for p in incident.servers.values()} == {ServerState.PENDING}
    shows(
        37, "c1: status/failed was reset during evacuating: `nova-ha node reset c1` ends the incident", cloud.timer()
    )
