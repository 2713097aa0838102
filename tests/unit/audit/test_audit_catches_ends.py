"""I8 on runs written by hand: every failed host ends, in time and named, and nothing stays held by nobody."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kit.audit.ends import GATES, OF_OTHERS
from kit.audit.trace import Answering, Injected, KVChange, Output, SessionChange
from kit.fakes.handmade import STARTED_KEY, Handmade, at
from nova_ha.cluster.gate import Gate

OPEN = "ha_cluster/incidents/open/c1"


@pytest.fixture
def run() -> Handmade:
    return Handmade()


@pytest.fixture
def stuck(run: Handmade) -> Handmade:
    """The driver died in the middle, and nobody went on."""
    run.leave_out(lambda record: isinstance(record, KVChange) and record.at == at(35))
    held = ("compute_nodes/c1/internal/.lock", "ha_nodes/ha-1/internal/.lock", "locks/recovery/one")
    run.drop(36, *held)
    run.put(37, "ha_nodes/ha-1/status/in_use", "False")
    return run


def test_a_recovered_host_is_no_breach(run: Handmade) -> None:
    assert run.sentences("I8") == []


def test_a_host_that_nobody_goes_on_with_is_a_breach(stuck: Handmade) -> None:
    assert stuck.sentences("I8") == [
        "c1: its incident is still evacuating, 382 s after it failed and the last fault ended",
    ]


def test_within_the_bound_it_is_none(stuck: Handmade) -> None:
    stuck.cluster = replace(stuck.cluster, bound_s=383)
    assert stuck.sentences("I8") == []


def test_the_bound_counts_from_the_last_faults_end(stuck: Handmade) -> None:
    stuck.add(Injected(at(100), "nova-away", "", at(350)))
    assert stuck.sentences("I8") == []
    stuck.add(Injected(at(100), "nova-away", "", at(339)))
    assert stuck.sentences("I8") == []
    stuck.leave_out(lambda record: isinstance(record, Injected) and record.ended == at(350))
    assert len(stuck.sentences("I8")) == 1


def test_a_named_refusal_is_an_end(stuck: Handmade) -> None:
    stuck.incident(38, "needs-operator", gate="not-off", reason="it reads on")
    assert stuck.sentences("I8") == []


@pytest.mark.parametrize("fields", [{"gate": "not-off"}, {"reason": "so"}, {"gate": "because", "reason": "so"}])
def test_a_refusal_without_its_gate_or_reason_is_a_breach(stuck: Handmade, fields: dict[str, str]) -> None:
    stuck.incident(38, "needs-operator", **fields)
    [sentence] = stuck.sentences("I8")
    assert sentence.startswith("c1: it waits for the operator, without a gate and a reason")


def test_a_host_that_waits_by_a_named_gate_is_none(stuck: Handmade) -> None:
    stuck.add(Output("explain c1", "waits: nova-away: Nova does not answer"))
    assert stuck.sentences("I8") == []


@pytest.mark.parametrize("gate", sorted(OF_OTHERS))
def test_others_work_has_an_end_and_to_wait_for_it_for_ever_is_a_breach(stuck: Handmade, gate: str) -> None:
    stuck.add(Output("explain c1", f"waits: {gate}: left to ha-2, once the work on c1 is done"))
    assert len(stuck.sentences("I8")) == 1


def test_words_without_a_gate_are_no_name(stuck: Handmade) -> None:
    stuck.add(Output("explain c1", "somebody will look into it, unpaused"))
    assert len(stuck.sentences("I8")) == 1


def test_a_failed_host_without_an_incident_is_a_breach(run: Handmade) -> None:
    run.put(40, "compute_nodes/c2/status/failed", "True")
    assert run.sentences("I8") == [
        "c2: it has failed, and there is no incident, 360 s after it failed and the last fault ended",
    ]


def test_an_incident_that_vanished_is_a_breach(run: Handmade) -> None:
    run.leave_out(lambda record: isinstance(record, KVChange) and record.key.endswith(STARTED_KEY))
    [sentence] = run.sentences("I8")
    assert sentence.startswith("c1: its incident is gone, and not in history")


def test_a_silent_host_that_is_never_set_failed_is_a_breach_where_the_monitor_runs(run: Handmade) -> None:
    run.add(Answering(at(50), "c3", False))
    assert run.sentences("I8") == []
    run.cluster = replace(run.cluster, monitored=True)
    [sentence] = run.sentences("I8")
    assert sentence.startswith("c3: it does not answer, and was never set failed, 350 s after")


def test_a_lock_that_its_session_outlives_is_a_breach(run: Handmade) -> None:
    run.add(SessionChange(at(50), "two", "ha-2", True, "nova-ha c2"))
    run.put(51, "compute_nodes/c2/internal/.lock", "", "two", 1)
    assert run.sentences("I8") == [
        ": ha_cluster/compute_nodes/c2/internal/.lock is still held by session two, and nobody works",
    ]


def test_a_lock_that_was_let_go_and_stays_is_a_breach(run: Handmade) -> None:
    run.put(51, "compute_nodes/c2/internal/.lock", "")
    assert run.sentences("I8") == [": ha_cluster/compute_nodes/c2/internal/.lock was let go and not deleted"]


def test_a_place_that_nobody_gave_back_is_a_breach(run: Handmade) -> None:
    run.put(51, "locks/recovery/two", "", "two", 1)
    assert run.sentences("I8") == [
        ": ha_cluster/locks/recovery/two is still held by session two, and nobody works",
    ]


def test_in_use_that_nobody_gave_back_is_a_breach(run: Handmade) -> None:
    run.leave_out(
        lambda record: isinstance(record, KVChange) and record.key.endswith("in_use") and record.value == b"False"
    )
    assert run.sentences("I8") == [
        ": ha_cluster/ha_nodes/ha-1/status/in_use is still True, and ha-1 works on nothing",
    ]


def test_in_use_of_a_driver_that_died_over_an_incident_that_nobody_ends_is_none(stuck: Handmade) -> None:
    stuck.leave_out(
        lambda record: isinstance(record, KVChange) and record.key.endswith("in_use") and record.value == b"False"
    )
    stuck.put(40, "compute_nodes/c1/status/failed", "False")
    assert stuck.sentences("I8") == []


def test_in_use_that_somebody_set_by_hand_is_a_reservation(run: Handmade) -> None:
    run.put(60, "ha_nodes/ha-1/status/in_use", "True")
    assert run.sentences("I8") == []


def test_what_a_driver_holds_that_still_works_is_none(run: Handmade) -> None:
    run.leave_out(lambda record: isinstance(record, KVChange) and record.at == at(35))
    run.leave_out(lambda record: isinstance(record, SessionChange) and not record.exists)
    run.cluster = replace(run.cluster, bound_s=500)
    assert run.sentences("I8") == []


def test_the_auditor_knows_every_name_by_which_the_product_may_wait() -> None:
    assert set(GATES) == {gate.value for gate in Gate}
