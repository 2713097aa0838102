"""The state machine: every pair of state and event either leads somewhere or raises."""

from __future__ import annotations

import pytest
from kit.fakes.values import an_incident
from nova_ha.cluster.gate import Cause, Closed, Gate
from nova_ha.cluster.incident import IncidentState
from nova_ha.recovery.transitions import TRANSITIONS, WORKING, Event, IllegalMove, advance, stop


@pytest.mark.parametrize("state", IncidentState)
@pytest.mark.parametrize("event", [event for event in Event if event is not Event.GONE_ON])
def test_every_pair_moves_as_the_table_says_or_raises(state: IncidentState, event: Event) -> None:
    incident = an_incident(state=state)
    if (state, event) in TRANSITIONS:
        assert advance(incident, event).state is TRANSITIONS[state, event]
    else:
        with pytest.raises(IllegalMove, match=event.value):
            advance(incident, event)


def test_nothing_leaves_the_end_states() -> None:
    ends = (IncidentState.FINISHED, IncidentState.WITHDRAWN)
    assert not [move for move in TRANSITIONS if move[0] in ends]


def test_only_evacuating_leads_to_finished_and_only_a_receipt_to_fenced() -> None:
    into = {to: {event for (_, event), end in TRANSITIONS.items() if end is to} for to in IncidentState}
    assert into[IncidentState.FENCED] == {Event.RECEIPT_WRITTEN}
    assert into[IncidentState.FINISHED] == {Event.ALL_SERVERS_ENDED}


@pytest.mark.parametrize("state", WORKING)
def test_an_incident_that_stopped_goes_on_from_where_it_was(state: IncidentState) -> None:
    stopped = stop(an_incident(state=state), Closed(Gate.NOVA_FAILS, "503"))
    assert (stopped.state, stopped.gate, stopped.reason) == (IncidentState.NEEDS_OPERATOR, Gate.NOVA_FAILS, "503")
    gone_on = advance(stopped, Event.GONE_ON)
    assert (gone_on.state, gone_on.gate, gone_on.before) == (state, None, None)


def test_an_incident_opened_for_the_operator_goes_on_as_claimed() -> None:
    opened = an_incident(state=IncidentState.NEEDS_OPERATOR, gate=Gate.ANSWERS)
    assert advance(opened, Event.GONE_ON).state is IncidentState.CLAIMED


def test_how_often_the_operator_was_asked_at_each_gate_is_counted() -> None:
    incident = an_incident(state=IncidentState.FENCING)
    for gate in (Gate.BMC_UNREACHABLE, Gate.NOVA_FAILS, Gate.BMC_UNREACHABLE):
        incident = advance(stop(incident, Closed(gate, "so it was")), Event.GONE_ON)
    assert incident.asked == {Gate.BMC_UNREACHABLE: 2, Gate.NOVA_FAILS: 1}


def test_who_is_asked_while_it_waits_already_goes_on_from_where_it_was() -> None:
    stopped = stop(an_incident(state=IncidentState.FENCING), Closed(Gate.NOVA_FAILS, "503"))
    again = stopped.asking(Closed(Gate.ANSWERS, "a banner came", Cause.CLOCKS_DIFFER))
    assert (again.before, again.gate, again.cause) == (IncidentState.FENCING, Gate.ANSWERS, Cause.CLOCKS_DIFFER)
    assert advance(again, Event.GONE_ON).cause is None
    opened = an_incident(state=IncidentState.NEEDS_OPERATOR).asking(Closed(Gate.ANSWERS, "a banner came"))
    assert opened.before is None
