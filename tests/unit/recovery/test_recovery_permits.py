"""What an operator lets pass inside an incident ends at its own time, wherever it is asked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta

import pytest
from kit.fakes.values import NOW, a_waiting_incident
from kit.fakes.world import World
from nova_ha.clock import to_stamp
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import Incident, IncidentState
from nova_ha.cluster.permit import Permit, renewed
from nova_ha.cluster.schema import compute_node, open_incident
from nova_ha.cluster.view import read_view
from nova_ha.consul.transaction import Operation
from nova_ha.errors import TryAgain
from nova_ha.power import PowerState
from nova_ha.recovery import operator
from nova_ha.recovery.ranks import NEXT_AFTER_S

MINUTE = timedelta(minutes=1)
# Another HA node comes first for c1.
LASTS_THE_LOOK = timedelta(seconds=NEXT_AFTER_S + 1)


@pytest.fixture
def world() -> World:
    world = World()
    world.nova.add("c1", 2)
    return world


def waits_for_its_bmc(world: World, *gates: Gate, until: timedelta = 10 * MINUTE) -> None:
    """c1 hangs and its BMC is away; ann has let the gates pass, and the incident has taken that."""
    world.bmcs["c1"].away = True
    world.hang("c1")
    operator.approve(world.store, world.clock, ["c1"], by="ann", gates=gates, until=world.clock.now() + until)
    world.recover()
    incident = world.incident("c1")
    assert incident is not None
    assert incident.gate is Gate.BMC_UNREACHABLE
    assert [permit.gate for permit in incident.permits] == list(gates)
    assert world.store.value(compute_node("c1", "config/approval")) is None


def answers(world: World) -> None:
    world.silent.pop("c1")
    world.report()


def reports(world: World) -> None:
    world.nova.silent.discard("c1")


def is_maintained(world: World) -> None:
    operator.maintenance(world.store, world.clock, "c1", until=world.clock.now() + 480 * MINUTE, by="bob")


BACK = {Gate.ANSWERS: answers, Gate.NOVA_REPORTS: reports, Gate.MAINTENANCE: is_maintained}


@pytest.mark.fault(47)
@pytest.mark.parametrize("gate", BACK)
def test_two_days_after_an_approval_of_ten_minutes_nothing_passes_by_it(world: World, gate: Gate) -> None:
    waits_for_its_bmc(world, *BACK)
    world.clock.sleep(2 * 24 * 3600)
    BACK[gate](world)
    world.bmcs["c1"].away = False
    world.recover()
    assert world.bmcs["c1"].commands == []
    assert not world.nova.doubled


@pytest.mark.parametrize("gate", BACK)
def test_while_it_lasts_it_is_good_for_every_try_of_its_incident(world: World, gate: Gate) -> None:
    waits_for_its_bmc(world, *BACK, until=60 * MINUTE)
    world.clock.sleep(600)
    BACK[gate](world)
    world.bmcs["c1"].away = False
    world.recover()
    assert len(world.bmcs["c1"].commands) == 1


@pytest.mark.fault(21)
@pytest.mark.fault(47)
def test_a_storm_that_was_approved_once_is_judged_anew_when_its_bmc_is_back(world: World) -> None:
    """An incident that is tried again by itself passed the storm limit by its first approval for ever."""
    waits_for_its_bmc(world, Gate.MAX_FAILED)
    world.clock.sleep(2 * 24 * 3600)
    for name in ("c2", "c3"):
        world.store.put(open_incident(name), a_waiting_incident(name, started=world.clock.now()).to_kv())
        world.store.put(compute_node(name, "status/recovered"), "True")
        world.store.put(compute_node(name, "status/failed"), "True")
    world.bmcs["c1"].away = False
    world.recover()
    incident = world.incident("c1")
    assert incident is not None
    assert incident.gate is Gate.MAX_FAILED
    assert world.bmcs["c1"].commands == []


@pytest.mark.fault(47)
def test_a_permit_that_ends_between_the_look_and_the_command_sends_nothing(world: World) -> None:
    world.hang("c1")
    answers(world)
    until = world.clock.now() + timedelta(seconds=3)
    operator.approve(world.store, world.clock, ["c1"], by="ann", gates=[Gate.ANSWERS, Gate.NOVA_REPORTS], until=until)
    identity = world.bmcs["c1"].identity

    def slow(timeout_s: float) -> str | None:
        world.clock.advance(4)
        return identity(timeout_s)

    def once(operations: Sequence[Operation]) -> None:
        if any(b'"claimed"' in (operation.value or b"") for operation in operations):
            world.store.before = None
            world.bmcs["c1"].identity = slow  # type: ignore[method-assign]

    world.store.before = once
    with pytest.raises(TryAgain, match="that ann lets answers pass has ended since the last look"):
        world.recover()
    world.bmcs["c1"].identity = identity  # type: ignore[method-assign]
    assert world.bmcs["c1"].commands == []
    assert world.leftovers() == []
    world.recover()
    incident = world.incident("c1")
    assert incident is not None
    assert incident.gate is Gate.ANSWERS


def test_a_permit_that_ends_stops_nothing_where_another_one_of_its_gate_lasts(world: World) -> None:
    waits_for_its_bmc(world, Gate.ANSWERS, Gate.NOVA_REPORTS)
    left = _permits(world)[0].until - world.clock.now()  # type: ignore[operator]
    world.clock.sleep(left.total_seconds() - 3)
    answers(world)
    operator.approve(world.store, world.clock, ["c1"], by="bob", gates=[Gate.ANSWERS, Gate.NOVA_REPORTS])
    bmc = world.bmcs["c1"]
    bmc.away, identity = False, bmc.identity

    def slow(timeout_s: float) -> str | None:
        world.clock.advance(2)
        return identity(timeout_s)

    bmc.identity = slow  # type: ignore[method-assign]
    world.recover()
    assert bmc.commands


@pytest.mark.fault(47)
@pytest.mark.parametrize(("lasts", "jump_s"), [(True, 0), (False, 0), (False, -3600)])
def test_a_host_that_answers_before_a_later_attempt_is_fenced_only_while_that_is_let_pass(
    world: World, lasts: bool, jump_s: float
) -> None:
    """Whichever clock says so: ours may have been set back since the last look."""
    world.bmcs["c1"].away = True
    world.hang("c1")
    until = world.clock.now() + (10 * MINUTE if lasts else LASTS_THE_LOOK)
    operator.approve(world.store, world.clock, ["c1"], by="ann", gates=[Gate.ANSWERS, Gate.NOVA_REPORTS], until=until)

    def after_the_first_attempt() -> None:
        if world.bmcs["c1"].away and world.incident("c1"):
            world.bmcs["c1"].away = False
            answers(world)
            world.clock.jump(jump_s)

    world.clock.meanwhile.append(after_the_first_attempt)
    world.recover()
    assert len(world.bmcs["c1"].commands) == lasts
    incident = world.incident("c1")
    assert (incident and incident.gate) is (None if lasts else Gate.ANSWERS)


@pytest.mark.fault(47)
def test_what_an_older_release_let_pass_has_ended(world: World) -> None:
    """Its record names no end, and the gates passed for as long as the incident was open."""
    waits_for_its_bmc(world, Gate.ANSWERS, Gate.NOVA_REPORTS)
    incident = world.incident("c1")
    assert incident is not None
    record = incident.to_values()
    record.pop("permits")
    old = {**record, "approved": ["answers", "nova-reports", "of-tomorrow"], "approved_by": "ann"}
    world.store.put(open_incident("c1"), json.dumps(old))
    answers(world)
    reports(world)
    world.bmcs["c1"].away = False
    world.recover()
    assert world.bmcs["c1"].commands == []
    again = world.incident("c1")
    assert again is not None
    assert (again.gate, again.permits) == (Gate.ANSWERS, ())


def test_who_lets_what_pass_until_when_stands_in_the_incident_and_its_story(world: World) -> None:
    world.hang("c1")
    until = world.clock.now() + 10 * MINUTE
    operator.approve(
        world.store, world.clock, ["c1"], by="ann", why="seen it", gates=[Gate.ANSWERS, Gate.LEFT], until=until
    )
    world.recover()
    [past] = world.closed("c1")
    assert past.permits == (Permit(Gate.ANSWERS, until, "ann", "seen it"), Permit(Gate.LEFT, until, "ann", "seen it"))
    told = [step.what for step in past.steps if step.by == "ann"]
    assert told == [f"lets answers, left pass until {to_stamp(until)}: seen it"]


@pytest.mark.fault(47)
def test_an_approval_that_ends_right_after_the_command_spares_no_proof_of_silence(world: World) -> None:
    """The BMC reads off and is another machine's; the host reports on, and its next report is still to come."""
    world.clock.sleep(30)
    world.hang("c1")
    reports(world)
    world.nova.reports_at["c1"] = world.clock.monotonic()
    bmc = world.bmcs["c1"]
    bmc.obeys, bmc.readings = False, [PowerState.ON, *[PowerState.OFF] * 1000]
    soon = world.clock.now() + LASTS_THE_LOOK
    operator.approve(world.store, world.clock, ["c1"], by="ann", gates=[Gate.NOVA_REPORTS], until=soon)
    world.recover()
    incident = world.incident("c1")
    assert incident is not None
    assert incident.gate is Gate.NOT_SILENT
    assert bmc.commands
    assert not world.nova.doubled


