"""history, explain, plan and metrics: what happened, why, what would be done, and figures."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta

import pytest
from kit.fakes.typing_operator import Operator
from kit.fakes.values import NOW, an_incident, started_key
from kit.fakes.world import World
from nova_ha.cli.views.history import lines, spent, took
from nova_ha.cli.views.metrics import Figure, Sample, text
from nova_ha.clock import to_stamp
from nova_ha.cluster.incident import Incident, IncidentState, Step
from nova_ha.cluster.schema import compute_node, open_incident
from nova_ha.cluster.view import read_view
from nova_ha.compute.states import VMState
from nova_ha.recovery.findings import look
from nova_ha.recovery.gates import readings

S = IncidentState


def told(*steps: tuple[float, IncidentState]) -> Incident:
    """An incident whose story has these states, at seconds after its start."""
    start = NOW - timedelta(hours=1)
    story = tuple(Step(start + timedelta(seconds=at), state, "ha-1", "so") for at, state in steps)
    return replace(an_incident(state=steps[-1][1], started=start), steps=story)


# --- history ---


def test_the_time_in_each_state_is_told_from_the_stamps_of_the_story() -> None:
    incident = told((0, S.CLAIMED), (1, S.FENCING), (2, S.FENCING), (6, S.FENCED), (7, S.FINISHED))
    assert spent(incident, NOW) == {S.CLAIMED: 1, S.FENCING: 5, S.FENCED: 1}
    assert took(incident, NOW) == 7


def test_a_state_that_comes_again_is_summed_and_the_present_one_goes_on() -> None:
    incident = told((0, S.CLAIMED), (1, S.NEEDS_OPERATOR), (11, S.CLAIMED), (13, S.FENCING))
    assert spent(incident, NOW) == {S.CLAIMED: 3, S.NEEDS_OPERATOR: 10, S.FENCING: 3587}
    assert took(incident, NOW) == 3600


def test_a_take_over_by_a_machine_whose_clock_is_behind_gives_no_negative_time() -> None:
    assert spent(told((0, S.CLAIMED), (10, S.FENCING), (4, S.FENCED), (5, S.FINISHED)), NOW)[S.FENCING] == 0


def test_the_whole_story_of_a_recovery_is_told(nova_ha: Operator, world: World) -> None:
    servers = world.nova.add("c1", 3)
    world.hang("c1")
    world.recover()
    story = nova_ha.well("history", "c1").out
    for word in ("finished", "claimed", "3 evacuated", "Fence receipt: off by BMC", "read off", "guid-c1", *servers):
        assert word in story, word


def test_all_incidents_are_listed_open_ones_too(nova_ha: Operator, world: World) -> None:
    world.hang("c1", "c2")
    world.revive("c2")
    world.recover()
    rows = nova_ha.well("history", "--json").values
    assert {(row["node"], row["state"]) for row in rows} == {("c1", "finished"), ("c2", "needs-operator")}
    assert all(row["took_s"] >= 0 for row in rows)
    assert nova_ha.well("history").out.count("\n") == 3


def test_one_of_several_incidents_is_chosen_by_its_start(nova_ha: Operator, world: World) -> None:
    world.hang("c1")
    world.recover()
    nova_ha.well("node", "retry", "c1")
    world.recover()
    first, second = nova_ha.well("history", "c1", "--list", "--json").values
    assert nova_ha.well("history", "c1", "--json").values["started"] == second["started"]
    chosen = nova_ha.well("history", "c1", "--started", first["started"], "--json").values
    assert chosen["started"] == first["started"]
    as_a_key = first["started"].replace("-", "").replace(":", "")
    assert nova_ha.well("history", "c1", "--started", as_a_key, "--json").values["started"] == first["started"]
    assert nova_ha("history", "c1", "--started", "never").code == 1


def test_history_of_an_older_nova_ha_is_told_and_measured_as_before(nova_ha: Operator, world: World) -> None:
    world.hang("c1")
    world.recover()
    [incident] = world.closed("c1")
    metrics = nova_ha.well("metrics").out
    told = nova_ha.well("history", "c1").out
    world.store.drop("ha_cluster/incidents/closed/")
    world.store.put(f"ha_cluster/incidents/closed/c1/{to_stamp(incident.started)}", incident.to_kv())
    assert nova_ha.well("history", "c1").out == told
    assert nova_ha.well("history", "c1", "--started", started_key(incident)).out == told
    assert 'node="c1"' in metrics
    assert nova_ha.well("metrics").out == metrics


def test_an_incident_that_cannot_be_read_is_a_warning_beside_the_others(nova_ha: Operator, world: World) -> None:
    world.hang("c1")
    world.recover()
    world.store.put("ha_cluster/incidents/closed/c2/2030-01-01T11:00:00.000Z", "{}")
    ran = nova_ha.well("history")
    assert "Warning: ha_cluster/incidents/closed/c2/" in ran.err
    assert "finished" in ran.out


def test_a_node_without_incident_says_so(nova_ha: Operator) -> None:
    assert nova_ha("history", "c1").code == 1
    assert nova_ha.well("history").out == ""


def test_an_incident_without_receipt_says_that_nothing_was_proved() -> None:
    assert "its power was not proved off" in "\n".join(lines(told((0, S.CLAIMED)), NOW))


# --- explain ---


def test_explain_shows_every_gate_with_its_evidence(nova_ha: Operator) -> None:
    values = nova_ha.well("explain", "c1", "--json").values
    assert all(gate["open"] and gate["evidence"] for gate in values["gates"])
    assert "No quorum sees it fail" in nova_ha.well("explain", "c1").out


def test_explain_names_the_gate_that_holds_a_node_back(nova_ha: Operator, world: World) -> None:
    nova_ha.well("pause", "--by", "bob")
    world.hang("c1", failed=False)
    shown = nova_ha.well("explain", "c1").out
    assert "3 of 3 failed intervals, but it is not set failed: paused" in shown
    assert re.search(r"paused +closed .*bob.*`nova-ha resume`", shown)


@pytest.mark.parametrize(
    ("streak", "words"), [(2, "2 of 3 failed intervals: it is not set failed yet"), (3, "it is set failed")]
)
def test_explain_says_what_the_monitor_makes_of_it(nova_ha: Operator, world: World, streak: int, words: str) -> None:
    world.hang("c1", streak=streak, failed=False)
    assert words in nova_ha.well("explain", "c1").out


def test_explain_says_of_a_failed_node_that_it_is_counted_anew(nova_ha: Operator, world: World) -> None:
    world.hang("c1")
    world.store.put(compute_node("c1", "internal/number_fails"), "0")
    world.hang("c1", streak=2, failed=False)
    shown = nova_ha.well("explain", "c1").out
    assert "It is failed, and is counted anew: 2 of 3 failed intervals" in shown
    assert "not set failed yet" not in shown


def test_explain_of_an_unknown_node_is_one_line(nova_ha: Operator) -> None:
    ran = nova_ha("explain", "nowhere")
    assert (ran.code, ran.err.count("\n")) == (1, 1)


# --- plan ---


def plan(nova_ha: Operator, name: str = "c1") -> tuple[dict[str, str], dict[str, object]]:
    values = nova_ha.well("plan", name, "--json").values
    return {gate["gate"]: gate["is"] for gate in values["gates"]}, values


def test_a_plan_changes_nothing(nova_ha: Operator, world: World) -> None:
    world.nova.add("c1", 2)
    world.hang("c1")
    before = dict(world.store.data)
    nova_ha.well("plan", "c1")
    assert world.store.data == before
    assert world.nova.calls == []
    assert world.bmcs["c1"].commands == []


def test_a_plan_of_a_failed_node_would_be_claimed_and_names_its_servers(nova_ha: Operator, world: World) -> None:
    world.nova.add("c1", 2)
    world.nova.add("c1", 1, VMState.RESIZED)
    world.hang("c1")
    gates, values = plan(nova_ha)
    assert values["verdict"] == "It would be claimed, unless its nova-compute reports within 12 s"
    assert gates.pop("nova-reports") == "not judged"
    assert set(gates.values()) == {"open"}
    assert [server["would_be"] for server in values["servers"]] == ["evacuate", "evacuate", "report"]  # type: ignore
    assert "power is on now" in str(values["fence"])


def test_a_plan_of_a_well_node_shows_what_would_hold_a_recovery_back(nova_ha: Operator) -> None:
    gates, values = plan(nova_ha)
    assert "would wait: not-due" in str(values["verdict"])
    assert (gates["not-due"], gates["answers"], gates["no-bmc"]) == ("closed", "closed", "open")
    assert gates.pop("nova-reports") == "not judged", "one look cannot tell"
    assert "not judged" not in gates.values()


def test_a_plan_shows_all_closed_gates_and_not_only_the_first(nova_ha: Operator, world: World) -> None:
    nova_ha.well("config", "set", "recovery/mode", "approve")
    nova_ha.well("pause")
    world.hang("c1")
    world.bmcs["c1"].name = "another"
    world.nova.disable("id-c1", "by somebody")
    gates, _ = plan(nova_ha)
    closed = {gate for gate, is_ in gates.items() if is_ == "closed"}
    assert closed == {"paused", "approval", "bmc-identity", "disabled-by-other"}


def test_a_plan_shows_the_gates_that_the_decision_goes_through_in_order(nova_ha: Operator, world: World) -> None:
    nova_ha.well("config", "set", "recovery/mode", "approve")
    nova_ha.well("pause", "--by", "bob", "--why", "switches")
    world.hang("c1")
    _, values = plan(nova_ha)
    shown: list[dict[str, str]] = values["gates"]  # type: ignore[assignment]
    first = next(gate for gate in shown if gate["is"] == "closed")
    assert values["verdict"] == f"It would wait: {first['gate']}: {first['evidence']}"
    assert first["evidence"] == "paused by bob (switches): `nova-ha resume` ends it"
    tools = nova_ha.clients.recovery()
    view = read_view(world.store)
    findings = look(tools, view.compute_nodes["c1"], view)
    asked = readings(findings, view.compute_nodes["c1"], None)
    assert [(gate["gate"], gate["evidence"]) for gate in shown] == [(r.gate.value, r.evidence) for r in asked]


def test_a_plan_shows_what_an_approval_lets_pass(nova_ha: Operator, world: World) -> None:
    nova_ha.well("config", "set", "recovery/mode", "approve")
    world.hang("c1")
    nova_ha.well("approve", "c1", "--by", "ann")
    gates, values = plan(nova_ha)
    assert gates["approval"] == "approved by ann"
    assert values["verdict"] == "It would be claimed, unless its nova-compute reports within 12 s"
    nova_ha.well("approve", "c1", "--by", "ann", "--gate", "nova-reports", "--gate", "approval")
    assert plan(nova_ha)[1]["verdict"] == "It would be claimed now"


def test_what_lies_behind_a_gate_that_hides_it_is_not_judged(nova_ha: Operator, world: World) -> None:
    world.hang("c1")
    world.report(without=["ha-1", "ha-2"])
    gates, _ = plan(nova_ha)
    assert gates["no-quorum"] == "closed"
    assert gates["max-failed"] == "not judged"


def test_a_plan_of_a_node_with_a_bad_key_names_it_and_judges_the_rest(nova_ha: Operator, world: World) -> None:
    world.store.put(compute_node("c1", "config/ssh/port"), "x")
    gates, _ = plan(nova_ha)
    assert (gates["unreadable"], gates["max-failed"]) == ("closed", "open")


def test_a_plan_without_nova_says_what_it_cannot_know(nova_ha: Operator, world: World) -> None:
    from nova_ha.errors import NovaError

    world.hang("c1")
    for method in ("services", "servers", "room"):
        world.nova.fail(method, NovaError("Nova answers 503"), times=9)
    gates, values = plan(nova_ha)
    assert gates["nova-away"] == "closed"
    assert values["servers_trouble"] == "Nova answers 503"


# --- metrics ---


def test_metrics_are_prometheus_text(nova_ha: Operator, world: World) -> None:
    world.nova.add("c1", 2)
    world.hang("c1")
    world.recover()
    out = nova_ha.well("metrics").out
    sample = re.compile(r'[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [0-9.]+')
    comment = re.compile(r"# (HELP|TYPE) [a-z_]+ .+")
    assert all(sample.fullmatch(line) or comment.fullmatch(line) for line in out.splitlines())
    for line in (
        'nova_ha_node_failed{node="c1"} 1',
        'nova_ha_node_state{node="c1",state="recovered"} 1',
        'nova_ha_node_streak{node="c1",observer="ha-2"} 3',
        'nova_ha_last_recovery_servers{node="c1",state="evacuated"} 2',
        "nova_ha_observers 3",
        "nova_ha_paused 0",
        "nova_ha_policy_ok 1",
        "nova_ha_incidents_closed 1",
    ):
        assert line in out.splitlines(), line
    assert 'nova_ha_last_recovery_seconds{node="c1",step="evacuating"}' in out


def test_each_metric_is_declared_once(nova_ha: Operator) -> None:
    declared = [line.split()[2] for line in nova_ha.well("metrics").out.splitlines() if line.startswith("# TYPE")]
    assert len(declared) == len(set(declared))


def test_labels_are_escaped() -> None:
    assert text([Figure("m", "help", [Sample(0.5, (("node", 'a"\\\n'),))])]).endswith('m{node="a\\"\\\\\\n"} 0.500\n')


# --- who lets what pass, until when ---


def approved(nova_ha: Operator, world: World) -> str:
    """c1 waits for its BMC; ann has let two gates pass for ten minutes. Returns when that ends."""
    world.bmcs["c1"].away = True
    world.hang("c1")
    until = to_stamp(world.clock.now() + timedelta(minutes=10))
    gates = ("--gate", "answers", "--gate", "left")
    nova_ha.well("approve", "c1", *gates, "--for", "10m", "--by", "ann", "--why", "seen it")
    world.recover()
    return until


def test_every_report_says_who_lets_what_pass_until_when(nova_ha: Operator, world: World) -> None:
    until = approved(nova_ha, world)
    words = f"ann lets answers, left pass until {until}"
    assert words in nova_ha.well("status").out
    assert words in nova_ha.well("explain", "c1").out
    assert f"Approved by ann until {until}: answers, left (seen it)" in nova_ha.well("history", "c1").out
    kept = {"by": "ann", "why": "seen it", "until": until}
    values = [{**kept, "gate": gate, "lasts": True} for gate in ("answers", "left")]
    nodes = {node["name"]: node for node in nova_ha.well("status", "--json").values["compute_nodes"]}
    assert nodes["c1"]["permits"] == values
    assert nodes["c2"]["permits"] == []
    assert nova_ha.well("explain", "c1", "--json").values["permits"] == values
    history = nova_ha.well("history", "c1", "--json").values
    assert history["permits"] == [{**kept, "gate": gate} for gate in ("answers", "left")]
    world.silent.pop("c1")
    [answers] = [gate for gate in plan(nova_ha)[1]["gates"] if gate["gate"] == "answers"]  # type: ignore[attr-defined]
    assert (answers["approved_by"], answers["approved_until"]) == ("ann", until)


def test_every_report_says_what_has_ended(nova_ha: Operator, world: World) -> None:
    until = approved(nova_ha, world)
    world.clock.sleep(600)
    world.silent.pop("c1")
    words = f"ann let answers, left pass until {until}: that has ended"
    assert words in nova_ha.well("status").out
    assert words in nova_ha.well("explain", "c1").out
    assert f"ann let it pass until {until}: that has ended" in nova_ha.well("plan", "c1").out
    [node] = [n for n in nova_ha.well("status", "--json").values["compute_nodes"] if n["name"] == "c1"]
    assert {permit["lasts"] for permit in node["permits"]} == {False}


def test_a_record_of_an_older_release_is_told_as_one_whose_permits_have_ended(
    nova_ha: Operator, world: World
) -> None:
    approved(nova_ha, world)
    record = json.loads(world.store.value(open_incident("c1")) or "")
    del record["permits"]
    old = {**record, "approved": ["answers", "of-tomorrow"], "approved_by": "ann"}
    world.store.put(open_incident("c1"), json.dumps(old))
    words = "ann let answers, of-tomorrow pass, without an end that is recorded: that counts no longer"
    assert words in nova_ha.well("status").out
    line = "Approved by ann without an end that is recorded, so it counts no longer: answers, of-tomorrow"
    assert line in nova_ha.well("history", "c1").out


def test_an_approval_that_nobody_has_taken_yet_is_told_as_well(nova_ha: Operator, world: World) -> None:
    world.hang("c1", failed=False)
    world.store.put(compute_node("c1", "internal/number_fails"), "2")
    nova_ha.well("approve", "c1", "--by", "ann", "--gate", "left")
    until = to_stamp(world.clock.now() + timedelta(hours=1))
    assert f"ann lets left pass until {until}" in nova_ha.well("status").out
