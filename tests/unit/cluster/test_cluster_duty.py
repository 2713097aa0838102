"""The table "Keys changed by hand" of docs/architecture.md, row by row, and every other combination of the keys."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest
from kit.fakes.values import NOW, a_node, a_past, a_view, a_waiting_incident, an_approval, an_incident
from nova_ha.cluster.duty import TABLE, Duty, Stage, Task, duties, duty
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import Incident, IncidentState, Receipt, ReceiptMethod
from nova_ha.cluster.node import HANode
from nova_ha.cluster.schema import HostName
from nova_ha.consul.values import Problem

OPEN = an_incident()
WAITS = a_waiting_incident()
FREE, HELD = "", "a-session"


@pytest.mark.parametrize(
    ("failed", "recovered", "incident", "lock", "expected"),
    [
        (False, False, None, FREE, Duty.NOTHING),
        (False, True, None, FREE, Duty.ODD),
        (True, False, None, FREE, Duty.CLAIM),
        (True, True, OPEN, HELD, Duty.WORKED_ON),
        (True, True, OPEN, FREE, Duty.RESUME),
        (True, True, WAITS, FREE, Duty.WAITS_FOR_OPERATOR),
        (True, True, None, FREE, Duty.ODD),
        (True, False, OPEN, FREE, Duty.RESUME),
        (True, False, WAITS, FREE, Duty.RESUME),
        (True, False, OPEN, HELD, Duty.WORKED_ON),
        (False, False, OPEN, HELD, Duty.WORKED_ON),
        (False, True, OPEN, HELD, Duty.WORKED_ON),
        (False, False, OPEN, FREE, Duty.WAITS_FOR_OPERATOR),
        (False, True, WAITS, FREE, Duty.WAITS_FOR_OPERATOR),
        (True, True, None, HELD, Duty.WORKED_ON),
        (True, False, None, HELD, Duty.WORKED_ON),
        (True, True, an_incident(state=IncidentState.FINISHED), FREE, Duty.RESUME),
        (True, True, an_incident(state=IncidentState.WITHDRAWN), FREE, Duty.WAITS_FOR_OPERATOR),
    ],
)
def test_the_keys_say_what_is_to_be_done(
    failed: bool, recovered: bool, incident: Incident | None, lock: str, expected: Duty
) -> None:
    node = a_node(failed=failed, recovered=recovered, lock_session=lock)
    task = duty(a_view([node], [incident] if incident else []), "c1", NOW)
    assert task.duty is expected, task


@pytest.mark.parametrize("failed", [True, False])
@pytest.mark.parametrize("recovered", [True, False])
@pytest.mark.parametrize("lock", [FREE, HELD])
def test_an_incident_that_cannot_be_read_is_out_of_automatic_action(failed: bool, recovered: bool, lock: str) -> None:
    node = a_node(failed=failed, recovered=recovered, lock_session=lock)
    task = duty(a_view([node], unreadable=["c1"]), "c1", NOW)
    assert task.duty is Duty.UNREADABLE
    assert "ha_cluster/incidents/open/c1 is not JSON" in task.words


def test_a_node_with_a_key_that_cannot_be_read_is_out_of_automatic_action_and_the_others_are_not() -> None:
    nodes = [a_node("c1", failed=True), a_node("c2", failed=True)]
    bad = Problem("ha_cluster/compute_nodes/c1/status/recovered", "is 'maybe', expected True or False")
    found = duties(a_view(nodes, problems={"c1": (bad,)}), NOW)
    assert [task.duty for task in found.values()] == [Duty.UNREADABLE, Duty.CLAIM]
    assert str(bad) in found["c1"].words


def test_a_recovered_node_whose_incident_is_in_history_is_done() -> None:
    view = a_view([a_node(failed=True, recovered=True)], closed=(a_past("c1", NOW - timedelta(days=9)),))
    assert duty(view, "c1", NOW).duty is Duty.DONE


def test_a_failure_after_status_recovered_was_set_is_not_taken_for_the_recovered_one() -> None:
    indexes = {"status/recovered": 20, "status/failed": 30}
    node = a_node(failed=True, recovered=True, indexes=indexes)
    task = duty(a_view([node], closed=(a_past("c1", NOW - timedelta(days=9)),)), "c1", NOW)
    assert task.duty is Duty.ODD
    assert "failed again" in task.words


def test_the_history_of_another_node_proves_nothing() -> None:
    view = a_view([a_node(failed=True, recovered=True)], closed=(a_past("c2", NOW),))
    assert duty(view, "c1", NOW).duty is Duty.ODD


def test_an_approval_of_its_gate_lets_a_waiting_incident_go_on() -> None:
    node = a_node(failed=True, recovered=True, approval=an_approval(Gate.ANSWERS))
    assert duty(a_view([node], [WAITS]), "c1", NOW).duty is Duty.RESUME


@pytest.mark.parametrize("approval", [an_approval(Gate.REPEAT), an_approval(Gate.ANSWERS, ends_in_s=-1)])
def test_an_expired_approval_or_one_of_another_gate_changes_nothing(approval: object) -> None:
    node = a_node(failed=True, recovered=True, approval=approval)
    assert duty(a_view([node], [WAITS]), "c1", NOW).duty is Duty.WAITS_FOR_OPERATOR


@pytest.mark.parametrize("gate", [gate for gate in Gate if gate.ends_by_itself])
def test_a_cause_that_may_end_by_itself_is_looked_at_again(gate: Gate) -> None:
    view = a_view([a_node(failed=True, recovered=True)], [a_waiting_incident(gate=gate)])
    task = duty(view, "c1", NOW)
    assert task.duty is Duty.TRY_AGAIN
    assert task.duty.due


def test_an_operators_word_that_the_host_is_off_lets_an_unfenced_incident_go_on() -> None:
    receipt = Receipt(ReceiptMethod.OPERATOR, "ann", NOW, until=NOW + timedelta(hours=1))
    view = a_view([a_node(failed=True, recovered=True)], [a_waiting_incident(gate=Gate.NOT_OFF, receipt=receipt)])
    assert duty(view, "c1", NOW).duty is Duty.RESUME
    assert duty(view, "c1", NOW + timedelta(hours=1)).duty is Duty.WAITS_FOR_OPERATOR


def test_an_operators_word_that_the_host_is_off_is_no_answer_to_a_host_that_still_speaks() -> None:
    receipt = Receipt(ReceiptMethod.OPERATOR, "ann", NOW, until=NOW + timedelta(hours=1))
    view = a_view([a_node(failed=True, recovered=True)], [a_waiting_incident(gate=Gate.NOT_SILENT, receipt=receipt)])
    assert duty(view, "c1", NOW).duty is Duty.WAITS_FOR_OPERATOR


def test_an_incident_of_a_node_that_is_not_registered_is_odd_and_not_lost() -> None:
    found = duties(a_view([], [an_incident("c9")]), NOW)
    assert found["c9"].duty is Duty.ODD


def test_whatever_is_due_says_for_what_it_waits_and_no_gate_twice() -> None:
    note = {"c1": "shared-first: left to ha-2"}
    same = {"c1": "nova-away: no answer"}
    notes = {"ha-1": note, "ha-2": same}
    ha_nodes = {name: HANode(HostName(name), nova_host=name, waits=waits) for name, waits in notes.items()}

    def found(incident: Incident) -> Task:
        view = a_view([a_node(failed=True, recovered=True)], [incident])
        return duty(replace(view, ha_nodes=ha_nodes), "c1", NOW)

    resumed, again, asked = found(OPEN), found(a_waiting_incident(gate=Gate.NOVA_AWAY)), found(WAITS)
    both = ": waits at nova-away: no answer (ha-2); shared-first: left to ha-2 (ha-1)"
    assert (resumed.duty, again.duty) == (Duty.RESUME, Duty.TRY_AGAIN)
    assert resumed.words.endswith(both)
    assert again.words.endswith(": waits at shared-first: left to ha-2 (ha-1)")
    assert "shared-first" not in asked.words


def test_the_words_say_who_and_why() -> None:
    held = a_view([a_node(failed=True, recovered=True, lock_session=HELD)], [OPEN])
    waits = a_view([a_node(failed=True, recovered=True)], [WAITS])
    assert duty(held, "c1", NOW).words == "fencing, ha-1 works on it"
    assert duty(waits, "c1", NOW).words == "waits for the operator: answers: so it was seen"


def test_every_combination_of_the_keys_has_a_row_and_every_row_is_used() -> None:
    combinations = itertools.product((True, False), (True, False), Stage, (True, False))
    used = {next(row for row in TABLE if row.applies(*values)) for values in combinations}
    assert used == set(TABLE)


def test_nothing_is_due_for_a_node_whose_failed_is_false() -> None:
    for recovered, stage, held in itertools.product((True, False), Stage, (True, False)):
        row = next(row for row in TABLE if row.applies(False, recovered, stage, held))
        assert not row.duty.due, row
