"""The gates: each has one row, and a name that is none of them is kept."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from kit.fakes.values import NOW, an_incident
from nova_ha.cli.views.history import lines
from nova_ha.cluster.gate import APPROVABLE, APPROVED_BY_DEFAULT, Gate, Trait, UnknownGate
from nova_ha.cluster.incident import Incident
from nova_ha.cluster.node import Approval
from nova_ha.cluster.permit import Permit

OF_TOMORROW = UnknownGate("too-hot")


def test_a_gate_is_known_by_the_name_that_records_and_operators_write() -> None:
    assert Gate("max-failed") is Gate.MAX_FAILED
    assert len({gate.value for gate in Gate}) == len(Gate)


@pytest.mark.parametrize("gate", list(Gate), ids=lambda gate: gate.value)
def test_what_a_row_says_agrees_with_itself(gate: Gate) -> None:
    """What an approval lets pass by default, or by a retry, is what it may name at all."""
    if gate in APPROVED_BY_DEFAULT or Trait.RETRY_ANSWERS in gate.traits:
        assert gate.approvable
    assert (gate in APPROVABLE) is gate.approvable
    if gate.uncountable or gate.stops_a_recovery:
        assert Trait.MONITOR in gate.traits


def test_a_gate_of_a_newer_version_is_kept_in_an_approval_and_lets_nothing_pass() -> None:
    written = json.dumps(
        {"by": "ann", "until": "2030-01-01T13:00:00.000Z", "gates": ["too-hot", "repeat", "repeat"]}
    ).encode()
    approval = Approval.from_kv(written)
    assert approval.gates == (OF_TOMORROW, Gate.REPEAT, Gate.REPEAT)
    assert json.loads(approval.to_kv())["gates"] == ["too-hot", "repeat", "repeat"]
    assert [gate for gate in Gate if approval.lets_pass(gate, NOW)] == [Gate.REPEAT]


def test_a_gate_of_a_newer_version_is_kept_in_an_incident_and_shown() -> None:
    until = NOW + timedelta(hours=1)
    incident = an_incident(permits=(Permit(Gate.REPEAT, until, "ann"), Permit(OF_TOMORROW, until, "ann")))
    again = Incident.from_kv(incident.to_kv())
    assert again.permits == incident.permits
    assert [permit["gate"] for permit in json.loads(again.to_kv())["permits"]] == ["repeat", "too-hot"]
    assert [gate for gate in Gate if again.lets_pass(gate, NOW)] == [Gate.REPEAT]
    assert "Approved by ann until 2030-01-01T13:00:00.000Z: repeat, too-hot" in list(lines(again, until))


def test_a_cause_of_a_newer_version_makes_no_incident_unreadable() -> None:
    written = json.dumps({**an_incident().to_values(), "cause": "too-hot"}).encode()
    assert Incident.from_kv(written).cause is None
