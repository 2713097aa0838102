"""What a rehearsal tells of a node, from one look to the next, and the times by step."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from kit.fakes.values import NOW, a_node, a_waiting_incident, an_incident
from nova_ha.cluster.gate import Closed, Gate
from nova_ha.cluster.incident import IncidentState, ServerProgress, Step
from nova_ha.probe.votes import NodeVotes
from nova_ha.sandbox.rehearsal import outcome
from nova_ha.sandbox.snapshot import Kind, Snapshot, TimelineEvent, events
from nova_ha.sandbox.timeline import timeline

VOTES = NodeVotes({"ha-1": 1, "ha-2": 0}, {"ha-1": "timed out"})


def after(seconds: float) -> Any:
    return NOW + timedelta(seconds=seconds)


def a_snapshot(**fields: Any) -> Snapshot:
    values: dict[str, Any] = {"at": NOW, "node": a_node(), "votes": VOTES, "threshold": 3, **fields}
    return Snapshot(**values)


def told(before: Snapshot, now: Snapshot) -> list[tuple[Kind, str]]:
    return [(event.kind, event.words) for event in events(before, now)]


def test_nothing_new_tells_nothing() -> None:
    same = a_snapshot(incident=an_incident(steps=(Step(NOW, IncidentState.FENCING, "ha-1", "sent"),)))
    assert told(same, same) == []


def test_a_failed_interval_is_told_with_its_observers() -> None:
    now = a_snapshot(node=a_node(number_fails=2))
    assert told(a_snapshot(), now) == [(Kind.INTERVAL, "failed interval 2 of 3: ha-1 1x timed out, ha-2 well")]


def test_a_count_that_falls_is_no_failed_interval() -> None:
    assert told(a_snapshot(node=a_node(number_fails=2)), a_snapshot()) == []


def test_the_flip_is_told_once() -> None:
    flipped = a_snapshot(node=a_node(failed=True))
    assert told(a_snapshot(), flipped) == [(Kind.FAILED, "status/failed is True")]
    assert told(flipped, flipped) == []


def test_only_new_steps_are_told_with_the_time_at_which_they_happened() -> None:
    first, second = (
        Step(after(1), IncidentState.CLAIMED, "ha-1", "claimed"),
        Step(after(2), IncidentState.FENCING, "ha-1", "sending"),
    )
    before = a_snapshot(incident=an_incident(steps=(first,)))
    now = a_snapshot(at=after(9), incident=an_incident(steps=(first, second)))
    assert list(events(before, now)) == [TimelineEvent(after(2), "c1", Kind.STEP, "fencing, ha-1: sending")]


def test_another_incident_of_the_same_node_is_told_from_its_beginning() -> None:
    first, other = (Step(after(at), IncidentState.CLAIMED, "ha-1", "claimed") for at in (0, 60))
    before = a_snapshot(incident=an_incident(steps=(first,)))
    now = a_snapshot(incident=an_incident(started=after(60), steps=(other,)))
    assert told(before, now) == [(Kind.STEP, "claimed, ha-1: claimed")]


def test_an_incident_that_is_claimed_anew_is_told_on_though_it_counts_from_now() -> None:
    first = Step(NOW, IncidentState.CLAIMED, "ha-1", "claimed")
    second = Step(after(60), IncidentState.FENCING, "ha-2", "goes on after approval")
    before = a_snapshot(incident=an_incident(steps=(first,)))
    now = a_snapshot(incident=an_incident(started=after(60), steps=(first, second)))
    assert told(before, now) == [(Kind.STEP, "fencing, ha-2: goes on after approval")]


def test_a_step_about_one_server_is_told_as_the_servers() -> None:
    server = {"1": ServerProgress("web", "active")}
    step = Step(NOW, IncidentState.EVACUATING, "ha-1", "web: asked for ha-1")
    now = a_snapshot(incident=an_incident(servers=server, steps=(step,)))
    assert told(a_snapshot(incident=an_incident(servers=server)), now) == [(Kind.SERVER, "web: asked for ha-1")]


def test_a_refusal_is_told_with_its_gate_and_reason() -> None:
    now = a_snapshot(incident=a_waiting_incident(gate=Gate.BMC_IDENTITY))
    assert told(a_snapshot(), now) == [(Kind.REFUSED, "needs the operator, bmc-identity: so it was seen")]


def test_a_gate_that_holds_the_flip_is_told() -> None:
    now = a_snapshot(held=Closed(Gate.MAX_FAILED, "4 fail"))
    assert told(a_snapshot(), now) == [(Kind.REFUSED, "not flipped, max-failed: 4 fail")]


def test_that_nobody_claims_it_is_told_with_the_gate() -> None:
    now = a_snapshot(waits_at={"nova-away"})
    assert told(a_snapshot(), now) == [(Kind.REFUSED, "not claimed, nova-away")]


@pytest.mark.parametrize(
    ("snapshot", "words"),
    [
        (a_snapshot(), "not failed"),
        (a_snapshot(held=Closed(Gate.MAX_FAILED, "")), "not failed, max-failed"),
        (a_snapshot(node=a_node(failed=True)), "failed, and nobody works on it"),
        (a_snapshot(node=a_node(failed=True), waits_at={"nova-away"}), "waits, nova-away"),
        (a_snapshot(node=a_node(failed=True), incident=an_incident()), "fencing"),
        (
            a_snapshot(node=a_node(failed=True), incident=a_waiting_incident(gate=Gate.NOT_OFF)),
            "needs the operator, not-off",
        ),
        (a_snapshot(incident=an_incident(state=IncidentState.FINISHED), archived=True), "recovered"),
        (
            a_snapshot(incident=an_incident(state=IncidentState.WITHDRAWN), archived=True, node=a_node(failed=True)),
            "withdrawn",
        ),
    ],
)
def test_how_a_node_stands_is_said_in_the_words_of_what_is_expected(snapshot: Snapshot, words: str) -> None:
    assert outcome(snapshot) == words


def test_the_times_by_step_add_up_and_leave_out_what_was_not_reached() -> None:
    history = [
        TimelineEvent(after(4), "c1", Kind.INTERVAL, ""),
        TimelineEvent(after(9), "c1", Kind.INTERVAL, ""),
        TimelineEvent(after(14), "c1", Kind.FAILED, ""),
        TimelineEvent(after(1), "another", Kind.FAILED, ""),
    ]
    steps = (
        Step(after(15), IncidentState.CLAIMED, "ha-1", ""),
        Step(after(16), IncidentState.FENCING, "ha-1", ""),
        Step(after(17), IncidentState.FENCING, "ha-1", "again"),
        Step(after(20), IncidentState.FENCED, "ha-1", ""),
    )
    found = timeline(NOW, history, an_incident(steps=steps))
    assert [milestone.after_s for milestone in found] == [4, 14, 15, 16, 20]
    assert sum(milestone.took_s for milestone in found) == 20
    assert "proved to be off" in found[-1].what