def test_a_later_approval_stands_beside_the_first_which_goes_once_it_has_ended() -> None:
    first, second = Permit(Gate.ANSWERS, NOW + MINUTE, "ann"), Permit(Gate.ANSWERS, NOW + 9 * MINUTE, "bob")
    left = Permit(Gate.LEFT, NOW + MINUTE, "ann")
    assert renewed((first, left), [second], NOW) == (first, left, second)
    assert renewed((first, left), [second], NOW + MINUTE) == (left, second)
    assert renewed((first,), [first], NOW) == (first,)


@pytest.mark.fault(47)
def test_what_a_retry_takes_over_ends_at_its_own_time_in_the_new_incident(world: World) -> None:
    world.bmcs["c1"].away = True
    world.hang("c1")
    world.recover()
    soon = world.clock.now() + 10 * MINUTE
    operator.approve(world.store, world.clock, ["c1"], by="bob", gates=[Gate.ANSWERS], until=soon)
    operator.retry(world.store, world.clock, "c1", by="ann")
    world.recover()
    incident = world.incident("c1")
    assert incident is not None
    ends = {permit.gate: (permit.by, permit.until) for permit in incident.permits}
    assert ends[Gate.ANSWERS] == ("bob", soon)
    assert ends[Gate.REPEAT][0] == "ann"
    world.clock.sleep(600)
    answers(world)
    world.bmcs["c1"].away = False
    world.recover()
    assert world.bmcs["c1"].commands == []


