"""Silence as a decision over readings: how long one must stand still, and who else must have been heard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.fakes.clock import FakeClock
from kit.fakes.values import NOW, an_incident
from nova_ha.cluster.policy import LONGEST_REPORT_INTERVAL_S
from nova_ha.cluster.schema import RESERVE_REASON
from nova_ha.compute import ComputeService
from nova_ha.recovery.heard_before import KEPT_BEFORE_S
from nova_ha.recovery.reports import Silence
from nova_ha.recovery.silence import (
    KEPT_S,
    MOST_NEEDS,
    RETURN_S,
    Heard,
    Others,
    StoodStill,
    cadence_s,
    needed_s,
    silence_of,
)

ANSWER_S = 0.5


def a_service(host: str, stamp: float = 0.0, **fields: Any) -> ComputeService:
    """The nova-compute of that host, last stamped at that second."""
    at = NOW + timedelta(seconds=stamp)
    return replace(ComputeService(f"id-{host}", host, True, True, False, "", at), **fields)


def heard(at: float, stamps: Mapping[str, float], **fields: Any) -> Heard:
    """A reading that was answered at that second."""
    return Heard(at - ANSWER_S, at, [a_service(host, stamp, **fields) for host, stamp in stamps.items()])


def judged(*readings: Heard, failing: tuple[str, ...] = (), report_interval_s: float = 10) -> StoodStill:
    found = silence_of(readings, "c1", failing, report_interval_s)
    assert found is not None
    return found


@pytest.mark.parametrize(("cadence", "needed"), [(1, 3), (5, 7), (10, 12), (30, 36), (120, 144)])
def test_one_must_stand_still_for_longer_than_one_late_report(cadence: float, needed: float) -> None:
    assert needed_s(cadence) == needed


# --- how long ---


def test_one_reading_says_nothing_however_old_the_stamp() -> None:
    found = judged(heard(100, {"c1": -3600, "c2": 99}))
    assert (found.others, found.missing_s, found.until_s) == (None, 12, 112)


@pytest.mark.parametrize(("later", "enough"), [(11.9, False), (12.4, False), (12.5, True), (20, True)])
def test_the_time_is_counted_from_the_first_answer_to_the_last_question(later: float, enough: bool) -> None:
    found = judged(heard(100, {"c1": 0, "c2": 0}), heard(100 + later, {"c1": 0, "c2": 9}))
    assert (found.others is not None) is enough


def test_a_stamp_that_moved_begins_the_time_anew() -> None:
    moved = [heard(100, {"c1": 0}), heard(107, {"c1": 5}), heard(115, {"c1": 5})]
    assert (judged(*moved).others, judged(*moved).missing_s) == (None, 4)
    assert judged(*moved, heard(120, {"c1": 5})).others is not None


@pytest.mark.parametrize(
    "fields", [{"enabled": False}, {"forced_down": True}, {"disabled_reason": "x"}, {"id": "another"}]
)
def test_a_change_of_its_record_begins_the_time_anew(fields: dict[str, Any]) -> None:
    for stamp in (0, 5):
        found = judged(heard(100, {"c1": 0}), heard(115, {"c1": stamp}, **fields))
        assert (found.others, found.missing_s) == (None, 12)


def test_a_reading_without_it_begins_the_time_anew() -> None:
    found = judged(heard(100, {"c1": 0}), heard(107, {"c2": 0}), heard(115, {"c1": 0}))
    assert (found.others, found.missing_s) == (None, 12)


def test_where_nova_shows_none_nothing_is_judged() -> None:
    assert silence_of([heard(100, {"c1": 0}), heard(115, {"c2": 0})], "c1", (), 10) is None
    assert silence_of([], "c1", (), 10) is None


def test_one_that_was_seen_to_report_more_slowly_must_stand_still_for_longer() -> None:
    slow = [heard(at, {"c1": 0 if at < 25 else 25, "c2": at}) for at in range(31)]
    assert cadence_s(slow, "c1", 10) == 24 - ANSWER_S
    assert cadence_s(slow, "c2", 10) == 10
    later = [*slow, heard(40, {"c1": 25, "c2": 40})]
    assert judged(*later).others is None
    assert judged(*later, heard(57, {"c1": 25, "c2": 57})).others is not None


def test_an_outage_is_no_pause_between_two_reports_and_none_is_longer_than_the_policy_may_have() -> None:
    for up, longest in ((True, 120), (False, 10)):
        readings = [heard(0, {"c1": 0}, up=up), heard(200, {"c1": 0}, up=up), heard(201, {"c1": 201})]
        assert cadence_s(readings, "c1", 10) == longest


def test_what_moves_with_another_status_shows_nothing_of_its_cadence() -> None:
    changed = [heard(0, {"c1": 0}), heard(50, {"c1": 0}), heard(51, {"c1": 51}, enabled=False)]
    assert cadence_s(changed, "c1", 10) == 10


@given(
    phase=st.floats(0, 9.9),
    began=st.floats(0, 50),
    pauses=st.lists(st.floats(0.1, 30), min_size=1, max_size=8),
    skew=st.floats(-3600, 3600),
)
def test_one_that_reports_every_ten_seconds_is_never_silent(
    phase: float, began: float, pauses: list[float], skew: float
) -> None:
    readings, at = [], began
    for pause in (0.0, *pauses):
        at += pause
        shown = (at - ANSWER_S / 2 - phase) // 10 * 10 + phase + skew
        readings.append(heard(at, {"c1": shown, "c2": at}))
        assert judged(*readings).others is None


# --- beside whom ---


def quiet(number: int, silent: int, **fields: Any) -> StoodStill:
    """c1 silent beside so many others."""
    before = {"c1": 0.0, **{f"o{n}": 0.0 for n in range(number)}}
    after = before | {f"o{n}": 9.0 for n in range(silent, number)}
    return judged(heard(100, before, **fields), heard(115, after, **fields))


@pytest.mark.parametrize(
    ("number", "silent", "too_quiet"),
    [
        *((1, 0, False), (1, 1, True), (2, 1, True), (4, 0, False), (4, 1, True), (4, 3, True)),
        *(
            (5, 1, False),
            (5, 2, True),
            (9, 1, False),
            (9, 2, True),
            (10, 2, False),
            (100, 20, False),
            (100, 21, True),
        ),
    ],
)
def test_a_fifth_of_the_others_may_be_silent_and_none_of_fewer_than_five(
    number: int, silent: int, too_quiet: bool
) -> None:
    found = quiet(number, silent)
    assert found.others == Others(number, tuple(f"o{n}" for n in range(silent)))
    assert (found.quiet is not None) is too_quiet


@pytest.mark.parametrize(
    ("fields", "counts"),
    [
        ({}, True),
        ({"enabled": False, "disabled_reason": RESERVE_REASON}, True),
        ({"enabled": False, "disabled_reason": "disks"}, False),
        ({"enabled": False, "disabled_reason": "nova-ha: c2 failed"}, False),
        ({"up": False}, False),
        ({"forced_down": True, "up": False}, False),
    ],
)
def test_others_are_those_that_nova_called_up_and_enabled_at_first(fields: dict[str, Any], counts: bool) -> None:
    c1, c2 = a_service("c1"), a_service("c2", **fields)
    found = judged(Heard(0, 0, [c1, c2]), Heard(15, 15, [c1, replace(c2, up=False)]))
    assert found.others == Others(int(counts), ("c2",) if counts else ())


def test_one_that_the_observers_see_failing_is_no_other() -> None:
    readings = heard(100, {"c1": 0, "c2": 0, "c3": 0}), heard(115, {"c1": 0, "c2": 0, "c3": 9})
    assert judged(*readings, failing=("c1", "c2")).others == Others(1, ())


@pytest.mark.parametrize(
    ("down", "well", "fields", "silent"),
    [
        (2, 2, {}, ("d0", "d1")),
        (2, 1, {}, ()),
        (1, 1, {}, ()),
        (2, 2, {"forced_down": True}, ()),
        (2, 2, {"enabled": False, "disabled_reason": "disks"}, ()),
    ],
)
def test_several_that_nova_called_down_though_their_hosts_are_well_are_silent_others(
    down: int, well: int, fields: dict[str, Any], silent: tuple[str, ...]
) -> None:
    hosts = [f"d{n}" for n in range(down)]
    unheard = [a_service(host, up=False, **fields) for host in hosts]
    first = Heard(0, 0, [a_service("c1"), a_service("c2"), *unheard])
    last = Heard(15, 15, [a_service("c1"), a_service("c2", 9), *unheard])
    found = silence_of([first, last], "c1", (), 10, hosts[:well])
    assert found is not None
    assert found.others == Others(1 + len(silent), silent)


def test_those_that_nova_called_down_and_that_have_reported_since_are_not_silent() -> None:
    down = [a_service(f"d{n}", up=False) for n in range(3)]
    back = [a_service(f"d{n}", 9) for n in range(3)]
    readings = Heard(0, 0, [a_service("c1"), a_service("c2"), *down]), Heard(15, 15, [a_service("c1"), *back])
    found = silence_of(readings, "c1", (), 10, ("d0", "d1", "d2"))
    assert found is not None
    assert found.others == Others(1, ("c2",))


# --- what fell silent long before, and what comes back


def watched(until: int, back: Mapping[str, int], dead_at: int = 100, every: int = 1) -> list[Heard]:
    """Readings from 0 on. Who is in `back` was down from the start, and reports again from that second on."""

    def service(host: str, at: int) -> ComputeService:
        end = min(at, dead_at) if host == "c1" else at
        since = back.get(host, -1000)
        stamp = end // 10 * 10 if end >= since else -600
        return a_service(host, stamp, up=at - stamp <= 60)

    hosts = ["c1", "c2", "c3", "d0", "d1", "d2", "d3", "d4", "d5"]
    return [Heard(at, at, [service(host, at) for host in hosts]) for at in range(0, until, every)]


NEVER = 10_000
TWO_DOWN = {"d4": NEVER, "d5": NEVER}


def silence_beside(readings: list[Heard]) -> StoodStill:
    found = silence_of(readings, "c1", ("c1",), 10, ("c2", "c3", "d0", "d1", "d2", "d3", "d4", "d5"))
    assert found is not None
    return found


@pytest.mark.fault(43)
@pytest.mark.parametrize("dead_at", [0, 100])
@pytest.mark.parametrize("until", [120, 200])
def test_two_that_are_down_while_it_reported_may_be_so_for_the_reason_that_keeps_its_reports(
    until: int, dead_at: int
) -> None:
    """An outage may reach one part of the cloud long before another: disable what is stopped on purpose."""
    seen = [reading for reading in watched(until, TWO_DOWN, dead_at=dead_at) if reading.asked_s > 40]
    assert silence_beside(seen).quiet == Others(8, ("d4", "d5"))


BUS = {"c2": 100, "c3": 104, "d0": 108, "d1": 112, "d2": 116, "d3": 120, "d4": 124, "d5": 128}


@pytest.mark.fault(43)
def test_after_an_outage_of_the_bus_one_that_is_back_last_is_not_called_silent_meanwhile() -> None:
    """All were down for long; they are back one by one, and c1 would be some seconds after the last."""
    for until in range(102, 128 + 100):
        found = silence_beside(watched(until, BUS, dead_at=-600))
        assert found.others is None or found.quiet is not None, until
    found = silence_beside(watched(128 + 115, BUS, dead_at=-600))
    assert found.quiet is None, "by then it is"


@pytest.mark.fault(43)
@pytest.mark.parametrize("every", [1, 14])
def test_so_it_is_after_an_outage_that_was_too_short_for_nova_to_call_anybody_down(every: int) -> None:
    def paused(reading: Heard) -> Heard:
        """Nobody is heard from the tenth second to the fiftieth, and c1 never again."""
        at = reading.asked_s
        stamps = {"c1": 0.0, **dict.fromkeys(("c2", "c3", "d0", "d1"), 0.0 if at < 50 else at // 10 * 10)}
        return Heard(at, at, [a_service(host, stamp) for host, stamp in stamps.items()])

    readings = [paused(reading) for reading in watched(70, {}, every=every)]
    found = silence_of(readings, "c1", ("c1",), 10, ("c2", "c3", "d0", "d1"))
    assert found is not None
    assert found.others is not None
    assert (found.others.silent, len(found.others.late)) == ((), 4)
    assert found.quiet is not None


def test_a_single_one_that_was_restarted_beside_many_delays_nothing() -> None:
    assert silence_beside(watched(115, {"d0": 103})).quiet is None


@pytest.mark.fault(43)
def test_others_that_report_more_seldom_than_the_policy_says_are_not_late_for_ever() -> None:
    def at(second: int) -> Heard:
        stamps = {"c1": 0.0, **{host: (second + n) // 15 * 15.0 for n, host in enumerate(("c2", "c3", "d0", "d1"))}}
        return Heard(second, second, [a_service(host, stamp) for host, stamp in stamps.items()])

    for until in range(60, 200):
        found = silence_of([at(second) for second in range(until)], "c1", ("c1",), 10, ("c2", "c3", "d0", "d1"))
        assert found is not None
        assert found.others is None or found.quiet is None or found.quiet.too_quiet, until


@pytest.mark.fault(43)
@pytest.mark.parametrize(("every_s", "wrong"), [(10, False), (15, True), (30, True)])
def test_where_the_others_report_more_seldom_than_the_policy_says_no_silence_is_one(
    every_s: int, wrong: bool
) -> None:
    """Deployed together they all report within some seconds, so all have reported over most windows of 12 s."""

    def at(second: int) -> Heard:
        others = {
            host: (second - n) // every_s * every_s + n for n, host in enumerate(("c2", "c3", "c4", "c5", "c6"))
        }
        return Heard(second, second + ANSWER_S, [a_service("c1"), *(a_service(h, s) for h, s in others.items())])

    for began in range(31, 62):
        found = silence_of([at(second) for second in range(began, began + 14)], "c1", ("c1",), 10)
        assert found is not None
        assert found.others is not None
        assert bool(found.quiet and found.quiet.too_quiet) is wrong, began


@pytest.mark.fault(43)
def test_of_readings_that_are_far_apart_nothing_is_told_of_how_often_the_others_report() -> None:
    """Two reports may lie between."""
    far = [heard(at, {"c1": 0, **dict.fromkeys(("c2", "c3"), at // 10 * 10)}) for at in (100, 121)]
    assert judged(*far).quiet is None


@pytest.mark.parametrize(("back", "delays"), [(("c2",), False), (("c2", "c3"), True)])
def test_in_a_small_cloud_one_that_is_back_delays_nothing_and_two_do(back: tuple[str, ...], delays: bool) -> None:
    def at(second: int) -> Heard:
        stamps = {"c1": 0.0, **dict.fromkeys(("c2", "c3", "d0"), second // 10 * 10.0)}
        if second < 50:
            stamps |= dict.fromkeys(back, 0.0)
        return Heard(second, second, [a_service(host, stamp) for host, stamp in stamps.items()])

    found = silence_of([at(second) for second in range(71)], "c1", ("c1",), 10, ("c2", "c3", "d0"))
    assert found is not None
    assert (found.quiet is not None) is delays


@pytest.mark.parametrize("after", [{"c1": 0}, {"c1": 0, "c2": 0}])
def test_another_that_is_gone_has_not_been_heard(after: dict[str, float]) -> None:
    assert judged(heard(100, {"c1": 0, "c2": 0}), heard(115, after)).others == Others(1, ("c2",))


def test_a_change_of_anothers_record_is_no_report_of_it() -> None:
    c1, c2 = a_service("c1"), a_service("c2")
    changed = a_service("c2", 9, disabled_reason="x", enabled=False)
    assert judged(Heard(0, 0, [c1, c2]), Heard(15, 15, [c1, changed])).others == Others(1, ("c2",))


def test_others_are_judged_over_the_latest_time_that_is_long_enough() -> None:
    """They were heard long ago, and not since."""
    readings = [heard(100, {"c1": 0, "c2": 0}), heard(120, {"c1": 0, "c2": 9}), heard(140, {"c1": 0, "c2": 9})]
    assert judged(*readings).others == Others(1, ("c2",))


def test_its_own_zone_must_have_been_heard_too() -> None:
    def zoned(at: float, stamps: dict[str, float]) -> Heard:
        services = [a_service(host, stamp, zone=host[0]) for host, stamp in stamps.items()]
        return Heard(at, at, services)

    here, there = {"a1": 0.0, "a2": 0.0}, {f"b{n}": 0.0 for n in range(8)}
    first = zoned(0, {**here, **there})
    silent = silence_of([first, zoned(15, {**here, **dict.fromkeys(there, 9.0)})], "a1", (), 10)
    assert silent is not None
    assert silent.others == Others(9, ("a2",))
    assert silent.quiet == Others(1, ("a2",), "a")
    alone = silence_of([first, zoned(15, {**here, **dict.fromkeys(there, 9.0)})], "a1", ("a2",), 10)
    assert alone is not None
    assert alone.in_zone == Others(0, (), "a")
    assert alone.quiet is None, "a zone that failed as a whole does not hold itself"


# --- after the fence ---


@pytest.mark.parametrize(("report_interval", "ends_s"), [(10, 60), (100, 120)])
def test_a_fenced_host_whose_stamp_moved_once_is_watched_for_longer_than_its_reports_are_apart(
    report_interval: int, ends_s: float
) -> None:
    clock, noted = FakeClock(), []
    driver: Any = SimpleNamespace(
        node=SimpleNamespace(name="c1"),
        clients=SimpleNamespace(clock=clock),
        incident=an_incident("c1", service_seen=NOW),
        report_interval_s=lambda: report_interval,
        note=lambda line, incident: noted.append(line),
    )
    watch = Silence(driver)
    assert watch.kept(a_service("c1"))
    assert not watch.kept(a_service("c1", 5))
    clock.advance(ends_s - 1)
    assert not watch.kept(a_service("c1", 5))
    clock.advance(1)
    assert watch.kept(a_service("c1", 5))
    assert noted == [f"Nova's stamp of its service has moved once, and not again for {ends_s:g} s: no report"]


@pytest.mark.fault(43)
def test_what_is_remembered_is_enough_for_the_longest_interval_that_a_host_may_have() -> None:
    longest_s = needed_s(LONGEST_REPORT_INTERVAL_S)
    assert MOST_NEEDS * longest_s <= KEPT_S
    assert RETURN_S + longest_s <= KEPT_BEFORE_S, "who came back after an outage is late for so long"
