"""The monitor's decision, as tables: what is counted, what flips, and which gate holds."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.fakes.observers import some_votes
from kit.fakes.values import NOW, a_maintenance, a_node, a_past, a_view, an_approval, an_incident
from nova_ha.cluster.gate import APPROVABLE, Gate
from nova_ha.cluster.node import ComputeNode, Pause
from nova_ha.cluster.policy import Policy, Quorum, Share
from nova_ha.cluster.view import ClusterView
from nova_ha.cluster.witness import Life, Testimony
from nova_ha.consul.values import Problem
from nova_ha.monitor.assess import assess
from nova_ha.monitor.gates import gates
from nova_ha.monitor.look import Look, decide
from nova_ha.monitor.verdict import Count, Flip, Hold, Keep, Verdict
from nova_ha.probe.votes import Votes

AGREED = some_votes({"c1": [3, 3, 3]})


def decided(node: ComputeNode | None = None, votes: Votes = AGREED, **fields: object) -> Verdict:
    return assess(a_view([node or a_node()], **fields), votes, "c1", NOW)  # type: ignore[arg-type]


def closed_gates(verdict: Verdict) -> list[Gate]:
    return [] if isinstance(verdict, Flip) else [refusal.gate for refusal in verdict.closed]


@pytest.mark.fault(3)
@pytest.mark.fault(4)
@pytest.mark.parametrize(
    ("streaks", "expected"),
    [
        ([0, 0, 0], Count(0)),
        ([3, 0, 0], Count(0)),
        ([3, 1, 0], Count(1)),
        ([3, 2, 2], Count(2)),
        ([3, 3, 0], Flip(3)),
        ([3, 3, 3], Flip(3)),
        ([3, 3, None], Flip(3)),
        ([3, 2, None], Count(2)),
        ([3, 0, None], Count(0)),
    ],
)
def test_number_fails_is_the_streak_that_a_quorum_agrees_on(streaks: list[int | None], expected: Verdict) -> None:
    assert decided(votes=some_votes({"c1": streaks})) == expected


@pytest.mark.fault(4)
@pytest.mark.parametrize("streaks", [[3, None, None], [None, None, None], [0, None, None]])
def test_with_fewer_votes_than_the_quorum_nothing_changes(streaks: list[int | None]) -> None:
    verdict = decided(a_node(number_fails=2), some_votes({"c1": streaks}))
    assert isinstance(verdict, Keep)
    assert closed_gates(verdict) == [Gate.NO_QUORUM]


@pytest.mark.fault(4)
def test_an_observer_without_data_stays_in_the_electorate() -> None:
    two_left = Votes({**some_votes({"c1": [3]}).reports})
    verdict = assess(a_view([a_node()], ha=("ha-1", "ha-2", "ha-3")), two_left, "c1", NOW)
    assert closed_gates(verdict) == [Gate.NO_QUORUM]


@pytest.mark.parametrize(
    ("observers", "agreeing", "flips"), [(1, 1, True), (2, 1, False), (2, 2, True), (5, 2, False), (5, 3, True)]
)
def test_the_quorum_is_a_majority_of_the_registered_ha_nodes(observers: int, agreeing: int, flips: bool) -> None:
    names = [f"ha-{number + 1}" for number in range(observers)]
    votes = some_votes({"c1": [3] * agreeing + [0] * (observers - agreeing)})
    verdict = assess(a_view([a_node()], ha=names), votes, "c1", NOW)
    assert isinstance(verdict, Flip) is flips


@pytest.mark.parametrize(
    ("number_fails", "streaks", "verdict"),
    [
        (3, [3, 3, 3], Keep()),
        # An observer that began anew has not seen it well.
        (3, [3, 1, 0], Keep()),
        (3, [3, 0, 0], Count(0)),
        (0, [2, 1, 0], Count(1)),
        (2, [3, 3, 3], Count(3)),
        (3, [None, None, 0], Keep()),
    ],
)
def test_a_failed_node_is_counted_again_once_a_quorum_has_seen_it_well(
    number_fails: int, streaks: list[int | None], verdict: Keep | Count
) -> None:
    node = a_node(failed=True, number_fails=number_fails)
    assert decided(node, some_votes({"c1": streaks})) == verdict


@pytest.mark.fault(57)
def test_a_failed_node_in_a_maintenance_was_not_seen_well() -> None:
    node = a_node(failed=True, number_fails=3, maintenance=a_maintenance())
    assert decided(node, some_votes({"c1": [3, 3, 3]})) == Keep()


@pytest.mark.fault(37)
def test_a_pause_holds_the_node_at_the_threshold() -> None:
    verdict = decided(pause=Pause("ann", "upgrade", ""), pause_index=9)
    assert isinstance(verdict, Hold)
    assert verdict.number == 3
    assert closed_gates(verdict) == [Gate.PAUSED]


def test_a_pause_that_cannot_be_read_is_a_pause() -> None:
    assert closed_gates(decided(pause_index=9)) == [Gate.PAUSED]


@pytest.mark.fault(24)
def test_a_node_in_maintenance_is_not_counted() -> None:
    verdict = decided(a_node(maintenance=a_maintenance(), number_fails=2))
    assert isinstance(verdict, Count)
    assert verdict.number == 0
    assert closed_gates(verdict) == [Gate.MAINTENANCE]


@pytest.mark.parametrize(("ended_before_s", "number"), [(0, 1), (4.9, 1), (5, 2), (9.9, 2), (10, 3), (3600, 3)])
def test_after_a_maintenance_counting_starts_at_one(ended_before_s: float, number: int) -> None:
    verdict = decided(a_node(maintenance=a_maintenance(ends_in_s=-ended_before_s)))
    assert verdict == (Flip(3) if number == 3 else Count(number))


def test_after_a_maintenance_a_node_that_is_well_is_not_counted() -> None:
    verdict = decided(a_node(maintenance=a_maintenance(ends_in_s=-60)), some_votes({"c1": [0, 0, 3]}))
    assert verdict == Count(0)


@pytest.mark.fault(24)
def test_a_node_whose_own_agent_has_left_is_held() -> None:
    assert closed_gates(decided(votes=some_votes({"c1": [3, 3, 3]}, left=["c1"]))) == [Gate.LEFT]


@pytest.mark.fault(28)
def test_a_node_with_a_bad_key_is_kept_out_and_the_key_is_named() -> None:
    bad = Problem("ha_cluster/compute_nodes/c1/internal/number_fails", "is 'x', expected a whole number")
    verdict = decided(problems={"c1": (bad,)})
    assert isinstance(verdict, Keep)
    assert [(c.gate, c.why) for c in verdict.closed] == [(Gate.UNREADABLE, str(bad))]


def test_a_bad_failed_flag_is_not_taken_for_a_failed_node() -> None:
    bad = Problem("ha_cluster/compute_nodes/c1/status/recovered", "is 'x'")
    assert closed_gates(decided(a_node(failed=True), problems={"c1": (bad,)})) == [Gate.UNREADABLE]


@pytest.mark.fault(28)
def test_an_incident_that_cannot_be_read_keeps_the_node_out() -> None:
    assert closed_gates(decided(unreadable=["c1"])) == [Gate.UNREADABLE]


def test_a_bad_policy_keeps_all_nodes_out() -> None:
    bad = Problem("ha_cluster/config/monitor/quorum", "is 9, but only 3 HA nodes are registered")
    verdict = decided(policy_problems=(bad,))
    assert isinstance(verdict, Keep)
    assert closed_gates(verdict) == [Gate.POLICY]


def test_a_bad_policy_also_stops_counting_down() -> None:
    bad = Problem("ha_cluster/config/monitor/quorum", "is 9, but only 3 HA nodes are registered")
    verdict = decided(a_node(number_fails=2), some_votes({"c1": [0, 0, 0]}), policy_problems=(bad,))
    assert closed_gates(verdict) == [Gate.POLICY]


def test_a_withdrawn_incident_is_not_started_again_by_the_monitor() -> None:
    verdict = assess(a_view([a_node()], [an_incident()]), AGREED, "c1", NOW)
    assert closed_gates(verdict) == [Gate.WITHDRAWN]


def test_a_lower_quorum_of_the_policy_is_used() -> None:
    policy = Policy(monitor_quorum=Quorum(1, forced=True))
    assert decided(votes=some_votes({"c1": [3, 0, 0]}), policy=policy) == Flip(3)


def test_the_threshold_is_the_policys() -> None:
    assert decided(policy=Policy(monitor_fail_threshold=4)) == Count(3)
    assert decided(policy=Policy(monitor_fail_threshold=2)) == Flip(3)


# --- approvals ---

HELD = {
    Gate.MAX_FAILED: {"policy": Policy(monitor_max_failed=Share(2, percent=False))},
    Gate.LEFT: {},
    Gate.MAINTENANCE: {},
    Gate.PAUSED: {"pause_index": 9},
}


def held_by(gate: Gate, **node: object) -> tuple[ClusterView, Votes]:
    """A view in which only this gate is closed for c1."""
    kept = a_maintenance() if gate is Gate.MAINTENANCE else None
    nodes = [a_node(maintenance=kept, **node)]
    streaks = {"c1": [3, 3, 3]}
    if gate is Gate.MAX_FAILED:
        nodes += [a_node("c2"), a_node("c3")]
        streaks |= {"c2": [1, 1, 0], "c3": [1, 1, 0]}
    votes = some_votes(streaks, left=["c1"] if gate is Gate.LEFT else [])
    return a_view(nodes, **HELD[gate]), votes


@pytest.mark.parametrize("gate", HELD)
def test_a_closed_gate_is_the_only_one_that_is_closed(gate: Gate) -> None:
    view, votes = held_by(gate)
    assert closed_gates(assess(view, votes, "c1", NOW)) == [gate]


@pytest.mark.parametrize("gate", HELD)
def test_an_approval_lets_the_gate_pass_that_it_names_if_that_can_be_approved(gate: Gate) -> None:
    view, votes = held_by(gate, approval=an_approval(*Gate))
    verdict = assess(view, votes, "c1", NOW)
    if gate in APPROVABLE:
        assert isinstance(verdict, Flip)
        assert [reading.gate for reading in verdict.approved] == [gate]
        assert "ann lets it pass" in verdict.approved[0].evidence
    else:
        assert closed_gates(verdict) == [gate]


@pytest.mark.parametrize("gate", HELD)
def test_an_approval_of_other_gates_or_one_that_has_expired_lets_nothing_pass(gate: Gate) -> None:
    others = [other for other in Gate if other is not gate]
    for approval in (an_approval(*others), an_approval(gate, ends_in_s=0), an_approval()):
        view, votes = held_by(gate, approval=approval)
        assert closed_gates(assess(view, votes, "c1", NOW)) == [gate]


# --- the storm guard ---

LIMIT_2 = Policy(monitor_max_failed=Share(2, percent=False))
WELL, FAILS, BEGINS = [0, 0, 0], [3, 3, 3], [1, 1, 0]


@pytest.mark.fault(21)
@pytest.mark.parametrize(
    ("streaks", "flips"),
    [
        ({"c2": WELL, "c3": WELL}, True),
        ({"c2": FAILS, "c3": WELL}, True),
        ({"c2": BEGINS, "c3": WELL}, True),
        ({"c2": FAILS, "c3": FAILS}, False),
        ({"c2": BEGINS, "c3": BEGINS}, False),
        ({"c2": FAILS, "c3": [3, 0, 0]}, True),
        ({"c2": FAILS, "c3": [None, None, None]}, True),
    ],
)
def test_too_many_nodes_failing_together_hold_each_other(streaks: dict[str, list[int | None]], flips: bool) -> None:
    view = a_view([a_node(), a_node("c2"), a_node("c3")], policy=LIMIT_2)
    verdict = assess(view, some_votes({"c1": FAILS, **streaks}), "c1", NOW)
    assert closed_gates(verdict) == ([] if flips else [Gate.MAX_FAILED])


@pytest.mark.fault(21)
@pytest.mark.parametrize(
    ("silent", "hanging", "flips"),
    [
        ("c1", "c2 c3 c4", "c1"),
        ("c1 c2 c3", "c4", ""),
        ("c1 c2", "c3 c4", "c1 c2"),
        ("c3", "c1", "c1 c3"),
        ("c4", "c1 c2", "c4"),
        ("c1 c2 c3", "c4 c5 c6", ""),
    ],
)
def test_silent_nodes_hold_all_hanging_ones_each_other_and_those_set_failed_all(
    silent: str, hanging: str, flips: str
) -> None:
    names = [f"c{n}" for n in range(1, 7)]
    failing = {*silent.split(), *hanging.split()}
    votes = some_votes({name: FAILS if name in failing else WELL for name in names}, hanging=hanging.split())
    verdicts = decide(Look(0, a_view([a_node(name) for name in names], policy=LIMIT_2), votes, NOW))
    assert " ".join(name for name, verdict in verdicts.items() if isinstance(verdict, Flip)) == flips
    held = failing - set(flips.split())
    assert all(closed_gates(verdicts[name]) == [Gate.MAX_FAILED] for name in held)


@pytest.mark.fault(21)
def test_one_that_an_operator_lets_fail_though_its_agent_has_left_counts_from_then_on() -> None:
    nodes = [a_node(approval=an_approval(Gate.LEFT, Gate.MAX_FAILED)), a_node("c2"), a_node("c3")]
    votes = some_votes(dict.fromkeys(("c1", "c2", "c3"), FAILS), left=["c1"])
    verdicts = decide(Look(0, a_view(nodes, policy=LIMIT_2), votes, NOW))
    assert isinstance(verdicts["c1"], Flip)
    assert [closed_gates(verdicts[name]) for name in ("c2", "c3")] == [[Gate.MAX_FAILED]] * 2


@pytest.mark.fault(62)
def test_a_witness_that_holds_one_makes_no_room_for_another() -> None:
    view = a_view([a_node(), a_node("c2"), a_node("c3")], policy=LIMIT_2)
    alive = {name: Testimony(Life.ALIVE, 1, NOW) for name in ("c2", "c3")}
    told = {name: replace(ha, testimonies=alive) for name, ha in view.ha_nodes.items()}
    votes = some_votes(dict.fromkeys(("c1", "c2", "c3"), FAILS))
    verdicts = decide(Look(0, replace(view, ha_nodes=told), votes, NOW))
    assert [closed_gates(verdicts[name]) for name in ("c1", "c2")] == [
        [Gate.MAX_FAILED],
        [Gate.NOVA_REPORTS, Gate.MAX_FAILED],
    ]


@pytest.mark.parametrize(
    "others",
    [
        {"nodes": [a_node("c2", failed=True), a_node("c3", failed=True)]},
        {
            "nodes": [a_node("c2", failed=True, recovered=True), a_node("c3", failed=True)],
            "incidents": [an_incident("c2")],
        },
        {
            "nodes": [a_node("c2", failed=True), a_node("c3")],
            "closed": (a_past("c3", NOW - timedelta(seconds=3599)),),
        },
        {"nodes": [a_node("c2", failed=True)], "incidents": [an_incident("c9")]},
        {"nodes": [a_node("c2", failed=True)], "unreadable": ["c9"]},
        {"nodes": [a_node("c2", failed=True)], "closed": (a_past("removed", NOW),)},
        {"nodes": [a_node("c2", failed=True), a_node("c3", failed=True, maintenance=a_maintenance())]},
    ],
)
def test_flipped_recovering_and_recently_recovered_nodes_count_though_they_do_not_fail_now(others: dict) -> None:  # type: ignore[type-arg]
    nodes = [a_node(), *others.pop("nodes")]
    verdict = assess(a_view(nodes, policy=LIMIT_2, **others), some_votes({"c1": FAILS}), "c1", NOW)
    assert closed_gates(verdict) == [Gate.MAX_FAILED]


@pytest.mark.parametrize(
    "others",
    [
        {"closed": (a_past("c2", NOW - timedelta(seconds=3601)), a_past("c3", NOW))},
        {"closed": (a_past("c3", NOW), a_past("c3", NOW - timedelta(seconds=60)))},
        {"closed": (a_past("c1", NOW), a_past("c3", NOW))},
    ],
)
def test_an_incident_counts_for_the_window_and_a_node_counts_once(others: dict) -> None:  # type: ignore[type-arg]
    nodes = [a_node(), a_node("c2", failed=True, recovered=True), a_node("c3", failed=True, recovered=True)]
    verdict = assess(a_view(nodes, policy=LIMIT_2, **others), some_votes({"c1": FAILS}), "c1", NOW)
    assert verdict == Flip(3)


def test_hosts_that_are_planned_to_be_down_do_not_hold_the_others() -> None:
    nodes = [a_node(), *(a_node(name, maintenance=a_maintenance()) for name in ("c2", "c3")), a_node("c4")]
    votes = some_votes(dict.fromkeys(("c1", "c2", "c3", "c4"), FAILS), left=["c4"])
    assert assess(a_view(nodes, policy=LIMIT_2), votes, "c1", NOW) == Flip(3)


def test_a_fifth_of_the_nodes_may_fail_by_default_and_always_two() -> None:
    for total, failing, flips in [(3, 2, True), (3, 3, False), (20, 4, True), (20, 5, False)]:
        names = [f"c{number + 1}" for number in range(total)]
        streaks = {name: FAILS if number < failing else WELL for number, name in enumerate(names)}
        verdict = assess(a_view([a_node(name) for name in names]), some_votes(streaks), "c1", NOW)
        assert isinstance(verdict, Flip) is flips, (total, failing)


# --- explain ---


def test_every_gate_is_explained_open_or_closed_with_its_evidence() -> None:
    view, votes = held_by(Gate.MAX_FAILED)
    readings = gates(view, votes, "c1", NOW)
    assert [r.gate for r in readings if not r.open] == [Gate.MAX_FAILED]
    assert {r.gate for r in readings} >= {
        Gate.PAUSED,
        Gate.MAINTENANCE,
        Gate.NO_QUORUM,
        Gate.LEFT,
        Gate.MAX_FAILED,
        Gate.UNREADABLE,
        Gate.POLICY,
    }
    words = {reading.gate: reading.evidence for reading in readings}
    assert all(evidence and "\n" not in evidence for evidence in words.values())
    assert "ha-1 3x timed out" in words[Gate.NO_QUORUM]
    assert words[Gate.MAX_FAILED] == "3 compute nodes count, at most 2 may: c1 is silent, c2 is silent, c3 is silent"


# --- properties ---

STREAK = st.one_of(st.none(), st.integers(0, 4))
NODES = [f"c{number}" for number in range(6)]


@given(
    streaks=st.fixed_dictionaries({name: st.lists(STREAK, min_size=3, max_size=3) for name in NODES}),
    failed=st.sets(st.sampled_from(NODES)),
    hanging=st.sets(st.sampled_from(NODES)),
    approved=st.sets(st.sampled_from(NODES)),
    threshold=st.integers(2, 4),
    limit=st.integers(2, 6),
)
def test_a_flip_needs_a_quorum_and_its_place_in_the_storm_limit(
    streaks: dict[str, list[int | None]],
    failed: set[str],
    hanging: set[str],
    approved: set[str],
    threshold: int,
    limit: int,
) -> None:
    policy = Policy(monitor_fail_threshold=threshold, monitor_max_failed=Share(limit, percent=False))
    nodes = [
        a_node(name, failed=name in failed, approval=an_approval(Gate.MAX_FAILED) if name in approved else None)
        for name in NODES
    ]
    view, votes = a_view(nodes, policy=policy), some_votes(streaks, hanging=hanging)
    verdicts = decide(Look(0, view, votes, NOW))
    flips = {name for name in NODES if isinstance(verdicts[name], Flip)}
    fail_now = {name for name in NODES if sum(1 for s in streaks[name] if s) >= 2} - failed
    for name in flips:
        assert name not in failed
        assert sum(1 for streak in streaks[name] if streak and streak >= threshold) >= 2
    for some, others in ((hanging, set(NODES) - hanging), (set(NODES) - hanging, hanging)):
        if flips & some - approved:
            assert len(failed | fail_now & some) <= limit
            assert len(failed | flips & some) <= limit
            assert flips & others <= approved or len(failed | flips) <= limit


@pytest.mark.fault(5)
@given(st.permutations([3, 2, 0, None, 1]))
def test_who_saw_what_does_not_matter_for_the_count(streaks: list[int | None]) -> None:
    view = a_view([a_node()], ha=[f"ha-{number + 1}" for number in range(5)])
    assert assess(view, some_votes({"c1": streaks}), "c1", NOW) == Count(1)
