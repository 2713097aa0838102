"""How many fail together: one counting, and what each of its three questions leaves out."""

from __future__ import annotations

from datetime import timedelta

import pytest
from kit.fakes.values import NOW, a_node, a_past, a_view, a_waiting_incident, an_incident
from nova_ha.cluster.incident import IncidentState
from nova_ha.cluster.together import FailingNow, before_a_claim, before_any_is_set_failed, before_the_fence
from nova_ha.cluster.view import ClusterView

FAILING = "c2 c3 c6"
EIGHT = a_view([a_node(f"c{n}") for n in range(1, 9)])


def failing(names: str, silent: str = "", hanging: str = "") -> FailingNow:
    return FailingNow(*(frozenset(some.split()) for some in (names, silent, hanging)))


def a_bad_day() -> ClusterView:
    """c1 is looked at. c2 fails, c3 was set failed, c4 is worked on, c5 waits unfenced, c6 and c7 had an incident."""
    nodes = [a_node(f"c{n}", failed=n in (1, 3, 4, 5), recovered=n in (4, 5)) for n in range(1, 11)]
    stopped = a_waiting_incident("c5", before=IncidentState.FENCING)
    closed = [a_past("c6", NOW - timedelta(minutes=59)), a_past("c7", NOW - timedelta(minutes=61))]
    return a_view(nodes, [an_incident("c4"), stopped], closed=closed)


def test_before_a_node_is_set_failed_whoever_fails_counts_from_its_first_interval() -> None:
    counted = before_any_is_set_failed(a_bad_day(), NOW, failing(FAILING, silent=FAILING))
    assert counted.against("c2") == {
        "c1": "is failed",
        "c2": "is silent",
        "c3": "is failed",
        "c4": "has an open incident",
        "c5": "has an open incident",
        "c6": "had an incident",
    }


def test_hosts_that_hang_hold_none_that_is_silent() -> None:
    counted = before_any_is_set_failed(EIGHT, NOW, failing("c1 c2 c3 c4", silent="c1", hanging="c2 c3 c4"))
    assert (counted.limit, counted.too_many_with("c1"), counted.too_many_with("c2")) == (2, False, True)
    assert counted.words("c1") == "1 compute nodes count, at most 2 may: c1 is silent"
    assert counted.words("c4") == "4 compute nodes count, at most 2 may: c1 is silent, c2 hangs, c3 hangs, c4 hangs"
    assert set(counted.against("c9")) == {"c1", "c2", "c3", "c4"}


@pytest.mark.fault(62)
def test_of_a_network_that_comes_back_no_host_is_let_through_because_it_hangs_by_then() -> None:
    counted = before_any_is_set_failed(EIGHT, NOW, failing("c1 c2 c3", silent="c2 c3", hanging="c1"))
    assert counted.too_many_with("c1")


@pytest.mark.fault(62)
def test_one_of_which_the_observers_do_not_agree_how_it_fails_counts_against_all_and_all_against_it() -> None:
    counted = before_any_is_set_failed(EIGHT, NOW, failing("c1 c2 c3", silent="c2", hanging="c3"))
    assert set(counted.against("c1")) == {"c1", "c2", "c3"}
    assert set(counted.against("c2")) == {"c1", "c2"}


def test_whoever_is_set_failed_counts_against_all() -> None:
    nothing = before_any_is_set_failed(EIGHT, NOW, failing("c2 c3", hanging="c2 c3"))
    counted = nothing.and_failed("c1")
    assert (nothing.too_many_with("c2"), counted.too_many_with("c2")) == (False, True)
    assert counted.against("c2") == {"c1": "is failed", "c2": "hangs", "c3": "hangs"}


def test_before_a_claim_incidents_count_and_not_those_that_were_only_set_failed() -> None:
    assert set(before_a_claim(a_bad_day(), NOW, "c1").nodes) == {"c1", "c4", "c5", "c6"}


@pytest.mark.fault(21)
def test_before_a_claim_and_before_the_fence_those_that_fail_now_count_as_for_the_monitor() -> None:
    now = failing("c1 c8 c9", silent="c1 c8", hanging="c9")
    for before in (before_a_claim, before_the_fence):
        counted = before(a_bad_day(), NOW, "c1", failing=now)
        assert set(counted.against("c1")) == {*before(a_bad_day(), NOW, "c1").nodes, "c8"}


def test_before_the_fence_those_that_were_stopped_unfenced_take_no_part() -> None:
    counted = before_the_fence(a_bad_day(), NOW, "c1")
    assert set(counted.nodes) == {"c1", "c4", "c6"}
    assert (counted.limit, counted.most) == (2, "20%")
    assert counted.too_many_with("c1")


def test_the_limit_is_the_most_that_may() -> None:
    view = a_view([a_node(f"c{n}") for n in range(10)], closed=[a_past("c1", NOW)])
    assert not before_a_claim(view, NOW, "c2").too_many_with("c2")
    assert before_a_claim(view, NOW, "c2").too_many_with("c3")
