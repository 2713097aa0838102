"""I3, I4, I5 and I7 on runs written by hand: how many are fenced, on whose word, which never, and what stays off."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from kit.audit.incidents import incidents
from kit.audit.keys import Keys
from kit.audit.trace import OPERATOR, Answering, Injected, KVChange, PowerCommand, Report, SessionChange
from kit.fakes.handmade import HA, STARTED, STARTED_KEY, Handmade, at, key, stamp

FAILED = "ha_cluster/compute_nodes/c1/status/failed"
APPROVAL = "compute_nodes/c1/config/approval"
MAINTENANCE = "compute_nodes/c1/config/maintenance"


@pytest.fixture
def run() -> Handmade:
    return Handmade()


def also_fenced(run: Handmade, node: str, seconds: float, **fields: Any) -> None:
    """Let another host be fenced as well; its incident stays open."""
    record = {"started": stamp(seconds), "state": "fencing", "session": node, "node": node, **fields}
    run.add(SessionChange(at(seconds - 0.1), node, "ha-2", True, f"nova-ha {node}"))
    run.put(seconds - 1, f"compute_nodes/{node}/status/failed", "True")
    run.add(*(Report(at(seconds - 2), observer, node, 1) for observer in HA))
    run.put(seconds, f"compute_nodes/{node}/internal/.lock", "", node, 1)
    run.put(seconds, f"incidents/open/{node}", json.dumps(record))
    run.add(Answering(at(seconds - 3), node, False), PowerCommand(at(seconds + 1), node, "off", "ha-2"))


def approve(run: Handmade, seconds: float, node: str, gate: str, until: float = 3600, **more: Any) -> None:
    value = {"by": "ann", "why": "", "until": stamp(until), "gates": [gate], **more}
    run.put(seconds, f"compute_nodes/{node}/config/approval", json.dumps(value))


# --- I3: 4 hosts, of which 2 may fail together


def test_as_many_fences_as_are_allowed_are_no_breach(run: Handmade) -> None:
    also_fenced(run, "c2", 30)
    assert run.sentences("I3") == []


def test_one_fence_too_many_is_a_breach(run: Handmade) -> None:
    also_fenced(run, "c2", 30)
    also_fenced(run, "c3", 50)
    assert run.sentences("I3") == [
        "c3: it was fenced, with 3 hosts together in the window, and 2 are allowed: c1, c2, c3",
    ]


def test_one_that_an_operator_approved_is_none(run: Handmade) -> None:
    also_fenced(run, "c2", 30)
    approve(run, 45, "c3", "max-failed")
    also_fenced(run, "c3", 50)
    assert run.sentences("I3") == []


def test_the_approval_of_another_gate_is_no_approval(run: Handmade) -> None:
    also_fenced(run, "c2", 30)
    approve(run, 45, "c3", "repeat")
    also_fenced(run, "c3", 50)
    assert len(run.sentences("I3")) == 1


@pytest.mark.fault(47)
def test_an_approval_that_ended_before_the_fence_is_no_approval(run: Handmade) -> None:
    also_fenced(run, "c2", 30)
    approve(run, 45, "c3", "max-failed", until=50.5)
    also_fenced(run, "c3", 50)
    assert len(run.sentences("I3")) == 1


@pytest.mark.fault(47)
def test_an_approval_that_was_given_for_the_failure_before_is_no_approval(run: Handmade) -> None:
    also_fenced(run, "c2", 30)
    approve(run, 45, "c3", "max-failed")
    for seconds, number in ((44, "2"), (46, "0"), (48, "3")):
        run.put(seconds, "compute_nodes/c3/internal/number_fails", number)
    also_fenced(run, "c3", 50)
    assert len(run.sentences("I3")) == 1


@pytest.mark.parametrize(("until", "breaches"), [(49, 1), (60, 0)])
def test_what_a_retry_has_kept_of_an_approval_has_its_own_end(run: Handmade, until: float, breaches: int) -> None:
    also_fenced(run, "c2", 30)
    kept = {"gate": "max-failed", "until": stamp(until), "by": "bob"}
    approve(run, 45, "c3", "repeat", permits=[kept])
    also_fenced(run, "c3", 50)
    assert len(run.sentences("I3")) == breaches


@pytest.mark.parametrize(
    ("record", "breaches"),
    [
        ({"permits": [{"gate": "max-failed", "until": stamp(60), "by": "ann"}]}, 0),
        ({"permits": [{"gate": "max-failed", "until": stamp(40), "by": "ann"}]}, 1),
        ({"approved": ["max-failed"], "approved_by": "ann"}, 1),
    ],
    ids=["lasts", "ended", "without an end"],
)
def test_where_consul_was_not_seen_the_incidents_own_permits_count_until_they_end(
    run: Handmade, record: dict[str, Any], breaches: int
) -> None:
    also_fenced(run, "c2", 30)
    also_fenced(run, "c3", 50, **record)
    run.change(KVChange, lambda row: row.key.endswith("incidents/open/c3"), since=at(40))
    assert len(run.sentences("I3")) == breaches


def test_what_is_over_and_older_than_the_window_does_not_count(run: Handmade) -> None:
    run.put(0, "config/monitor/window", "25")
    also_fenced(run, "c2", 40)
    also_fenced(run, "c3", 50)
    assert run.sentences("I3") == []


def test_the_limit_is_the_policys(run: Handmade) -> None:
    run.put(0, "config/monitor/max_failed", "1")
    also_fenced(run, "c2", 30)
    assert run.sentences("I3") == [
        "c2: it was fenced, with 2 hosts together in the window, and 1 are allowed: c1, c2",
    ]


def test_a_fence_without_an_incident_is_a_breach(run: Handmade) -> None:
    run.add(PowerCommand(at(50), "c4", "off", "ha-2"))
    assert run.sentences("I3") == ["c4: it was fenced without an incident: nobody counted it"]


# --- I4


def test_a_fence_on_the_word_of_a_quorum_is_no_breach(run: Handmade) -> None:
    run.change(Report, lambda r: r.observer == "ha-3" and r.streak == 1, streak=0)
    assert run.sentences("I4") == []


def test_a_fence_on_the_word_of_one_is_a_breach(run: Handmade) -> None:
    run.change(Report, lambda r: r.observer != "ha-1" and r.streak == 1, streak=0)
    assert run.sentences("I4") == [
        "c1: its power was cut, and 1 observers had reported it failing, 2 are needed",
    ]


@pytest.mark.parametrize("fields", [{"alive": False}, {"streak": None}])
def test_an_observer_that_is_dead_or_does_not_know_has_no_vote(run: Handmade, fields: dict[str, Any]) -> None:
    run.change(Report, lambda r: r.observer != "ha-1" and r.streak == 1, **fields)
    assert len(run.sentences("I4")) == 1


def test_votes_of_different_times_make_no_quorum(run: Handmade) -> None:
    run.leave_out(lambda record: isinstance(record, Report) and record.streak == 1)
    run.add(Report(at(6), "ha-1", "c1", 1), Report(at(7), "ha-1", "c1", 0), Report(at(8), "ha-2", "c1", 1))
    assert len(run.sentences("I4")) == 1


def test_a_fence_of_a_host_that_is_not_failed_is_a_breach(run: Handmade) -> None:
    run.leave_out(lambda record: isinstance(record, KVChange) and record.key == FAILED and record.at == at(18))
    assert run.sentences("I4") == ["c1: its power was cut, and status/failed was not True"]


def test_an_effect_from_the_minority_of_a_partition_is_a_breach(run: Handmade) -> None:
    run.put(0, "config/session/lock_delay", "5")
    run.add(Injected(at(10), "partition", "server-1 ha-1 | server-2 server-3 ha-2 ha-3", at(300)))
    found = run.sentences("I4")
    assert found[0] == (
        "c1: power-off was sent by ha-1, cut off from most Consul servers: "
        "server-1 ha-1 | server-2 server-3 ha-2 ha-3"
    )
    assert len(found) == 4


def test_an_effect_within_the_lock_delay_of_the_cut_is_none(run: Handmade) -> None:
    run.add(Injected(at(10), "partition", "server-1 ha-1 | server-2 server-3 ha-2 ha-3", at(300)))
    assert run.sentences("I4") == []


@pytest.mark.parametrize(
    "sides",
    [
        "server-1 | server-2 server-3 ha-1 ha-2 ha-3",
        "server-1 server-2 ha-1 | server-2 server-3 ha-1 | server-3 server-1 ha-2",
    ],
)
def test_an_effect_from_a_side_with_most_servers_is_none(run: Handmade, sides: str) -> None:
    run.put(0, "config/session/lock_delay", "5")
    run.add(Injected(at(10), "partition", sides))
    assert run.sentences("I4") == []


# --- I5


def test_the_fence_of_a_silent_host_is_no_breach(run: Handmade) -> None:
    assert run.sentences("I5") == []


def test_the_fence_of_a_host_in_maintenance_is_a_breach(run: Handmade) -> None:
    run.put(3, MAINTENANCE, json.dumps({"until": stamp(3600), "by": "bob"}))
    assert run.sentences("I5") == [
        "c1: its power was cut, in a maintenance until 2030-01-01 13:00:00, and no approval named maintenance",
    ]


def test_a_maintenance_that_is_over_or_was_ended_is_no_reason(run: Handmade) -> None:
    run.put(3, MAINTENANCE, json.dumps({"until": stamp(21), "by": "bob"}))
    assert run.sentences("I5") == []
    run.put(3, MAINTENANCE, json.dumps({"until": stamp(3600), "by": "bob"}))
    run.drop(4, MAINTENANCE)
    assert run.sentences("I5") == []


@pytest.mark.parametrize(("until", "breach"), [(18, False), (7200, True)])
def test_a_maintenance_that_was_changed_a_moment_before_the_fence_counts_in_both_versions(
    run: Handmade, until: float, breach: bool
) -> None:
    """The driver may have seen either."""
    run.cluster = replace(run.cluster, reaction_s=10)
    run.put(3, MAINTENANCE, json.dumps({"until": stamp(3600), "by": "bob"}))
    run.put(18, MAINTENANCE, json.dumps({"until": stamp(until), "by": "bob"}))
    assert bool(run.sentences("I5")) is breach


def test_the_fence_of_a_host_that_answered_before_the_claim_is_a_breach(run: Handmade) -> None:
    run.add(Answering(at(19), "c1", True))
    assert run.sentences("I5") == [
        "c1: its power was cut, though it answered before the claim, and no approval named answers",
    ]


def test_a_host_that_answers_only_after_the_claim_could_not_be_known(run: Handmade) -> None:
    run.add(Answering(at(21), "c1", True))
    assert run.sentences("I5") == []


def test_the_fence_of_the_drivers_own_host_is_a_breach(run: Handmade) -> None:
    run.cluster = type(run.cluster)(**{**vars(run.cluster), "own_hosts": {"ha-1": "c1"}})
    assert run.sentences("I5") == [
        "c1: its power was cut, by ha-1, which runs on it, and no approval named own-host",
    ]


@pytest.mark.parametrize("gate", ["maintenance", "answers"])
def test_an_approval_that_names_it_lets_it_pass(run: Handmade, gate: str) -> None:
    run.put(3, MAINTENANCE, json.dumps({"until": stamp(3600), "by": "bob"}))
    run.add(Answering(at(19), "c1", True))
    approve(run, 19, "c1", gate)
    [left] = run.sentences("I5")
    assert gate not in left.split("no approval named ")[1]


@pytest.mark.fault(47)
@pytest.mark.parametrize("gate", ["maintenance", "answers"])
def test_one_that_has_ended_lets_nothing_pass(run: Handmade, gate: str) -> None:
    run.put(3, MAINTENANCE, json.dumps({"until": stamp(3600), "by": "bob"}))
    run.add(Answering(at(19), "c1", True))
    approve(run, 19, "c1", gate, until=20)
    assert len(run.sentences("I5")) == 2


def test_the_approval_of_an_incident_before_this_one_serves_no_more(run: Handmade) -> None:
    approve(run, 2, "c1", "answers")
    run.drop(3, APPROVAL)
    run.put(3, f"incidents/closed/c1/{key(3)}", json.dumps({"state": "withdrawn", "started": stamp(3)}))
    run.add(Answering(at(19), "c1", True))
    assert len(run.sentences("I5")) == 1


@pytest.mark.parametrize("form", [STARTED_KEY, STARTED])
def test_a_record_in_history_is_the_incident_that_was_open_whichever_form_its_key_has(
    run: Handmade, form: str
) -> None:
    run.change(KVChange, lambda r: r.key.endswith(STARTED_KEY), key=f"ha_cluster/incidents/closed/c1/{form}")
    [incident] = incidents(Keys(run.trace()))
    assert incident.archived is not None
    assert [run.sentences(name) for name in ("I1", "I3", "I4", "I5", "I7", "I8")] == [[]] * 6


# --- I7


def test_a_host_that_stays_fenced_is_no_breach(run: Handmade) -> None:
    assert run.sentences("I7") == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"forced_down": False}, "its force-down was undone by us"),
        ({"status": "enabled"}, "its nova-compute was enabled by us"),
    ],
)
def test_undoing_the_fence_in_nova_is_a_breach(run: Handmade, body: dict[str, Any], words: str) -> None:
    run.call(31, "/v2.1/os-services/id-c1", body)
    assert run.sentences("I7") == [f"c1: {words} while its incident was open"]


def test_powering_it_on_is_a_breach(run: Handmade) -> None:
    run.add(PowerCommand(at(31), "c1", "on", "ha-1"))
    assert run.sentences("I7") == ["c1: it was powered on by us while its incident was open"]


def test_evacuating_to_it_is_a_breach(run: Handmade) -> None:
    run.evacuate(31, server="s9", target="c1", sender="ha-2")
    assert run.sentences("I7") == ["c1: s9 was evacuated to it while its incident was open"]


def test_after_its_incident_it_may_be_put_back_to_work(run: Handmade) -> None:
    run.call(36, "/v2.1/os-services/id-c1", {"forced_down": False})
    assert run.sentences("I7") == []


def test_what_the_operator_does_is_his_own(run: Handmade) -> None:
    run.call(31, "/v2.1/os-services/id-c1", {"forced_down": False}, sender=OPERATOR)
    assert run.sentences("I7") == []
    run.call(31, "/v2.1/os-services/id-c1", {"forced_down": False}, sender="")
    run.change(SessionChange, lambda r: True, name="nova-ha reset c1")
    assert run.sentences("I7") == []


def test_the_stamps_of_the_record_do_not_matter(run: Handmade) -> None:
    """Stamps of two machines are not compared: an incident is what was written when it was seen."""
    run.rewrite("ha_cluster/incidents/open/c1", lambda record: record.update(started=stamp(-7200)))
    run.change(KVChange, lambda r: r.key.endswith(STARTED_KEY), key=f"ha_cluster/incidents/closed/c1/{key(-7200)}")
    assert [run.sentences(name) for name in ("I1", "I3", "I4", "I5", "I7")] == [[]] * 5
