"""I1 and I6 on runs written by hand: each breach is caught, with its sentence, and what looks like one is not."""

from __future__ import annotations

import json

import pytest
from kit.audit.trace import OPERATOR, GuestRun, KVChange, Migration, NovaCall, PowerCommand, PowerReading, PowerTruth
from kit.fakes.handmade import STARTED_KEY, Handmade, at, stamp

OPEN = "ha_cluster/incidents/open/c1"
CLOSED = f"ha_cluster/incidents/closed/c1/{STARTED_KEY}"


@pytest.fixture
def run() -> Handmade:
    return Handmade()


def vouched(until_s: float) -> dict[str, str]:
    return {"method": "operator", "by": "ann", "at": stamp(25), "until": stamp(until_s)}


# --- I1


def test_a_proved_fence_is_no_breach(run: Handmade) -> None:
    assert run.sentences("I1") == []


def test_one_off_reading_is_not_enough(run: Handmade) -> None:
    run.leave_out(lambda record: isinstance(record, PowerReading) and record.at == at(25))
    assert run.sentences("I1") == [
        "c1: s1 was asked to be evacuated, and its BMC had read off 1 times in a row since it failed, 2 are needed"
    ]


def test_two_off_readings_with_an_on_between_them_are_not_enough(run: Handmade) -> None:
    run.add(PowerReading(at(24), "c1", True))
    [sentence] = run.sentences("I1")
    assert "read off 1 times in a row" in sentence


def test_an_off_that_no_command_has_caused_is_no_proof(run: Handmade) -> None:
    run.leave_out(PowerCommand)
    assert run.sentences("I1") == [
        "c1: s1 was asked to be evacuated, and no power-off was sent to it since it failed"
    ]


def test_readings_from_before_the_failure_do_not_count(run: Handmade) -> None:
    run.change(PowerReading, lambda r: r.at == at(23), at=at(1))
    [sentence] = run.sentences("I1")
    assert "read off 1 times in a row since it failed" in sentence


def test_more_readings_are_needed_where_the_policy_says_so(run: Handmade) -> None:
    run.put(0, "config/fence/confirmations", "3")
    [sentence] = run.sentences("I1")
    assert "read off 2 times in a row since it failed, 3 are needed" in sentence


def test_a_machine_that_is_on_though_its_bmc_reads_off_is_a_breach(run: Handmade) -> None:
    run.leave_out(PowerTruth)
    assert run.sentences("I1") == ["c1: s1 was asked to be evacuated, and the machine was really on"]


def test_a_machine_that_came_on_since_the_last_reading_is_none(run: Handmade) -> None:
    run.add(PowerTruth(at(29), "c1", True))
    assert run.sentences("I1") == []


def test_a_reading_of_on_that_nobody_heeded_is_a_breach(run: Handmade) -> None:
    run.change(NovaCall, lambda r: r.action == "evacuate", at=at(60))
    run.change(KVChange, lambda r: r.at == at(35), at=at(70))
    run.add(PowerReading(at(40), "c1", True), PowerReading(at(50), "c1", False))
    assert run.sentences("I1") == [
        "c1: s1 was asked to be evacuated, and its BMC had read on again since it was proved off"
    ]


def test_an_evacuation_without_a_receipt_is_a_breach(run: Handmade) -> None:
    run.rewrite(OPEN, lambda record: record.pop("receipt", None))
    run.rewrite(CLOSED, lambda record: record.pop("receipt", None))
    assert run.sentences("I1") == ["c1: s1 was asked to be evacuated, and the incident had no receipt of a fence"]


def test_an_evacuation_without_an_incident_is_a_breach(run: Handmade) -> None:
    run.leave_out(lambda record: isinstance(record, KVChange) and "incidents/" in record.key)
    assert run.sentences("I1") == ["c1: s1 was asked to be evacuated, and c1 had no incident"]


def test_an_operators_word_stands_for_the_readings(run: Handmade) -> None:
    run.leave_out(PowerReading)
    run.rewrite(OPEN, lambda record: "receipt" in record and record.update(receipt=vouched(60)))
    assert run.sentences("I1") == []


