"""The list of readings: what is asked, in which order, and that the decision is its first closed one."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.fakes.findings import BMC, NAMELESS, QUESTIONS, RECEIPT, WAITS, WORD, a_service, findings, read_once, watched
from kit.fakes.values import (
    NOW,
    a_maintenance,
    a_node,
    a_past,
    a_view,
    a_waiting_incident,
    an_approval,
    an_incident,
)
from nova_ha.cluster.gate import Cause, Closed, Gate, Trait
from nova_ha.cluster.incident import Incident, IncidentState
from nova_ha.cluster.node import IdentityWord, Pause, RuntimeConfig
from nova_ha.cluster.permit import Permit
from nova_ha.cluster.policy import Policy
from nova_ha.cluster.reading import WORDS, GateReading, Judged, Then
from nova_ha.cluster.view import OpenIncident
from nova_ha.cluster.witness import Life, Testimony
from nova_ha.consul.values import Problem
from nova_ha.monitor.gates import gates
from nova_ha.power import PowerReading, PowerState
from nova_ha.probe.observation import Failing, Report
from nova_ha.probe.votes import NodeVotes, Votes
from nova_ha.recovery.driver_clients import Answer, Sight
from nova_ha.recovery.findings import Findings
from nova_ha.recovery.gates import FIRST, LAST, SIGNS_OF_LIFE, readings
from nova_ha.recovery.gates import QUESTIONS as ASKED
from nova_ha.recovery.gates import WAITS as WAITED
from nova_ha.recovery.last_look import Ask, Go, LookAgain, Wait, decide
from nova_ha.recovery.silence import Heard

G = Gate
A_NEW_ONE = [
    *(G.NOT_DUE, G.WITHDRAWN, G.POLICY, G.UNREADABLE, G.PAUSED, G.MAINTENANCE, G.OWN_HOST, G.ANSWERS),
    *(G.NO_QUORUM, G.NOVA_AWAY, G.BMC_UNREACHABLE, G.NO_TARGET),
    *(G.LEFT, G.RUNTIME_CONFIG, G.DISABLED_BY_OTHER, G.TOO_MANY_SERVERS),
    *(G.NO_BMC, G.BMC_IDENTITY, G.NO_IDENTITY, G.APPROVAL, G.REPEAT, G.MAX_FAILED, G.NOVA_REPORTS, G.AGENT_ALIVE),
]
ORPHAN = an_incident("c1", IncidentState.EVACUATING, receipt=RECEIPT)
C1_AND_HA_1 = [a_service("c1"), a_service("ha-1")]
CANNOT_TELL = Sight(Answer.UNKNOWN, "too busy")


MINUTE = timedelta(minutes=1)


def read(found: Findings) -> list[GateReading]:
    return readings(found, found.view.compute_nodes["c1"], found.view.incident("c1"))


def asked(found: Findings) -> list[Gate]:
    return [reading.gate for reading in read(found)]


def test_of_a_host_without_an_incident_everything_is_asked_in_this_order_and_is_open() -> None:
    assert asked(findings()) == A_NEW_ONE
    assert {reading.judged for reading in read(findings())} == {Judged.OPEN}


def test_of_a_host_that_its_bmc_proved_off_only_what_can_change_is_asked() -> None:
    never = {
        *(G.NO_QUORUM, G.ANSWERS, G.LEFT, G.NO_BMC, G.BMC_IDENTITY, G.NO_IDENTITY, G.REPEAT, G.MAX_FAILED),
        *(G.NOVA_REPORTS, G.AGENT_ALIVE),
    }
    found = asked(findings(incidents=(ORPHAN,), agent_alive=True))
    assert not never & set(found)
    assert G.NOT_SILENT in found


def test_of_a_host_that_an_operator_vouched_for_it_is_still_asked_whether_it_lives() -> None:
    found = asked(findings(incidents=(a_waiting_incident("c1", G.BMC_UNREACHABLE, receipt=WORD),)))
    assert {G.NOT_SILENT, G.ANSWERS, G.NOVA_REPORTS, G.AGENT_ALIVE} <= set(found)
    assert G.NO_BMC not in found


def test_a_host_that_nobody_can_tell_about_is_waited_for_before_anything_is_asked() -> None:
    found = read(findings(sight=CANNOT_TELL))
    [place] = [at for at, reading in enumerate(found) if reading.gate is G.ANSWERS]
    assert (found[place].then, found[place].shut) == (Then.WAIT, True)
    assert found[place - 1].gate is G.NOVA_AWAY


@pytest.mark.parametrize(("gate", "given_"), [*WAITS, *QUESTIONS])
def test_the_decision_names_the_first_closed_reading(gate: Gate, given_: dict[str, Any]) -> None:
    found = findings(**given_)
    first = next(reading for reading in read(found) if reading.shut)
    outcome = decide(found, "c1", found.view.incident("c1"))
    assert isinstance(outcome, Wait | Ask)
    assert outcome.closed == first.closed
    assert first.gate is gate
    assert first.then is (Then.WAIT if isinstance(outcome, Wait) else Then.ASK)


@given(st.lists(st.sampled_from([values for _, values in (*WAITS, *QUESTIONS)])), st.booleans())
def test_each_gate_is_asked_once_and_nothing_goes_on_over_one_that_is_not_open(
    several: list[dict[str, Any]], fresh_report: bool
) -> None:
    merged: dict[str, Any] = {}
    for values in several:
        for name, value in values.items():
            merged[name] = {**merged.get(name, {}), **value} if isinstance(value, dict) else value
    if fresh_report and merged.get("services", ()) is not None:
        merged["services"] = [a_service("c1", silent_s=1), a_service("ha-1")]
        merged["heard"] = read_once(merged["services"])
    found = findings(**merged)
    judged = read(found)
    assert len({reading.gate for reading in judged}) == len(judged)
    outcome = decide(found, "c1", found.view.incident("c1"))
    assert isinstance(outcome, Go) is all(reading.open for reading in judged)
    not_open = [reading.gate for reading in judged if not reading.open]
    assert isinstance(outcome, LookAgain) is (not_open[:1] == [G.NOVA_REPORTS])


@pytest.mark.parametrize(
    ("gate", "given_", "behind"),
    [
        (G.NO_TARGET, {"services": None}, G.NOVA_AWAY),
        (G.RUNTIME_CONFIG, {"services": None}, G.NOVA_AWAY),
        (G.NOVA_REPORTS, {"services": None}, G.NOVA_AWAY),
        (G.DISABLED_BY_OTHER, {"services": [a_service("ha-1")]}, G.RUNTIME_CONFIG),
        (G.BMC_IDENTITY, {"node": {"bmc": None}}, G.NO_BMC),
        (G.NO_IDENTITY, {"node": {"bmc": None}}, G.NO_BMC),
        (G.NO_IDENTITY, {"identity": "guid-of-another"}, G.BMC_IDENTITY),
        (G.MAX_FAILED, {"votes": NodeVotes({"ha-1": 3, "ha-2": None, "ha-3": None}, {})}, G.NO_QUORUM),
    ],
)
def test_what_needs_to_know_what_is_not_known_is_not_judged(gate: Gate, given_: dict[str, Any], behind: Gate) -> None:
    [found] = [reading for reading in read(findings(**given_)) if reading.gate is gate]
    assert (found.judged, found.open, found.shut) == (Judged.NOT_JUDGED, False, False)
    assert behind.value in found.evidence


@pytest.mark.fault(47)
@pytest.mark.parametrize(
    "given_", [values for gate, values in WAITS if gate in (G.NO_QUORUM, G.NOVA_AWAY, G.NO_TARGET)]
)
def test_that_a_host_lives_is_said_before_anything_is_waited_for(given_: dict[str, Any]) -> None:
    for sight, waits in ((Sight(Answer.ANSWERS, "login works"), False), (Sight(Answer.SILENT, "timed out"), True)):
        outcome = decide(findings(**{**given_, "sight": sight}), "c1", None)
        assert isinstance(outcome, Wait if waits else Ask)
        assert (outcome.closed.gate is G.ANSWERS) is not waits


@pytest.mark.parametrize("gate", Gate)
def test_a_sign_of_life_is_told_from_what_nobody_can_tell(gate: Gate) -> None:
    said = {Closed(gate, "", cause).sign_of_life for cause in (None, Cause.STILL_REPORTS, Cause.SEEN_AGAIN)}
    assert said == {Trait.SIGN_OF_LIFE in gate.traits}
    for cause in (Cause.CANNOT_TELL, Cause.FAILS_BRIEFLY, Cause.CALLED_UP):
        assert not Closed(gate, "", cause).sign_of_life


def test_a_bmc_that_does_not_answer_is_left_to_the_fence() -> None:
    assert decide(findings(identity=None, identity_trouble="timed out"), "c1", None) == Go()


@pytest.mark.parametrize("given_", [values for gate, values in QUESTIONS if gate is Gate.NO_IDENTITY])
def test_an_approval_that_lasts_lets_a_bmc_without_identity_pass(given_: dict[str, Any]) -> None:
    node = given_.get("node", {})
    lasts, over = an_approval(G.NO_IDENTITY), an_approval(G.NO_IDENTITY, ends_in_s=-1)
    passed = decide(findings(**{**given_, "node": {**node, "approval": lasts}}), "c1", None)
    assert isinstance(passed, Go)
    assert [closed.gate for closed in passed.passed] == [G.NO_IDENTITY]
    outcome = decide(findings(**{**given_, "node": {**node, "approval": over}}), "c1", None)
    assert isinstance(outcome, Ask)
    assert outcome.closed.gate is G.NO_IDENTITY


VOUCHED = {"bmc": replace(BMC, identity="none"), "identity_word": IdentityWord("ann", "its board shows none", NOW)}


def test_an_operators_standing_word_lets_a_bmc_without_identity_pass() -> None:
    for shown in (None, "guid-c1"):
        assert decide(findings(VOUCHED, identity=shown), "c1", None) == Go()
    [found] = [r for r in read(findings(VOUCHED)) if r.gate is G.NO_IDENTITY]
    assert found.evidence == "not compared, by ann's word of 2030-01-01: its board shows none"


@pytest.mark.parametrize(
    "given_",
    [
        {"node": VOUCHED, "identity": "guid-c2"},
        {"node": {"approval": an_approval(*Gate)}, "identity": "guid-of-another"},
        {"node": {"approval": an_approval(*Gate), "bmc": NAMELESS}, "identity": "GUID-C3"},
    ],
)
def test_no_word_and_no_approval_lets_the_bmc_of_another_machine_pass(given_: dict[str, Any]) -> None:
    outcome = decide(findings(**given_), "c1", None)
    assert isinstance(outcome, Ask)
    assert outcome.closed.gate is G.BMC_IDENTITY


def test_who_lets_a_gate_pass_is_told_and_until_when() -> None:
    policy = {"policy": Policy(recovery_mode="approve")}
    [found] = [r for r in read(findings({"approval": an_approval(G.APPROVAL)}, view=policy)) if r.gate is G.APPROVAL]
    assert (found.is_, found.open) == ("approved by ann", True)
    assert found.evidence == "recovery/mode is approve; ann lets it pass until 2030-01-01T13:00:00.000Z"
    taken = an_incident("c1", IncidentState.CLAIMED, permits=(Permit(G.APPROVAL, NOW + MINUTE, "bob"),))
    [found] = [r for r in read(findings(incidents=(taken,), view=policy)) if r.gate is G.APPROVAL]
    assert found.evidence == "recovery/mode is approve; bob lets it pass until 2030-01-01T12:01:00.000Z"


@pytest.mark.fault(47)
@pytest.mark.parametrize(
    ("until", "words"),
    [
        (NOW, "bob let it pass until 2030-01-01T12:00:00.000Z: that has ended"),
        (None, "bob let it pass, without an end that is recorded: that counts no longer"),
    ],
)
def test_what_has_ended_lets_nothing_pass_inside_an_incident_and_is_told(until: datetime | None, words: str) -> None:
    taken = an_incident("c1", IncidentState.CLAIMED, permits=(Permit(G.APPROVAL, until, "bob"),))
    policy = {"policy": Policy(recovery_mode="approve")}
    [found] = [r for r in read(findings(incidents=(taken,), view=policy)) if r.gate is G.APPROVAL]
    assert found.shut
    assert found.evidence == f"recovery/mode is approve; {words}"


@pytest.mark.fault(25)
@pytest.mark.fault(47)
def test_a_permit_in_an_incident_ends_by_whichever_clock_is_ahead() -> None:
    taken = an_incident("c1", IncidentState.CLAIMED, permits=(Permit(G.APPROVAL, NOW + MINUTE, "bob"),))
    policy = {"policy": Policy(recovery_mode="approve")}
    ahead = [replace(a_service(name), read_at=NOW + 2 * MINUTE) for name in ("c1", "ha-1")]
    [found] = [r for r in read(findings(incidents=(taken,), view=policy, services=ahead)) if r.gate is G.APPROVAL]
    assert found.shut
    assert found.clocks is not None
    assert found.clocks.ended == ("its approval",)


@pytest.mark.fault(47)
@pytest.mark.parametrize("gate", [G.MAX_FAILED, G.REPEAT])
@pytest.mark.parametrize("until", [NOW + MINUTE, NOW, None])
def test_an_orphan_that_was_claimed_by_a_permit_is_judged_anew_once_that_has_ended(
    gate: Gate, until: datetime | None
) -> None:
    """One that needed none counts already: it is not asked about again."""
    past = tuple(a_past(f"c{n}", NOW) for n in (1, 2, 3, 4))
    for permits in ((Permit(gate, until, "bob"),), ()):
        orphan = an_incident("c1", IncidentState.FENCING, permits=permits)
        found = [r for r in read(findings(incidents=(orphan,), view={"closed": past})) if r.gate is gate]
        assert [r.shut for r in found] == ([True] if permits and until != NOW + MINUTE else [])


# --- every gate has its row, its place and its words ---


def others_are_back() -> tuple[Heard, ...]:
    """Nova called all but c1 down when it was first asked."""
    first, last = watched([a_service("c1"), a_service("ha-1"), a_service("c2")])
    down = [replace(service, up=service.host == "c1") for service in first.services]
    return Heard(-1.0, -0.5, down), first, last


def just_confirmed_off() -> Incident:
    word = replace(WORD, at=NOW - timedelta(seconds=5), until=NOW + timedelta(hours=1))
    return a_waiting_incident("c1", G.BMC_UNREACHABLE, receipt=word)


def several() -> list[GateReading]:
    """Every gate of both parts as open and as closed, for each of its reasons."""
    expired = replace(WORD, until=NOW + timedelta(minutes=5))
    waits = a_waiting_incident("c1", G.RECEIPT_EXPIRED, receipt=expired)
    ahead = [replace(a_service(name), read_at=NOW + timedelta(minutes=10)) for name in ("c1", "ha-1")]
    off = PowerReading(PowerState.OFF)
    away = PowerReading(PowerState.UNKNOWN, "timed out")
    cases: list[dict[str, Any]] = [
        {},
        {"sight": CANNOT_TELL},
        {"incidents": (ORPHAN,)},
        {"incidents": (ORPHAN,), "power": off, "sight": Sight(Answer.SILENT, "no banner", True)},
        {"incidents": (an_incident("c1", IncidentState.FINISHED),)},
        {"incidents": (a_waiting_incident("c1", G.BMC_UNREACHABLE),), "power": away},
        {"incidents": (waits,), "services": ahead},
        {"services": C1_AND_HA_1, "heard": read_once(C1_AND_HA_1)},
        {"services": C1_AND_HA_1, "heard": watched(C1_AND_HA_1, moved=())},
        {"services": C1_AND_HA_1, "failing": frozenset({"ha-1"})},
        {"incidents": (a_waiting_incident("c1", G.BMC_UNREACHABLE, receipt=WORD),), "services": C1_AND_HA_1[1:]},
        {"view": {"problems": {"c1": (Problem("ha_cluster/compute_nodes/c1/status/failed", "is bad"),)}}},
        {"node": {"maintenance": a_maintenance(-60)}},
        {"node": VOUCHED},
        {"agent_alive": True, "sight": Sight(Answer.SILENT, "login hangs", True)},
        {"agent_alive": True, "incidents": (just_confirmed_off(),)},
        {
            "reported": frozenset({"c1"}),
            "incidents": (just_confirmed_off(),),
            "services": C1_AND_HA_1,
            "heard": watched(C1_AND_HA_1, moved=("c1", "ha-1"), for_s=1),
        },
        {"reported": frozenset({"c1"})},
        {
            "reported": frozenset({"c1"}),
            "services": C1_AND_HA_1,
            "heard": watched(C1_AND_HA_1, moved=("c1", "ha-1"), for_s=1),
        },
        {"heard": others_are_back()},
        {"votes": NodeVotes({"ha-1": 1, "ha-2": 1, "ha-3": 1}, {})},
        {"root_disks": 2},
        *(values for _, values in (*WAITS, *QUESTIONS)),
    ]
    found = [reading for values in cases for reading in read(findings(**values))]
    by_the_fence = GateReading.of(G.PORT_REFUSES, False, said="its BMC reads off", node="c1", me="ha-1")
    return [*found, by_the_fence, *_monitors()]


def _monitors() -> list[GateReading]:
    report = Report("ssh", 5, 4, 1.0, "boot", {name: Failing(3, "timed out") for name in ("c2", "c3", "c4")})
    nodes = [a_node(name) for name in ("c2", "c3", "c4")]
    found = []
    for c1 in (a_node(), a_node(left=True, maintenance=a_maintenance()), a_node(maintenance=a_maintenance(-60))):
        for values in ({}, {"pause": Pause("ann", "", ""), "pause_index": 3}):
            for incidents in ({}, {"c1": OpenIncident(7, an_incident("c1"))}):
                view = replace(a_view([c1, *nodes], **values), incidents=incidents)  # type: ignore[arg-type]
                found += gates(view, Votes(dict.fromkeys(view.ha_nodes, report)), "c1", NOW)
    for life in Life:
        seen = Testimony(life, 1, NOW)
        view = a_view([a_node(), *nodes])
        told = {name: replace(ha, testimonies={"c1": seen}) for name, ha in view.ha_nodes.items()}
        found += gates(replace(view, ha_nodes=told), Votes(dict.fromkeys(told, report)), "c1", NOW)
    ignored = a_view([a_node(), *nodes], policy=Policy(monitor_witness="ignore"))
    found += gates(ignored, Votes(dict.fromkeys(ignored.ha_nodes, report), alive=frozenset({"c1"})), "c1", NOW)
    return found


def test_each_row_says_who_asks_the_gate() -> None:
    found = several()
    of_the_look = {reading.gate for reading in found if reading.then is not Then.HOLD}
    assert of_the_look == {gate for gate in Gate if Trait.LAST_LOOK in gate.traits}
    of_the_monitor = {reading.gate for reading in _monitors()}
    assert of_the_monitor == {gate for gate in Gate if Trait.MONITOR in gate.traits}
    assert len({*FIRST, *SIGNS_OF_LIFE, *WAITED, *ASKED, *LAST}) == len(
        (*FIRST, *SIGNS_OF_LIFE, *WAITED, *ASKED, *LAST)
    )


def test_there_are_words_for_each_reading_and_no_others() -> None:
    used = set()
    for reading in several():
        assert reading.evidence
        assert "{" not in reading.evidence
        keys = ((reading.gate, reading.cause), (reading.gate, reading.judged))
        used.add(next((key for key in keys if key in WORDS), None))
    assert set(WORDS) - used == set()


@pytest.mark.fault(43)
@pytest.mark.parametrize(("own_s", "after_s"), [(None, 0), (5, 0), (30, 24), (120, 132)])
def test_a_host_whose_own_nova_conf_reports_more_seldom_is_waited_for_longer(
    own_s: int | None, after_s: float
) -> None:
    """It stood still for 12 s."""
    outcome = decide(findings({"runtime": RuntimeConfig("c1", report_interval_s=own_s)}), "c1", None)
    assert isinstance(outcome, LookAgain if after_s else Go)
    assert not isinstance(outcome, LookAgain) or after_s - 1 <= outcome.after_s <= after_s


@pytest.mark.fault(34)
@pytest.mark.parametrize(("host", "own"), [("ha-1.example.org", True), ("HA-1", True), ("ha-10", False)])
def test_its_own_host_is_known_in_any_case_and_with_and_without_its_domain(host: str, own: bool) -> None:
    services = [a_service(host), a_service("c2")]
    found = findings({"runtime": RuntimeConfig(host), "nova_word": host}, services=services)
    shut = [reading.gate for reading in read(found) if reading.shut]
    assert (G.OWN_HOST in shut) is own
