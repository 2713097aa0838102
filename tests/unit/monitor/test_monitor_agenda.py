"""What the timer finds to do, and how its check exits."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from kit.fakes.observers import some_votes
from kit.fakes.values import NOW, a_maintenance, a_node, a_past, a_view, a_waiting_incident, an_approval, an_incident
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.node import IdentityWord, Pause
from nova_ha.cluster.policy import Policy, Share, Storage
from nova_ha.cluster.witness import Life, Testimony
from nova_ha.consul.values import Problem
from nova_ha.monitor.agenda import Item, Urgency, agenda
from nova_ha.monitor.look import Look, decide
from nova_ha.power.device import FenceDevice

WELL = [0, 0, 0]


def items(*nodes: Any, votes: dict[str, Any] | None = None, **fields: Any) -> list[Item]:
    """The agenda of these nodes, all well unless `votes` says otherwise."""
    streaks = {node.name: WELL for node in nodes} | (votes or {})
    seen = Look(0, a_view(nodes, **fields), some_votes(streaks or {"none": WELL}), NOW)
    return list(agenda(seen, decide(seen)))


def test_nothing_is_on_in_a_healthy_cluster() -> None:
    assert items(a_node("c1"), a_node("c2")) == []


def test_a_node_without_a_recorded_identity_is_a_warning_behind_what_waits_today() -> None:
    """As after an upgrade: it goes on being watched, and the check says at once what it lacks."""
    bmc = FenceDevice("ipmi", "10.0.0.1", 623, "u", "p")
    nameless = [a_node("c1", bmc=bmc), a_node("c2", bmc=replace(bmc, identity="Default string"))]
    fine = a_node("c3", bmc=replace(bmc, identity="CZJ12345"))
    word = IdentityWord("ann", "all zero", NOW)
    vouched = a_node("c4", bmc=replace(bmc, identity="none"), identity_word=word)
    waits = a_node("c5", failed=True, recovered=True)
    found = items(*nameless, fine, vouched, waits, a_node("c6"), incidents=[a_waiting_incident("c5")])
    assert [(item.node, item.urgency) for item in found] == [(name, Urgency.WAITS) for name in ("c5", "c1", "c2")]
    assert "none is recorded. It is not fenced without you: `nova-ha doctor --record`" in found[1].words
    assert "'Default string' is recorded, a placeholder" in found[2].words


def test_a_failed_node_is_due_and_a_recovery_is_to_be_started() -> None:
    assert items(a_node(failed=True)) == [Item("c1", Urgency.DUE, "failed, to be recovered", start=True)]


def test_an_orphaned_incident_is_due() -> None:
    (item,) = items(a_node(failed=True, recovered=True), incidents=[an_incident()])
    assert (item.urgency, item.start) == (Urgency.DUE, True)


@pytest.mark.parametrize(
    ("node", "incidents"),
    [
        (a_node(failed=True, recovered=True, lock_session="s"), [an_incident()]),
        (a_node(failed=True, recovered=True), []),
    ],
)
def test_what_is_worked_on_or_done_is_told_and_passes(node: Any, incidents: Any) -> None:
    (item,) = items(node, incidents=incidents, closed=(a_past("c1", NOW),))
    assert (item.urgency, item.start) == (Urgency.FINE, False)


def test_what_waits_for_the_operator_is_a_warning() -> None:
    (item,) = items(a_node(failed=True, recovered=True), incidents=[a_waiting_incident()])
    assert (item.urgency, item.start) == (Urgency.WAITS, False)
    assert str(item) == "c1: waits for the operator: answers: so it was seen"


def test_a_cause_that_may_have_gone_is_a_warning_and_is_looked_at() -> None:
    (item,) = items(a_node(failed=True, recovered=True), incidents=[a_waiting_incident(gate=Gate.BMC_UNREACHABLE)])
    assert (item.urgency, item.start) == (Urgency.WAITS, True)


@pytest.mark.parametrize("fields", [{"recovered": True}, {"recovered": True, "failed": True}])
def test_what_is_odd_is_a_warning(fields: dict[str, bool]) -> None:
    (item,) = items(a_node(**fields))
    assert (item.urgency, item.start) == (Urgency.WAITS, False)


def test_a_pause_stops_every_start_and_is_told_once() -> None:
    pause = {"pause": Pause("ann", "", ""), "pause_index": 5}
    found = items(a_node("c1", failed=True), a_node("c2", failed=True), **pause)
    assert [item.node for item in found] == ["", "c1", "c2"]
    assert {item.urgency for item in found} == {Urgency.WAITS}
    assert not any(item.start for item in found)


def test_a_bad_policy_stops_every_start() -> None:
    bad = Problem("ha_cluster/config/fence/timeout", "is 'x'")
    found = items(a_node(failed=True), policy_problems=(bad,))
    assert not any(item.start for item in found)
    assert "ha_cluster/config/fence/timeout is 'x'" in found[0].words


def test_a_maintenance_stops_the_start_unless_an_operator_lets_it_pass() -> None:
    (waits,) = items(a_node(failed=True, maintenance=a_maintenance()))
    assert (waits.urgency, waits.start) == (Urgency.WAITS, False)
    approval = an_approval(Gate.MAINTENANCE)
    (goes,) = items(a_node(failed=True, maintenance=a_maintenance(), approval=approval))
    assert (goes.urgency, goes.start) == (Urgency.DUE, True)


def test_a_node_that_a_gate_holds_is_told_with_the_gate() -> None:
    policy = Policy(monitor_max_failed=Share(2, percent=False), recovery_storage=Storage.SHARED)
    fails = {name: [3, 3, 3] for name in ("c1", "c2", "c3")}
    found = items(*(a_node(name) for name in fails), votes=fails, policy=policy)
    assert [item.node for item in found] == ["c1", "c2", "c3"]
    assert all(item.urgency is Urgency.WAITS and "held, max-failed: 3 compute nodes" in item.words for item in found)


def test_a_lost_quorum_is_one_line_and_not_one_for_each_node() -> None:
    blind = {f"c{number}": [None, None, 0] for number in range(1, 6)}
    (item,) = items(*(a_node(name) for name in blind), votes=blind)
    assert item.urgency is Urgency.WAITS
    assert item.words.startswith("no quorum about 5 compute nodes from c1 to c5: 1 of 3 HA nodes vote, 2 needed")


def test_a_node_with_a_bad_key_is_told_once() -> None:
    bad = Problem("ha_cluster/compute_nodes/c1/status/failed", "is 'x'")
    (item,) = items(a_node(), problems={"c1": (bad,)})
    assert item.urgency is Urgency.WAITS
    assert "status/failed is 'x'" in item.words


def test_the_most_urgent_comes_first() -> None:
    found = items(a_node("a", recovered=True), a_node("b", failed=True), a_node("c", failed=True, lock_session="s"))
    assert [item.node for item in found] == ["b", "a", "c"]


def test_an_ha_node_that_is_out_of_automatic_action_is_named() -> None:
    key = "ha_cluster/ha_nodes/ha-1/status/in_use"
    [item] = items(a_node(), problems={"ha-1": [Problem(key, "is 'maybe'")]})
    assert (item.urgency, item.words) == (Urgency.WAITS, f"ha-1 is out of automatic action: {key} is 'maybe'")


@pytest.mark.fault(39)
@pytest.mark.parametrize("ahead_s", [0, 30, 3600, 86400])
def test_a_host_that_is_held_is_told_of_after_a_minute_whatever_the_clock_of_whoever_holds_it(ahead_s: int) -> None:
    view = a_view([a_node()])
    alive = {"c1": Testimony(Life.ALIVE, 1, NOW + timedelta(seconds=ahead_s))}
    view = replace(view, ha_nodes={name: replace(ha, testimonies=alive) for name, ha in view.ha_nodes.items()})
    fine_s = 0
    for passed_s in range(0, 7200, 10):
        seen = Look(0, view, some_votes({"c1": [3, 3, 3]}), NOW + timedelta(seconds=passed_s))
        [item] = [one for one in agenda(seen, decide(seen)) if one.node == "c1"]
        fine_s += 10 * (item.urgency is Urgency.FINE)
    assert fine_s <= 60
