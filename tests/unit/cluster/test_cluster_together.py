"""How many fail together: one counting, and what each of its three questions leaves out."""

from __future__ import annotations

from datetime import timedelta

from kit.fakes.values import NOW, a_node, a_past, a_view, a_waiting_incident, an_incident
from nova_ha.cluster.incident import IncidentState
from nova_ha.cluster.together import before_a_claim, before_any_is_set_failed, before_the_fence
from nova_ha.cluster.view import ClusterView


def a_bad_day() -> ClusterView:
    """c1 is looked at. c2 fails, c3 was set failed, c4 is worked on, c5 waits unfenced, c6 and c7 had an incident."""
    nodes = [a_node(f"c{n}", failed=n in (1, 3, 4, 5), recovered=n in (4, 5)) for n in range(1, 11)]
    stopped = a_waiting_incident("c5", before=IncidentState.FENCING)
    closed = [a_past("c6", NOW - timedelta(minutes=59)), a_past("c7", NOW - timedelta(minutes=61))]
    return a_view(nodes, [an_incident("c4"), stopped], closed=closed)


def test_before_a_node_is_set_failed_whoever_fails_counts_from_its_first_interval() -> None:
    counted = before_any_is_set_failed(a_bad_day(), NOW, ["c2", "c3", "c6"])
    assert counted.nodes == {
        "c1": "is failed",
        "c2": "fails",
        "c3": "is failed",
        "c4": "has an open incident",
        "c5": "has an open incident",
        "c6": "had an incident",
    }


def test_before_a_claim_incidents_count_and_not_those_that_only_fail() -> None:
    assert set(before_a_claim(a_bad_day(), NOW, "c1").nodes) == {"c1", "c4", "c5", "c6"}


def test_before_the_fence_those_that_were_stopped_unfenced_take_no_part() -> None:
    counted = before_the_fence(a_bad_day(), NOW, "c1")
    assert set(counted.nodes) == {"c1", "c4", "c6"}
    assert (counted.limit, counted.most) == (2, "20%")
    assert counted.too_many_with("c1")


def test_the_limit_is_the_most_that_may() -> None:
    view = a_view([a_node(f"c{n}") for n in range(10)], closed=[a_past("c1", NOW)])
    assert not before_a_claim(view, NOW, "c2").too_many_with("c2")
    assert before_a_claim(view, NOW, "c2").too_many_with("c3")
