"""What the soak takes for explained and for a violation: each of its checks is seen to find something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import Incident, IncidentState, Receipt, ReceiptMethod, ServerProgress, ServerState
from soak.audit import incident_problems, placing_problems
from soak.explained import explains
from soak.faults import FAULTS
from soak.kinds import Kind
from soak.plan import HOSTS, Moment, Round, Strike

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def a_round(*kinds: Kind) -> Round:
    """A round in which a host hangs, and these things beside it."""
    return Round(1, tuple(Strike(kind, HOSTS[0], Moment.WITH) for kind in (Kind.HOST_HANGS, *kinds)))


def finished(*servers: ServerProgress) -> Incident:
    """An incident that has ended well, of these servers."""
    return Incident(
        HOSTS[0],
        NOW,
        IncidentState.FINISHED,
        driver="ha-1",
        receipt=Receipt(ReceiptMethod.BMC, "ha-1", NOW),
        servers={server.name: server for server in servers},
    )


def a_server(state: ServerState = ServerState.EVACUATED, reason: str = "", host: str = "ha-1") -> ServerProgress:
    return ServerProgress("server", "active", state, host=host, reason=reason)


# --- refusals


def explained(gate: Gate, *kinds: Kind, failed: bool = True, together: Sequence[str] = HOSTS[:1]) -> bool:
    return explains(a_round(*kinds), gate, failed=failed, together=together)


def test_a_bmc_that_says_ok_explains_that_a_host_is_not_off_and_nothing_else_does() -> None:
    assert explained(Gate.NOT_OFF, Kind.BMC_STICKS)
    assert not explained(Gate.NOT_OFF)
    assert not explained(Gate.NOT_OFF, Kind.BMC_OTHER)


@pytest.mark.parametrize("gate", [gate for gate in Gate if not gate.ends_by_itself])
def test_no_refusal_is_explained_of_a_host_that_only_hangs_but_that_it_failed_before(gate: Gate) -> None:
    assert explained(gate) == (gate is Gate.REPEAT)


def test_a_host_that_is_well_may_only_be_asked_about_because_it_lives_or_had_an_incident_before() -> None:
    asked = [gate for gate in Gate if explained(gate, Kind.BMC_STICKS, failed=False)]
    assert {gate for gate in asked if not gate.ends_by_itself} == {Gate.ANSWERS, Gate.REPEAT}


def test_too_many_are_only_refused_where_there_are_too_many() -> None:
    assert explained(Gate.MAX_FAILED, together=HOSTS[:5])
    assert not explained(Gate.MAX_FAILED, together=HOSTS[:4])


# --- incidents


def test_a_recovery_with_its_proof_and_all_servers_moved_is_well() -> None:
    assert list(incident_problems(a_round(), finished(a_server()))) == []


def test_a_recovery_without_a_receipt_is_a_violation() -> None:
    incident = replace(finished(a_server()), receipt=None)
    assert list(incident_problems(a_round(), incident)) == ["compute-1: finished without a receipt of its fence"]


@pytest.mark.parametrize("state", [ServerState.PENDING, ServerState.ASKED])
def test_a_server_without_an_end_in_a_finished_incident_is_a_violation(state: ServerState) -> None:
    assert len(list(incident_problems(a_round(Kind.SPAWN_FAILS), finished(a_server(state))))) == 1


def test_a_server_that_failed_must_say_why() -> None:
    drawn = a_round(Kind.SPAWN_FAILS)
    assert list(incident_problems(drawn, finished(a_server(ServerState.FAILED, "no valid host")))) == []
    assert len(list(incident_problems(drawn, finished(a_server(ServerState.FAILED))))) == 1


def test_a_server_may_only_be_left_where_a_fault_explains_it() -> None:
    left = finished(a_server(ServerState.FAILED, "no valid host"))
    assert len(list(incident_problems(a_round(Kind.DRIVER_KILLED), left))) == 1
    assert list(incident_problems(a_round(Kind.NO_VALID_HOST), left)) == []


def test_a_server_runs_where_the_incident_says_and_nowhere_else() -> None:
    incident = finished(a_server())
    assert list(placing_problems(incident, {"server": {"ha-1": True}}, ())) == []
    assert len(list(placing_problems(incident, {"server": {"ha-2": True}}, ()))) == 1
    assert len(list(placing_problems(incident, {"server": {"ha-1": True, "compute-1": True}}, ()))) == 1
    assert len(list(placing_problems(incident, {}, ()))) == 1


def test_a_server_on_a_host_that_lost_its_power_later_is_no_violation() -> None:
    assert list(placing_problems(finished(a_server()), {}, ("ha-1",))) == []


# --- faults


def test_every_kind_of_fault_is_there() -> None:
    assert set(FAULTS) == set(Kind)
