"""Faults 26 and 27: handlers that are called twice, late, all at once, for nothing, or not at all."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kit.clouds.observed_cloud import THRESHOLD, ObservedCloud
from kit.shown import shows
from nova_ha.cluster.incident import IncidentState
from nova_ha.cluster.schema import compute_node
from nova_ha.consul.transaction import Entry
from nova_ha.power import PowerState

COUNTS = ("internal/number_fails", "status/failed")


# Whose handlers run after an interval.
BY = {
    "not at all": [],
    "once": ["ha-1"],
    "twice": ["ha-1"] * 2,
    "by all": ["ha-1", "ha-2", "ha-3"],
    "five times": ["ha-2"] * 5,
}


def counted(cloud: ObservedCloud) -> dict[str, str | None]:
    return {f"{n}/{leaf}": cloud.store.value(compute_node(n, leaf)) for n in cloud.names for leaf in COUNTS}


def seen_at_a_call(silences: Sequence[set[str]], calls: Sequence[str], name: str) -> bool:
    """True where a handler was called when the host had been silent for the threshold, without a break."""
    ends = [number for number, how in enumerate(calls[: len(silences)], start=1) if BY[how] and number >= THRESHOLD]
    return any(all(name in silent for silent in silences[end - THRESHOLD : end]) for end in ends)


@pytest.mark.fault(26)
# Nobody was called before c2 was well again: so it is not counted beside c1 and c3, and nothing holds c1.
@example(
    silences=[{"c2"}, {"c1", "c2", "c3"}, {"c1", "c2"}, {"c1", "c3"}],
    calls=["not at all", "not at all", "not at all", "by all", *["not at all"] * 4],
)
@settings(max_examples=25, deadline=None)
@given(
    silences=st.lists(st.sets(st.sampled_from(["c1", "c2", "c3"])), min_size=1, max_size=8),
    calls=st.lists(st.sampled_from(sorted(BY)), min_size=8, max_size=8),
)
def test_calls_that_are_lost_doubled_late_or_at_once_end_in_the_same_counts(
    silences: Sequence[set[str]], calls: Sequence[str]
) -> None:
    """Against a cloud whose handler is called once after each interval; below the threshold nothing is latched.

    Calls that are lost may leave a host unlatched that was well again before the next one.
    """
    often, once = ObservedCloud(servers=0), ObservedCloud(servers=0)
    for silent, how in zip(silences, calls, strict=False):
        for cloud in (often, once):
            cloud.silent = dict.fromkeys(silent, 1)
            cloud.clock.sleep(5)
        once.count()
        for me in BY[how]:
            often.count(me)
    latched = {name for name in once.names if once.failed(name)}
    if not latched:
        often.count()
    if not latched or all(BY[how] for how in calls[: len(silences)]):
        assert counted(often) == counted(once)
    found = {name for name in often.names if often.failed(name)}
    assert found <= latched or latched - found, "it is failed, and nobody is unlatched who would have held it"
    assert all(seen_at_a_call(silences, calls, name) for name in found)


@pytest.mark.fault(26)
def test_a_hundred_calls_of_an_interval_are_one_failed_interval(cloud: ObservedCloud) -> None:
    cloud.hangs("c1")
    cloud.clock.sleep(5)
    for number in range(100):
        cloud.count(cloud.observers[number % 3])
    assert cloud.store.value(compute_node("c1", "internal/number_fails")) == "1"
    shows(26, "1 of 3 failed intervals: it is not set failed yet", cloud.says("explain", "c1"))


@pytest.mark.fault(26)
def test_calls_for_what_is_over_do_nothing(cloud: ObservedCloud) -> None:
    cloud.fails("c1")
    cloud.turns()
    cloud.assert_recovered("c1")
    before, calls = dict(cloud.store.data), list(cloud.nova.calls)
    for me in cloud.observers * 3:
        cloud.count(me)
        assert cloud.recover(me) == {}
    assert cloud.store.data == before
    assert cloud.nova.calls == calls
    assert cloud.bmcs["c1"].commands == [PowerState.ON]


@pytest.mark.fault(26)
@pytest.mark.parametrize("answer", [None, [], {}, "null", [None], [{"Node": None, "Checks": None}]])
def test_an_empty_list_of_checks_is_not_all_down(answer: object) -> None:
    """Of two hosts, so few that no storm guard would hold them."""
    cloud = ObservedCloud(compute=2)
    cloud.report = lambda without=(): cloud.store.answers.update(  # type: ignore[method-assign]
        {"/v1/health/service/nova-ha": answer, "/v1/agent/members": answer}
    )
    cloud.intervals(10)
    cloud.turns(2)
    assert not any(cloud.failed(name) for name in cloud.names)
    cloud.assert_untouched(*cloud.names)
    if answer == []:
        shows(26, "NO QUORUM 0 of 3 HA nodes observe, 2 needed", cloud.says("status"))


@pytest.mark.fault(26)
@pytest.mark.parametrize("empty", ["ha_cluster/compute_nodes/", "ha_cluster/ha_nodes/", "ha_cluster/"])
def test_an_empty_listing_of_keys_is_nothing_to_do(
    cloud: ObservedCloud, empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.hangs("c1")
    listing = type(cloud._store("ha-1")).list

    def emptied(store: object, prefix: str) -> list[Entry]:
        return [] if prefix.startswith(empty) else listing(store, prefix)  # type: ignore[arg-type]

    monkeypatch.setattr(type(cloud._store("ha-1")), "list", emptied)
    cloud.intervals(5)
    cloud.turns()
    assert not any(cloud.failed(name) for name in cloud.names)
    cloud.assert_untouched(*cloud.names)


@pytest.mark.fault(26)
def test_an_empty_list_of_novas_services_is_waited_out(cloud: ObservedCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud.fails("c1")
    monkeypatch.setattr(cloud.nova, "services", lambda about="": [])
    cloud.turns()
    cloud.assert_untouched("c1")
    monkeypatch.undo()
    cloud.turns()
    cloud.assert_recovered("c1")


@pytest.mark.fault(27)
def test_a_host_that_no_watch_tells_of_is_counted_and_recovered_by_the_timer(cloud: ObservedCloud) -> None:
    cloud.hangs("c1")
    cloud.turns(2)
    cloud.assert_recovered("c1")


@pytest.mark.fault(27)
@pytest.mark.parametrize("state", [*list(IncidentState)[:5]])
def test_an_orphan_that_no_watch_tells_of_is_found_by_the_timer(cloud: ObservedCloud, state: IncidentState) -> None:
    cloud.fails("c1")
    cloud.after_writing(f'"state":"{state.value}"'.encode(), lambda: cloud.stands_still("ha-1", 100, lambda: None))
    with pytest.raises(Exception, match="lock"):
        cloud.recover("ha-1")
    told = cloud.timer_says()
    assert told.startswith("DUE 1 due, of 4 compute nodes")
    if state is IncidentState.EVACUATING:
        shows(27, "DUE 1 due, of 4 compute nodes", told)
        shows(27, "c1: evacuating, and ha-1 has gone: to be resumed", told)
    cloud.turns()
    cloud.assert_recovered("c1")


@pytest.mark.fault(27)
def test_the_timer_finds_a_node_at_the_threshold_whose_hold_has_ended(cloud: ObservedCloud) -> None:
    cloud.says("pause", "--by", "ann", "--why", "switch is replaced")
    cloud.hangs("c1")
    cloud.turns(THRESHOLD)
    assert not cloud.failed("c1")
    cloud.store.drop("ha_cluster/paused")
    cloud.turns()
    cloud.assert_recovered("c1")