def test_a_record_with_a_permit_that_cannot_be_read_takes_its_node_out(world: World) -> None:
    waiting = a_waiting_incident().to_values()
    for wrong in ({}, {"gate": 7}, {"gate": "answers", "until": "soon"}, {"gate": "answers", "until": 7}, "answers"):
        world.store.put(open_incident("c1"), json.dumps({**waiting, "permits": [wrong]}))
        world.store.put(
            compute_node("c2", "config/approval"),
            json.dumps({"by": "ann", "until": to_stamp(NOW), "gates": [], "permits": [wrong]}),
        )
        view = read_view(world.store)
        assert view.all_problems_of("c1"), wrong
        assert view.all_problems_of("c2"), wrong


def test_a_gate_that_is_approved_again_while_it_waits_goes_on(world: World) -> None:
    waits_for_its_bmc(world, Gate.ANSWERS)
    world.clock.sleep(3600)
    answers(world)
    world.bmcs["c1"].away = False
    world.recover()
    assert _state(world) is IncidentState.NEEDS_OPERATOR
    operator.approve(world.store, world.clock, ["c1"], by="bob", gates=[Gate.ANSWERS])
    world.recover()
    assert world.bmcs["c1"].commands


def _permits(world: World) -> tuple[Permit, ...]:
    incident = world.incident("c1")
    assert incident is not None
    return incident.permits


def _state(world: World) -> IncidentState:
    incident: Incident | None = world.incident("c1")
    assert incident is not None
    return incident.state