def test_an_operators_word_that_has_expired_does_not(run: Handmade) -> None:
    run.leave_out(PowerReading)
    run.rewrite(OPEN, lambda record: "receipt" in record and record.update(receipt=vouched(29)))
    [sentence] = run.sentences("I1")
    assert "read off 0 times in a row" in sentence


def test_what_an_operator_sends_himself_is_not_ours(run: Handmade) -> None:
    run.leave_out(PowerReading)
    run.change(NovaCall, lambda r: r.action == "evacuate", sender=OPERATOR)
    assert run.sentences("I1") == []


# --- I6


def test_a_server_that_moved_once_is_no_breach(run: Handmade) -> None:
    assert run.sentences("I6") == []


def test_an_evacuation_while_the_former_one_is_open_is_a_breach(run: Handmade) -> None:
    run.add(Migration(at(32), at(36), "m2", "s1", "c1", "ha-2", "failed"))
    assert run.sentences("I6") == ["c1: s1 was asked to be evacuated again (m2) while m1 was still open"]


def test_a_second_one_after_the_first_was_done_is_a_breach(run: Handmade) -> None:
    run.change(Migration, lambda r: True, ended=at(31))
    run.add(Migration(at(32), at(34), "m2", "s1", "c1", "ha-2", "done"))
    assert run.sentences("I6") == [
        "c1: s1 was evacuated twice in one incident: m1 had ended done, then came m2",
    ]


def test_a_second_one_after_novas_record_says_error_is_none(run: Handmade) -> None:
    run.change(Migration, lambda r: True, ended=at(31), status="error")
    run.add(Migration(at(32), at(34), "m2", "s1", "c1", "ha-2", "done"))
    assert run.sentences("I6") == []


def test_a_second_one_after_the_destination_went_off_is_none(run: Handmade) -> None:
    run.change(Migration, lambda r: True, ended=None, destination="c2")
    run.add(Migration(at(32), at(34), "m2", "s1", "c1", "ha-1", "done"), PowerTruth(at(31), "c2", False))
    assert run.sentences("I6") == []


def test_a_server_that_is_not_at_its_end_in_the_archive_is_a_breach(run: Handmade) -> None:
    run.rewrite(CLOSED, lambda record: record["servers"]["s1"].update(state="asked"))
    assert run.sentences("I6") == ["c1: its incident was archived with s1 asked"]


def test_a_server_that_failed_without_a_reason_is_a_breach(run: Handmade) -> None:
    run.rewrite(CLOSED, lambda record: record["servers"]["s1"].update(state="failed"))
    assert run.sentences("I6") == ["c1: its incident was archived with s1 failed and no reason"]


def test_a_server_that_failed_with_its_reason_is_none(run: Handmade) -> None:
    run.rewrite(CLOSED, lambda record: record["servers"]["s1"].update(state="failed", reason="no valid host"))
    assert run.sentences("I6") == []


def test_a_server_that_the_incident_never_names_is_a_breach(run: Handmade) -> None:
    run.add(GuestRun("s2", "c1", at(0), at(22.1)))
    assert run.sentences("I6") == ["c1: s2 ran on it when it failed, and its incident says nothing of it"]


def test_a_server_that_had_moved_or_ended_before_is_none(run: Handmade) -> None:
    run.add(GuestRun("s2", "c1", at(0), at(3)), GuestRun("s3", "c1", at(0), at(3)), GuestRun("s3", "c2", at(3)))
    assert run.sentences("I6") == []


def test_a_server_that_counts_as_evacuated_and_runs_nowhere_is_a_breach(run: Handmade) -> None:
    run.leave_out(lambda record: isinstance(record, GuestRun) and record.host == "ha-1")
    assert run.sentences("I6") == ["c1: s1 counts as evacuated, and has run nowhere since"]


def test_an_archive_that_is_not_json_breaks_no_judge(run: Handmade) -> None:
    run.change(KVChange, lambda r: r.key == CLOSED, value=b"{")
    assert run.sentences("I6") == []
    assert json.loads("[]") == run.sentences("I1")
