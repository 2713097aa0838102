"""What the operator decides: each is one transaction, wakes whoever waits for it, and is refused where wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from kit.fakes.values import NOW, a_waiting_incident, an_incident
from kit.fakes.world import World
from nova_ha.clock import to_stamp
from nova_ha.cluster.gate import APPROVABLE, APPROVED_BY_DEFAULT, Gate
from nova_ha.cluster.incident import Incident, IncidentState, Receipt, ReceiptMethod
from nova_ha.cluster.node import Approval
from nova_ha.cluster.permit import Permit
from nova_ha.cluster.schema import PAUSED, WAKE, compute_node, open_incident
from nova_ha.cluster.view import read_view
from nova_ha.compute.states import VMState
from nova_ha.consul.transaction import Operation, lock
from nova_ha.consul.values import MAX_OPERATIONS
from nova_ha.errors import ConfigError, HAError, Refused, TryAgain
from nova_ha.monitor.assess import assess
from nova_ha.monitor.verdict import Count
from nova_ha.monitor.writing import count_failures
from nova_ha.probe.votes import read_votes
from nova_ha.recovery.operator import (
    approve,
    confirm_off,
    end_maintenance,
    maintenance,
    pause,
    resume,
    retry,
)

HOUR = timedelta(hours=1)


@pytest.fixture
def world() -> World:
    return World()


def given(world: World, incident: Incident | None = None, *, failed: bool = True) -> None:
    """c1 as it is while its incident is open: the observers see it fail."""
    world.silent["c1"] = 3
    world.report()
    world.store.put(compute_node("c1", "status/failed"), str(failed))
    world.store.put(compute_node("c1", "status/recovered"), str(incident is not None))
    if incident:
        world.store.put(open_incident("c1"), incident.to_kv())


def fails(world: World, *names: str) -> None:
    """The monitor counts failed intervals of these nodes."""
    for name in names:
        world.store.put(compute_node(name, "internal/number_fails"), "3")


def hold_the_lock(world: World) -> None:
    session = world.store.create_session("driver", 3600, 30)
    world.store.consul.commit([lock(compute_node("c1", "internal/.lock"), session)])


def meanwhile(world: World, key: str) -> None:
    """Somebody else writes the key between our read and our write."""

    def write(_: Sequence[Operation]) -> None:
        world.store.before = None
        world.store.put(key, "something else")

    world.store.before = write


# --- every command ---

COMMANDS: dict[str, tuple[Callable[[World], object], Incident | None, str]] = {
    "approve": (
        lambda w: approve(w.store, w.clock, ["c1"], by="ann"),
        None,
        compute_node("c1", "config/approval"),
    ),
    "pause": (lambda w: pause(w.store, w.clock, by="ann"), None, PAUSED),
    "maintenance": (
        lambda w: maintenance(w.store, w.clock, "c1", until=w.clock.now() + HOUR, by="ann"),
        None,
        compute_node("c1", "config/maintenance"),
    ),
    "confirm_off": (
        lambda w: confirm_off(w.store, w.clock, "c1", by="ann"),
        a_waiting_incident(gate=Gate.BMC_UNREACHABLE),
        open_incident("c1"),
    ),
    "retry": (
        lambda w: retry(w.store, w.clock, "c1", by="ann"),
        a_waiting_incident(gate=Gate.NOT_OFF),
        open_incident("c1"),
    ),
}
GIVES_WORK = ("approve", "confirm_off", "retry")


@pytest.mark.parametrize("name", COMMANDS)
def test_each_is_one_transaction_and_wakes_with_it_where_it_gives_work(world: World, name: str) -> None:
    command, incident, key = COMMANDS[name]
    given(world, incident)
    command(world)
    [operations] = world.store.commits
    assert key in {operation.key for operation in operations}
    assert (WAKE in {operation.key for operation in operations}) is (name in GIVES_WORK)
    assert {o.key for o in operations if o.verb in ("set", "delete")} <= {WAKE}, "writes depend on what was read"


@pytest.mark.parametrize("name", COMMANDS)
def test_each_writes_nothing_where_somebody_else_wrote_meanwhile(world: World, name: str) -> None:
    command, incident, key = COMMANDS[name]
    given(world, incident)
    meanwhile(world, key)
    with pytest.raises(TryAgain, match=key.replace(".", r"\.")):
        command(world)
    assert world.store.value(WAKE) is None


@pytest.mark.parametrize("name", ["confirm_off", "retry", "maintenance"])
def test_what_must_not_disturb_a_driver_is_refused_while_one_holds_the_lock(world: World, name: str) -> None:
    command, incident, _ = COMMANDS[name]
    given(world, incident)
    hold_the_lock(world)
    with pytest.raises(Refused, match=r"internal/\.lock is held: ha-1|internal/\.lock is held: somebody") as caught:
        command(world)
    assert caught.value.remedy
    assert world.store.commits == []


@pytest.mark.parametrize("name", ["confirm_off", "retry", "maintenance"])
def test_a_driver_that_claims_between_the_look_and_the_write_wins(world: World, name: str) -> None:
    command, incident, _ = COMMANDS[name]
    given(world, incident)

    def claimed(_: Sequence[Operation]) -> None:
        world.store.before = None
        hold_the_lock(world)

    world.store.before = claimed
    with pytest.raises(TryAgain, match="lock"):
        command(world)


@pytest.mark.parametrize("name", ["confirm_off", "retry", "maintenance"])
def test_an_incident_that_cannot_be_read_is_named_and_left_alone(world: World, name: str) -> None:
    given(world, a_waiting_incident())
    world.store.put(open_incident("c1"), "{")
    with pytest.raises(Refused, match=open_incident("c1")):
        COMMANDS[name][0](world)
    assert world.store.value(open_incident("c1")) == "{"


@pytest.mark.parametrize(
    "command",
    [
        lambda w: approve(w.store, w.clock, ["c1", "c99"], by="ann"),
        lambda w: maintenance(w.store, w.clock, "c99", until=NOW + 9 * HOUR, by="ann"),
        lambda w: end_maintenance(w.store, w.clock, "c99"),
        lambda w: confirm_off(w.store, w.clock, "c99", by="ann"),
        lambda w: retry(w.store, w.clock, "ha-1", by="ann"),
    ],
)
def test_a_node_that_nobody_registered_is_an_error(world: World, command: Callable[[World], object]) -> None:
    with pytest.raises(ConfigError, match="no compute node"):
        command(world)
    assert world.store.commits == []


@pytest.mark.parametrize("by", ["", " ", "a\nb"])
def test_a_decision_has_an_author(world: World, by: str) -> None:
    given(world, a_waiting_incident(gate=Gate.NO_BMC))
    for command in (
        lambda: approve(world.store, world.clock, ["c1"], by=by),
        lambda: pause(world.store, world.clock, by=by),
        lambda: confirm_off(world.store, world.clock, "c1", by=by),
        lambda: retry(world.store, world.clock, "c1", by=by),
    ):
        with pytest.raises(ConfigError, match="name"):
            command()
    with pytest.raises(ConfigError, match="reason"):
        pause(world.store, world.clock, by="ann", why="two\nlines")
    assert world.store.commits == []


@pytest.mark.parametrize(
    "command",
    [
        lambda w, t: approve(w.store, w.clock, ["c1"], by="ann", until=t),
        lambda w, t: maintenance(w.store, w.clock, "c1", until=t, by="ann"),
        lambda w, t: confirm_off(w.store, w.clock, "c1", by="ann", until=t),
    ],
)
def test_what_would_have_ended_already_is_an_error(world: World, command: Callable[..., object]) -> None:
    given(world, a_waiting_incident(gate=Gate.NO_BMC))
    with pytest.raises(ConfigError, match="ended already"):
        command(world, world.clock.now())


# --- approve ---


def test_an_approval_names_the_default_gates_for_an_hour(world: World) -> None:
    fails(world, "c1", "c2")
    done = approve(world.store, world.clock, ["c1", "c2", "c1"], by="ann", why="seen it")
    approval = read_view(world.store).compute_nodes["c2"].approval
    assert approval == Approval("ann", "seen it", NOW + HOUR, APPROVED_BY_DEFAULT)
    assert (done.nodes, done.until) == (("c1", "c2"), NOW + HOUR)


def test_a_later_approval_replaces_the_first(world: World) -> None:
    fails(world, "c1")
    approve(world.store, world.clock, ["c1"], by="ann")
    approve(world.store, world.clock, ["c1"], by="bob", gates=[Gate.ANSWERS])
    approval = read_view(world.store).compute_nodes["c1"].approval
    assert approval is not None
    assert (approval.by, approval.gates) == ("bob", (Gate.ANSWERS,))


@pytest.mark.parametrize("gate", [gate for gate in Gate if gate not in APPROVABLE])
def test_a_gate_of_evidence_cannot_be_approved(world: World, gate: Gate) -> None:
    with pytest.raises(ConfigError, match=gate.value):
        approve(world.store, world.clock, ["c1"], by="ann", gates=[Gate.REPEAT, gate])
    assert world.store.commits == []


def test_an_approval_says_which_gate_it_does_not_open(world: World) -> None:
    given(world, a_waiting_incident(gate=Gate.ANSWERS))
    assert approve(world.store, world.clock, ["c1", "c2"], by="ann").still_closed == {"c1": Gate.ANSWERS}
    assert approve(world.store, world.clock, ["c1"], by="ann", gates=[Gate.ANSWERS]).still_closed == {}


def test_a_hundred_nodes_are_approved_each_transaction_with_its_wake(world: World) -> None:
    big = World(compute=100)
    fails(big, *big.names)
    approve(big.store, big.clock, big.names, by="ann")
    assert all(node.approval for node in read_view(big.store).compute_nodes.values())
    assert all(WAKE in {o.key for o in operations} for operations in big.store.commits)
    assert all(len(operations) <= MAX_OPERATIONS for operations in big.store.commits)


@pytest.mark.fault(47)
def test_a_node_that_does_not_fail_is_not_approved_for_its_next_failure(world: World) -> None:
    with pytest.raises(Refused, match="c1: there is no failure to approve") as caught:
        approve(world.store, world.clock, ["c1"], by="ann")
    assert caught.value.remedy
    assert world.store.commits == []


def test_of_several_nodes_those_that_fail_are_approved(world: World) -> None:
    fails(world, "c2")
    done = approve(world.store, world.clock, ["c1", "c2", "c3"], by="ann")
    assert (done.nodes, done.well) == (("c2",), ("c1", "c3"))
    assert [node.name for node in read_view(world.store).compute_nodes.values() if node.approval] == ["c2"]


def test_a_node_in_maintenance_is_counted_again_before_it_is_approved(world: World) -> None:
    maintenance(world.store, world.clock, "c1", until=NOW + HOUR, by="ann")
    with pytest.raises(Refused) as caught:
        approve(world.store, world.clock, ["c1"], by="ann")
    assert "`nova-ha node maintenance c1 --end`" in str(caught.value.remedy)


@pytest.mark.parametrize(
    "case", ["fails", "failed", "incident"], ids=["its count grows", "it is failed", "its incident waits"]
)
def test_a_failure_that_is_there_in_whatever_way_is_approved(world: World, case: str) -> None:
    if case == "fails":
        fails(world, "c1")
    else:
        given(world, a_waiting_incident() if case == "incident" else None, failed=case == "failed")
    assert approve(world.store, world.clock, ["c1"], by="ann").nodes == ("c1",)


@pytest.mark.fault(47)
def test_a_failure_that_ends_while_it_is_approved_takes_no_approval_with_it(world: World) -> None:
    fails(world, "c1")

    def well_again(_: Sequence[Operation]) -> None:
        world.store.before = None
        count_failures(world.store, world.clock)

    world.store.before = well_again
    with pytest.raises(TryAgain, match="number_fails"):
        approve(world.store, world.clock, ["c1"], by="ann")
    assert read_view(world.store).compute_nodes["c1"].approval is None


# --- pause and resume ---


@pytest.mark.fault(37)
def test_a_pause_is_known_to_all_until_it_is_resumed(world: World) -> None:
    present, new = pause(world.store, world.clock, by="ann", why="upgrade")
    assert new
    assert read_view(world.store).pause == present
    assert resume(world.store) == present
    assert not read_view(world.store).paused
    assert world.store.value(WAKE)


def test_a_second_pause_leaves_the_first_in_force(world: World) -> None:
    first, _ = pause(world.store, world.clock, by="ann")
    assert pause(world.store, world.clock, by="bob") == (first, False)


def test_resuming_what_is_not_paused_does_nothing(world: World) -> None:
    assert resume(world.store) is None
    assert world.store.commits == []


def test_a_garbled_pause_can_be_resumed(world: World) -> None:
    world.store.put(PAUSED, b"\xff")
    assert resume(world.store) is not None
    assert not read_view(world.store).paused


# --- maintenance ---


def test_a_maintenance_lasts_until_it_is_ended(world: World) -> None:
    until = world.clock.now() + HOUR
    maintenance(world.store, world.clock, "c1", until=until, by="ann", why="disk")
    assert read_view(world.store).compute_nodes["c1"].maintained(until - timedelta(seconds=1))
    assert end_maintenance(world.store, world.clock, "c1")
    assert not read_view(world.store).compute_nodes["c1"].maintained(world.clock.now())
    assert world.store.value(WAKE)
    assert not end_maintenance(world.store, world.clock, "c1")


def test_a_host_that_boots_when_its_maintenance_is_ended_early_is_counted_from_one(world: World) -> None:
    maintenance(world.store, world.clock, "c1", until=world.clock.now() + HOUR, by="ann")
    world.hang("c1", failed=False)
    end_maintenance(world.store, world.clock, "c1")
    view = read_view(world.store)
    verdict = assess(view, read_votes(world.store, view), "c1", world.clock.now())
    assert verdict == Count(1)


def test_a_maintenance_that_cannot_be_read_can_be_ended(world: World) -> None:
    world.store.put(compute_node("c1", "config/maintenance"), "garbled")
    assert end_maintenance(world.store, world.clock, "c1")
    assert world.store.value(compute_node("c1", "config/maintenance")) is None


def test_a_maintenance_can_be_made_longer(world: World) -> None:
    for hours in (1, 3):
        maintenance(world.store, world.clock, "c1", until=world.clock.now() + hours * HOUR, by="ann")
    assert read_view(world.store).compute_nodes["c1"].maintained(world.clock.now() + 2 * HOUR)


def test_ending_no_maintenance_does_nothing(world: World) -> None:
    assert not end_maintenance(world.store, world.clock, "c1")
    assert world.store.commits == []


# --- confirm-off ---


@pytest.mark.fault(37)
@pytest.mark.parametrize("gate", [gate for gate in Gate if gate.answered_by_a_receipt])
def test_the_operators_word_is_a_receipt_with_an_end(world: World, gate: Gate) -> None:
    given(world, a_waiting_incident(gate=gate, asked={gate: 3}))
    receipt = confirm_off(world.store, world.clock, "c1", by="ann", why="pulled the plug")
    incident = world.incident("c1")
    assert incident is not None
    assert incident.asked == {}
    expected = Receipt(ReceiptMethod.OPERATOR, "ann", NOW, until=NOW + HOUR, why="pulled the plug")
    assert incident.receipt == receipt == expected
    assert incident.state is IncidentState.NEEDS_OPERATOR
    assert "ann" in incident.steps[-1].by


@pytest.mark.parametrize("gate", [gate for gate in Gate if not gate.answered_by_a_receipt])
def test_a_question_that_it_does_not_answer_is_named(world: World, gate: Gate) -> None:
    given(world, a_waiting_incident(gate=gate))
    with pytest.raises(Refused, match=gate.value):
        confirm_off(world.store, world.clock, "c1", by="ann")


@pytest.mark.parametrize(
    ("incident", "failed"),
    [
        (None, True),
        (an_incident(state=IncidentState.FENCING), False),
        (an_incident(state=IncidentState.FENCING), True),
        (an_incident(state=IncidentState.WITHDRAWN), True),
        (a_waiting_incident(gate=Gate.NO_BMC), False),
    ],
)
def test_a_word_that_nobody_waits_for_is_refused(world: World, incident: Incident | None, failed: bool) -> None:
    given(world, incident, failed=failed)
    with pytest.raises(Refused) as caught:
        confirm_off(world.store, world.clock, "c1", by="ann")
    assert caught.value.remedy
    assert world.store.commits == []


@pytest.mark.fault(37)
def test_a_recovery_goes_on_after_the_operators_word(world: World) -> None:
    servers = world.nova.add("c1", 2)
    world.bmcs["c1"].away = True
    world.hang("c1")
    world.recover()
    incident = world.incident("c1")
    assert incident is not None
    assert incident.gate is Gate.BMC_UNREACHABLE
    world.nova.power_lost("c1")
    world.nova.is_off = lambda host: True
    confirm_off(world.store, world.clock, "c1", by="ann")
    assert world.recover()["c1"].outcome == "finished"
    assert {world.nova.inventory[server].host for server in servers} == {"ha-1"}


# --- retry ---


@pytest.mark.parametrize("state", [IncidentState.NEEDS_OPERATOR, IncidentState.WITHDRAWN])
def test_a_retry_archives_what_waits_and_lets_the_node_be_claimed_anew(world: World, state: IncidentState) -> None:
    waiting = replace(a_waiting_incident(gate=Gate.NOT_OFF), state=state, before=IncidentState.FENCING)
    given(world, waiting)
    done = retry(world.store, world.clock, "c1", by="ann")
    [past] = world.closed("c1")
    assert done.archived == to_stamp(past.started)
    assert (past.state, past.steps[-1].by, past.steps[-1].what) == (IncidentState.WITHDRAWN, "ann", "node retry")
    assert world.incident("c1") is None
    assert not read_view(world.store).compute_nodes["c1"].recovered


def test_a_retry_after_a_finished_recovery_lets_the_node_be_claimed_anew(world: World) -> None:
    given(world)
    world.store.put(compute_node("c1", "status/recovered"), "True")
    assert retry(world.store, world.clock, "c1", by="ann").archived == ""
    assert not read_view(world.store).compute_nodes["c1"].recovered


def test_a_retry_can_be_repeated(world: World) -> None:
    given(world, a_waiting_incident(gate=Gate.NOT_OFF))
    retry(world.store, world.clock, "c1", by="ann")
    first = world.store.value(WAKE)
    retry(world.store, world.clock, "c1", by="ann")
    assert world.store.value(WAKE) != first
    assert len(world.closed("c1")) == 1


@pytest.mark.parametrize("bobs", [timedelta(minutes=10), 5 * HOUR])
def test_a_retry_is_an_approval_of_one_more_incident_and_keeps_what_was_approved(
    world: World, bobs: timedelta
) -> None:
    given(world, a_waiting_incident(gate=Gate.NOT_OFF))
    until = world.clock.now() + bobs
    approve(world.store, world.clock, ["c1"], by="bob", why="seen", gates=[Gate.ANSWERS], until=until)
    for _ in range(2):
        retry(world.store, world.clock, "c1", by="ann")
    approval = read_view(world.store).compute_nodes["c1"].approval
    assert approval is not None
    own = [Permit(gate, world.clock.now() + HOUR, "ann", "node retry") for gate in (Gate.REPEAT, Gate.APPROVAL)]
    assert approval.permits == (*own, Permit(Gate.ANSWERS, until, "bob", "seen"))


@pytest.mark.fault(47)
def test_a_retry_does_not_prolong_what_another_operator_approved(world: World) -> None:
    given(world, a_waiting_incident(gate=Gate.NOT_OFF))
    soon = world.clock.now() + timedelta(minutes=10)
    approve(world.store, world.clock, ["c1"], by="bob", gates=[Gate.ANSWERS], until=soon)
    retry(world.store, world.clock, "c1", by="ann")
    node = read_view(world.store).compute_nodes["c1"]
    assert node.lets_pass(Gate.ANSWERS, soon - timedelta(seconds=1))
    assert not node.lets_pass(Gate.ANSWERS, soon)
    assert node.lets_pass(Gate.REPEAT, soon)


@pytest.mark.fault(47)
def test_an_approval_that_has_expired_is_not_revived_by_a_retry(world: World) -> None:
    given(world, a_waiting_incident(gate=Gate.NOT_OFF))
    approve(world.store, world.clock, ["c1"], by="bob", gates=[Gate.ANSWERS])
    world.clock.advance(2 * 3600)
    retry(world.store, world.clock, "c1", by="ann")
    approval = read_view(world.store).compute_nodes["c1"].approval
    assert approval is not None
    assert approval.gates == (Gate.REPEAT, Gate.APPROVAL)
    assert approval.until == world.clock.now() + HOUR


def test_a_node_that_is_not_failed_is_not_retried(world: World) -> None:
    given(world, failed=False)
    with pytest.raises(Refused, match="is not failed"):
        retry(world.store, world.clock, "c1", by="ann")


def test_an_orphan_is_taken_over_and_not_retried(world: World) -> None:
    given(world, an_incident(state=IncidentState.EVACUATING))
    with pytest.raises(Refused, match="takes it over"):
        retry(world.store, world.clock, "c1", by="ann")


def test_a_node_whose_keys_are_wrong_is_not_retried(world: World) -> None:
    given(world, a_waiting_incident())
    world.store.put(compute_node("c1", "config/bmc/port"), "many")
    with pytest.raises(Refused, match="config/bmc/port"):
        retry(world.store, world.clock, "c1", by="ann")


def test_a_retry_recovers_what_the_first_incident_left_with_a_fresh_fence(world: World) -> None:
    """Within the window of repeat offenders, and without another approval."""
    [left] = world.nova.add("c1", vm_state=VMState.BUILDING)
    world.hang("c1")
    assert world.recover()["c1"].outcome == "finished"
    world.nova.inventory[left] = replace(world.nova.inventory[left], vm_state=VMState.ACTIVE)
    retry(world.store, world.clock, "c1", by="ann")
    assert world.recover()["c1"].outcome == "finished"
    assert world.nova.inventory[left].host == "ha-1"
    assert len(world.bmcs["c1"].commands) == 2
    assert len(world.closed("c1")) == 2
    assert world.leftovers() == []


@pytest.mark.parametrize("name", COMMANDS)
def test_no_answer_of_consul_is_passed_on_as_unknown(world: World, name: str) -> None:
    command, incident, _ = COMMANDS[name]
    given(world, incident)
    world.store.mute = True
    with pytest.raises(HAError, match="did not answer"):
        command(world)


@pytest.mark.parametrize(
    "command",
    [
        lambda world: approve(world.store, world.clock, ["c1"], by="ann"),
        lambda world: maintenance(world.store, world.clock, "c1", until=world.clock.now() + HOUR, by="ann"),
    ],
    ids=["approve", "maintenance"],
)
def test_a_node_that_was_removed_meanwhile_is_not_brought_back(
    world: World, command: Callable[[World], object]
) -> None:
    fails(world, "c1")

    def removed(operations: Sequence[Operation]) -> None:
        world.store.before = None
        world.store.drop(compute_node("c1"))

    world.store.before = removed
    with pytest.raises(TryAgain):
        command(world)
    assert world.store.keys(compute_node("c1")) == []
