"""Nova's name of the node in the last look and in the incident: whose it is, and which counts from when on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from kit.fakes.findings import WORD, a_service, findings, watched
from kit.fakes.values import an_incident
from kit.fakes.world import World
from nova_ha.cluster.gate import Cause, Closed, Gate
from nova_ha.cluster.incident import IncidentState
from nova_ha.cluster.node import RuntimeConfig
from nova_ha.cluster.schema import NOVA_HOST, RUNTIME_CONFIG, compute_node, open_incident
from nova_ha.cluster.view import read_view
from nova_ha.recovery.claim import Opened, claimed_incident, open_for_operator
from nova_ha.recovery.last_look import Ask, Go, LookAgain, decide


@pytest.mark.fault(48)
@pytest.mark.parametrize("said", ["c1", "c1.one.org"])
def test_of_two_hosts_with_its_name_in_other_domains_none_is_chosen(said: str) -> None:
    hosts = [a_service(host) for host in ("c1.one.org", "c1.two.org", "c1", "ha-1", "c2")]
    outcome = decide(findings({"runtime": RuntimeConfig(said)}, services=hosts), "c1", None)
    if said == "c1":
        assert isinstance(outcome, Go)
        return
    assert isinstance(outcome, Ask)
    assert (outcome.closed.gate, outcome.closed.cause) == (Gate.RUNTIME_CONFIG, Cause.NAME_OF_ANOTHER)
    assert "may be c1, c1.two.org too" in outcome.closed.why
    vouched = {"runtime": RuntimeConfig(said), "nova_word": said}
    judged = decide(findings(vouched, services=hosts), "c1", None)
    assert isinstance(judged, LookAgain), "only its reports are asked about now"


@pytest.mark.parametrize("others", [["C1"], ["c1"], ["C1", "c1"]])
def test_records_of_one_host_in_other_letters_are_two(others: list[str]) -> None:
    hosts = [a_service(host) for host in ("c1", *others, "ha-1", "c2")]
    outcome = decide(findings(services=hosts), "c1", None)
    assert isinstance(outcome, Ask)
    assert outcome.closed.cause is Cause.TWO_RECORDS


def test_a_host_that_nova_has_in_other_letters_only_is_not_taken_for_it() -> None:
    outcome = decide(findings(services=[a_service("C1"), a_service("ha-1"), a_service("c2")]), "c1", None)
    assert isinstance(outcome, Ask)
    assert outcome.closed.cause is Cause.UNKNOWN_TO_NOVA


def test_an_operators_word_that_it_is_off_does_not_say_which_of_novas_hosts_it_is() -> None:
    waiting = an_incident(state=IncidentState.FENCING, receipt=WORD, nova_host="c9")
    outcome = decide(findings({"runtime": RuntimeConfig("c9")}, (waiting,)), "c1", waiting)
    assert isinstance(outcome, Ask)
    assert outcome.closed.cause is Cause.NAME_NOT_ITS_OWN


@pytest.mark.parametrize("said", ["c2", "c9", "ha-1"])
def test_once_its_power_is_cut_the_reports_of_its_incidents_own_host_are_read(said: str) -> None:
    cut = an_incident(state=IncidentState.FENCED, receipt=WORD, nova_host="c1")
    hosts = [a_service(host) for host in ("c1", "ha-1", "c2")]
    alive = watched(hosts, moved={"c1", "ha-1", "c2"})
    outcome = decide(findings({"runtime": RuntimeConfig(said)}, (cut,), services=hosts, heard=alive), "c1", cut)
    assert isinstance(outcome, LookAgain)
    assert outcome.closed.gate is Gate.NOVA_REPORTS


def test_a_name_that_was_corrected_counts_although_its_operator_has_given_a_word_that_it_is_off(
    world: World,
) -> None:
    waiting = an_incident(
        state=IncidentState.NEEDS_OPERATOR,
        before=IncidentState.FENCING,
        gate=Gate.NO_BMC,
        receipt=WORD,
        nova_host="old",
    )
    found = findings(incidents=(waiting,))
    claimed = claimed_incident(world.clients(), found, found.view.compute_nodes["c1"], waiting, "session")
    assert (claimed.nova_host, claimed.service_id, claimed.receipt) == ("c1", "id-c1", WORD)


def test_an_incident_that_waits_at_another_gate_now_has_the_name_of_now(world: World) -> None:
    world.hang("c1")
    world.recover()
    node, found = world.node("c1"), findings()
    old = an_incident(
        state=IncidentState.NEEDS_OPERATOR, before=IncidentState.FENCING, gate=Gate.ANSWERS, nova_host="old"
    )
    world.store.put(open_incident("c1"), old.to_kv())
    view = read_view(world.store)
    found = replace(found, view=view)
    opened = open_for_operator(world.clients(), found, view.compute_nodes[node.name], Closed(Gate.NO_BMC, "none"))
    assert opened is Opened.WRITTEN
    incident = world.incident("c1")
    assert incident is not None
    assert incident.nova_host == "c1"


def _corrected(world: World) -> None:
    world.store.put(compute_node("c1", RUNTIME_CONFIG), RuntimeConfig("c1").to_kv())
    world.store.put(compute_node("c1", NOVA_HOST), "c1")


def _changed_in_between(world: World) -> None:
    def happen(operations: object) -> None:
        world.store.before = None
        world.store.put(compute_node("c1", NOVA_HOST), "c1-new")

    world.store.before = happen


@pytest.mark.parametrize(("change", "fenced"), [(_corrected, True), (_changed_in_between, False)])
def test_the_claim_takes_the_name_that_was_judged(
    world: World, change: Callable[[World], None], fenced: bool
) -> None:
    world.hang("c1")
    change(world)
    world.recover()
    assert bool(world.bmcs["c1"].commands) is fenced


def test_a_name_that_an_operator_corrects_replaces_the_one_of_an_incident_that_waits(world: World) -> None:
    """It was opened at a gate before that of the name, by the name of then."""
    world.nova.hosts["new-c1"] = replace(world.nova.hosts["c1"], id="id-new-c1", host="new-c1")
    world.nova.reports_at["new-c1"] = 0.0
    world.hang("c1")
    world.store.put("ha_cluster/config/recovery/mode", "approve")
    world.recover()
    assert world.incident("c1") is not None
    world.nova.silent.add("new-c1")
    world.store.put(compute_node("c1", RUNTIME_CONFIG), RuntimeConfig("new-c1").to_kv())
    world.store.put(compute_node("c1", NOVA_HOST), "new-c1")
    world.store.drop("ha_cluster/config/recovery/mode")
    world.store.put(compute_node("c1", "status/recovered"), "False")
    world.clock.sleep(60)
    world.report()
    world.recover()
    forced = [call for call in world.nova.calls if call[0] == "force_down"]
    assert {call[1] for call in forced} == {"new-c1"}


@pytest.fixture
def world() -> World:
    """Four hosts, three HA nodes."""
    return World()
