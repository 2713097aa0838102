"""The last look as a decision over values: each thing that must hold, one at a time, and all of them together."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.fakes.findings import QUESTIONS, RECEIPT, WAITS, WATCHED_S, WORD, a_service, findings, read_once
from kit.fakes.values import NOW, a_maintenance, a_past, a_waiting_incident, an_approval, an_incident
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import IncidentState
from nova_ha.cluster.policy import Policy, Quorum
from nova_ha.power import PowerReading, PowerState
from nova_ha.probe.sighting import SightCause, Sign, graded
from nova_ha.probe.votes import NodeVotes
from nova_ha.recovery.driver_clients import Answer, Sight
from nova_ha.recovery.findings import Findings
from nova_ha.recovery.last_look import Ask, Go, LookAgain, Outcome, Wait, decide


def decided(found: Findings) -> Outcome:
    return decide(found, "c1", found.view.incident("c1"))


def test_a_failed_silent_host_is_claimed() -> None:
    assert decided(findings()) == Go()


@pytest.mark.fault(24)
@pytest.mark.fault(34)
@pytest.mark.parametrize(("gate", "given_"), WAITS)
def test_what_may_pass_by_itself_is_waited_for(gate: Gate, given_: dict[str, Any]) -> None:
    outcome = decided(findings(**given_))
    assert isinstance(outcome, Wait), outcome
    assert outcome.closed.gate is gate


@pytest.mark.fault(20)
@pytest.mark.fault(21)
@pytest.mark.fault(23)
@pytest.mark.fault(24)
@pytest.mark.fault(34)
@pytest.mark.parametrize(("gate", "given_"), QUESTIONS)
def test_what_only_a_human_can_judge_is_asked(gate: Gate, given_: dict[str, Any]) -> None:
    outcome = decided(findings(**given_))
    assert isinstance(outcome, Ask), outcome
    assert outcome.closed.gate is gate


@given(
    st.lists(
        st.sampled_from([values for gate, values in (*WAITS, *QUESTIONS) if gate is not Gate.OWN_HOST]), min_size=1
    )
)
def test_no_combination_of_reasons_against_it_is_claimed(several: list[dict[str, Any]]) -> None:
    merged: dict[str, Any] = {}
    for values in several:
        for name, value in values.items():
            merged[name] = {**merged.get(name, {}), **value} if isinstance(value, dict) else value
    assert not isinstance(decided(findings(**merged)), Go)


@pytest.mark.fault(5)
@pytest.mark.fault(25)
@pytest.mark.parametrize("silent_s", [0, 8, 60, 3600, -9, -3600])
def test_a_nova_compute_is_looked_at_twice_however_old_its_report_is_by_novas_clocks(silent_s: float) -> None:
    services = [a_service("c1", silent_s=silent_s), a_service("ha-1")]
    outcome = decided(findings(services=services, heard=read_once(services)))
    assert isinstance(outcome, LookAgain)
    assert outcome.after_s == WATCHED_S
    assert decided(findings(services=services)) == Go()


@pytest.mark.parametrize("gate", [Gate.REPEAT, Gate.MAX_FAILED, Gate.APPROVAL, Gate.ANSWERS, Gate.DISABLED_BY_OTHER])
def test_an_approval_lets_the_gate_it_names_pass_and_no_other(gate: Gate) -> None:
    given_ = dict(next(values for name, values in QUESTIONS if name is gate))
    approved = findings(**{**given_, "node": {**given_.get("node", {}), "approval": an_approval(gate)}})
    outcome = decided(approved)
    assert isinstance(outcome, Go)
    assert [closed.gate for closed in outcome.passed] == [gate]
    other = Gate.OWN_HOST if gate is not Gate.OWN_HOST else Gate.REPEAT
    for approval in (an_approval(other), an_approval(gate, ends_in_s=-1)):
        refused = findings(**{**given_, "node": {**given_.get("node", {}), "approval": approval}})
        assert isinstance(decided(refused), Ask)


@pytest.mark.fault(20)
def test_no_approval_not_even_one_written_by_hand_lets_another_machines_bmc_pass() -> None:
    outcome = decided(findings(identity="guid-of-another", node={"approval": an_approval(*Gate)}))
    assert isinstance(outcome, Ask)


def test_an_orphan_with_its_receipt_needs_no_votes_and_no_silence() -> None:
    orphan = an_incident("c1", IncidentState.EVACUATING, receipt=RECEIPT)
    votes = NodeVotes({"ha-1": None, "ha-2": None, "ha-3": None}, {})
    assert decided(findings(incidents=(orphan,), votes=votes, sight=Sight(Answer.ANSWERS, "x"))) == Go()


def test_an_orphan_without_a_receipt_is_looked_at_like_a_new_one() -> None:
    orphan = an_incident("c1", IncidentState.FENCING)
    assert isinstance(decided(findings(incidents=(orphan,), sight=Sight(Answer.ANSWERS, "x"))), Ask)


@pytest.mark.fault(37)
def test_a_humans_word_that_it_is_off_does_not_hide_that_it_answers() -> None:
    waiting = a_waiting_incident("c1", Gate.BMC_UNREACHABLE, receipt=WORD)
    assert decided(findings(incidents=(waiting,))) == Go()
    outcome = decided(findings(incidents=(waiting,), sight=Sight(Answer.ANSWERS, "login works")))
    assert isinstance(outcome, Ask)
    assert outcome.closed.gate is Gate.ANSWERS
    services = [a_service("c1"), a_service("ha-1")]
    assert isinstance(
        decided(findings(incidents=(waiting,), services=services, heard=read_once(services))), LookAgain
    )


@pytest.mark.fault(37)
@pytest.mark.parametrize("cause", [cause for cause in SightCause if Sign.CONNECTED in cause.signs])
def test_a_humans_word_that_it_is_off_does_not_hide_that_a_kernel_takes_our_connection(cause: SightCause) -> None:
    sight = Sight.of(graded(cause))
    waiting = a_waiting_incident("c1", Gate.BMC_UNREACHABLE, receipt=WORD)
    outcome = decided(findings(incidents=(waiting,), sight=sight))
    assert isinstance(outcome, Ask)
    assert outcome.closed.gate is (Gate.ANSWERS if sight.answer is Answer.ANSWERS else Gate.NOT_SILENT)
    assert outcome.closed.sign_of_life


@pytest.mark.fault(37)
def test_against_a_humans_word_the_observers_older_looks_are_waited_out() -> None:
    waiting = a_waiting_incident("c1", Gate.BMC_UNREACHABLE, receipt=WORD)
    hangs = dict.fromkeys(("ha-1", "ha-2"), SightCause.LOGIN_HANGS)
    outcome = decided(
        findings(incidents=(waiting,), votes=NodeVotes({"ha-1": 3, "ha-2": 3, "ha-3": 0}, {}, {}, hangs))
    )
    assert isinstance(outcome, Wait)
    assert outcome.closed.gate is Gate.NOT_SILENT


@pytest.mark.fault(37)
def test_a_humans_word_does_not_hide_that_nobody_here_can_tell() -> None:
    waiting = a_waiting_incident("c1", Gate.BMC_UNREACHABLE, receipt=WORD)
    outcome = decided(findings(incidents=(waiting,), sight=Sight(Answer.UNKNOWN, "too busy")))
    assert isinstance(outcome, Wait)
    assert outcome.closed.gate is Gate.ANSWERS


@pytest.mark.fault(23)
@pytest.mark.parametrize("number_fails", [0, 1, 2, 3])
@pytest.mark.parametrize("streak", [1, 2, 3])
def test_a_host_that_was_well_since_it_was_set_failed_must_fail_for_as_long_again(
    number_fails: int, streak: int
) -> None:
    votes = NodeVotes({"ha-1": streak, "ha-2": streak, "ha-3": 0}, {})
    outcome = decided(findings({"number_fails": number_fails}, votes=votes))
    if max(streak, number_fails) >= 3:
        assert outcome == Go()
    else:
        assert isinstance(outcome, Wait)
        assert outcome.closed.gate is Gate.ANSWERS


@pytest.mark.fault(2)
def test_a_bmc_that_was_away_is_waited_for_until_it_reads_again() -> None:
    waiting = a_waiting_incident("c1", Gate.BMC_UNREACHABLE)
    away = PowerReading(PowerState.UNKNOWN, "timed out")
    assert isinstance(decided(findings(incidents=(waiting,), power=away)), Wait)
    assert decided(findings(incidents=(waiting,))) == Go()


def test_a_forced_quorum_of_one_needs_one_vote_only() -> None:
    policy = Policy(monitor_quorum=Quorum(1, forced=True))
    votes = NodeVotes({"ha-1": 3, "ha-2": None, "ha-3": None}, {})
    assert decided(findings(votes=votes, view={"policy": policy})) == Go()


@pytest.mark.fault(25)
def test_a_clock_that_jumped_ahead_ends_no_maintenance() -> None:
    found = findings({"maintenance": a_maintenance()}, now=NOW + timedelta(days=1))
    outcome = decided(found)
    assert isinstance(outcome, Wait)
    assert outcome.closed.gate is Gate.MAINTENANCE


@pytest.mark.fault(25)
def test_a_clock_that_fell_behind_prolongs_no_approval() -> None:
    """It ended a minute ago by Nova's clock, and by ours it has an hour to go."""
    ended = an_approval(Gate.APPROVAL, ends_in_s=-60)
    policy = Policy(recovery_mode="approve")
    found = findings({"approval": ended}, view={"policy": policy}, now=NOW - timedelta(hours=1))
    outcome = decided(found)
    assert isinstance(outcome, Ask)
    assert outcome.closed.gate is Gate.APPROVAL


@pytest.mark.fault(25)
def test_a_clock_that_jumped_ahead_forgets_no_earlier_incident() -> None:
    found = findings(view={"closed": [a_past("c1", NOW - timedelta(minutes=5))]}, now=NOW + timedelta(days=1))
    outcome = decided(found)
    assert isinstance(outcome, Ask)
    assert outcome.closed.gate is Gate.REPEAT
