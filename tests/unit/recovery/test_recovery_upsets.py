"""What upsets a recovery at a bad moment: hand-edited keys, commands, BMCs that refuse, hosts that come back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from kit.fakes.skewed import Skewed
from kit.fakes.trace import TracedWorld
from kit.fakes.world import Crash, World
from nova_ha.cluster.duty import Duty, duty
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import Incident, IncidentState, ServerState
from nova_ha.cluster.node import ComputeNode, RuntimeConfig
from nova_ha.cluster.schema import RESERVE_REASON, RUNTIME_CONFIG, compute_node, ha_node, open_incident
from nova_ha.cluster.view import read_view
from nova_ha.compute import Server, ServerID
from nova_ha.consul.transaction import Operation
from nova_ha.errors import NovaError, TryAgain
from nova_ha.power import PowerState
from nova_ha.recovery.driver import Driver
from nova_ha.recovery.driver_clients import NeedsOperator, Sight
from nova_ha.recovery.operator import approve, confirm_off
from nova_ha.recovery.power_watch import PowerWatch
from nova_ha.recovery.recover import recover_all

PAUSED = '{"by":"ann","why":"x","since":""}'
FAILED = compute_node("c1", "status/failed")
IN_USE = ha_node("ha-1", "status/in_use")


@pytest.fixture
def world() -> Iterator[World]:
    """A World with a failed host. After each test the auditor judges whatever has happened in it."""
    world = TracedWorld()
    world.nova.add("c1", 4)
    world.hang("c1")
    yield world
    assert world.audited == []


def cut_by_hand(world: World) -> None:
    world.bmcs["c1"].state = PowerState.OFF
    world.nova.power_lost("c1")
    confirm_off(world.store, world.clock, "c1", by="ann")


def the_incident(world: World) -> Incident:
    incident = world.incident("c1")
    assert incident is not None
    return incident


def assert_recovered(world: World) -> None:
    assert world.incident("c1") is None
    assert {p.state for p in world.closed("c1")[-1].servers.values()} == {ServerState.EVACUATED}
    assert not world.nova.doubled
    assert world.leftovers() == []


def when_written(world: World, part: bytes, happen: Callable[[], object]) -> None:
    """Let it happen once, right before the incident is written with this in it."""

    def before(operations: Sequence[Operation]) -> None:
        if any(o.key == open_incident("c1") and o.verb == "cas" and part in (o.value or b"") for o in operations):
            world.store.before = None
            happen()

    world.store.before = before


def when_called(world: World, method: str, happen: Callable[[], object]) -> None:
    def before(call: tuple[str, ...]) -> None:
        if call[0] == method:
            world.nova.before = lambda call: None
            happen()

    world.nova.before = before


# --- the word of an operator ---


@pytest.mark.fault(37)
def test_a_node_without_a_bmc_is_recovered_on_an_operators_word(world: World) -> None:
    for leaf in ("ip", "user", "password", "identity"):
        world.store.drop(compute_node("c1", f"config/bmc/{leaf}"))
    world.recover()
    assert the_incident(world).gate is Gate.NO_BMC
    cut_by_hand(world)
    world.recover()
    assert_recovered(world)


@pytest.mark.fault(20)
def test_another_systems_bmc_says_nothing_against_an_operators_word(world: World) -> None:
    world.bmcs["c1"].name = "guid-of-another"
    world.recover()
    assert the_incident(world).gate is Gate.BMC_IDENTITY
    cut_by_hand(world)
    world.bmcs["c1"].readings = [PowerState.ON] * 100
    world.recover()
    assert_recovered(world)


# --- a BMC that refuses, or flaps ---


@pytest.mark.fault(19)
def test_a_bmc_that_answers_and_refuses_is_not_tried_for_ever(world: World) -> None:
    world.bmcs["c1"].refuses = "the user has not the privilege"
    world.recover("ha-1")
    asked = the_incident(world)
    assert asked.gate is Gate.NOT_OFF
    assert "privilege" in asked.reason
    world.recover("ha-2")
    assert the_incident(world) == asked


@pytest.mark.fault(1)
def test_a_bmc_that_refuses_because_the_host_is_off_already_is_enough(world: World) -> None:
    world.bmcs["c1"].refuses_off = True
    world.bmcs["c1"].state = PowerState.OFF
    world.nova.power_lost("c1")
    world.recover()
    assert_recovered(world)


@pytest.mark.fault(18)
def test_power_that_was_on_for_a_moment_stops_the_work_though_it_is_off_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    watches: list[PowerWatch] = []
    take = Driver.work

    def work(driver: Driver, steps: object) -> None:
        watches.append(PowerWatch(driver))
        take(driver, steps)  # type: ignore[arg-type]

    monkeypatch.setattr(Driver, "work", work)
    world.recover()
    [watch] = watches
    assert watch.off()
    for state in (PowerState.ON, PowerState.OFF):
        world.bmcs["c1"].readings = [state]
        watch._read()
    with pytest.raises(NeedsOperator, match="powered-on"):
        watch.off()


@pytest.mark.fault(18)
@pytest.mark.fault(32)
def test_power_is_read_again_after_the_intents_were_written(world: World) -> None:
    def a_slow_write() -> None:
        world.clock.sleep(20)
        world.bmcs["c1"].state = PowerState.ON

    when_written(world, b'"asked"', a_slow_write)
    world.recover()
    assert the_incident(world).gate is Gate.POWERED_ON
    assert not world.nova.unfenced
    assert {p.state for p in the_incident(world).servers.values()} == {ServerState.PENDING}


def test_nothing_goes_on_from_a_fence_without_its_receipt(world: World) -> None:
    def die() -> None:
        raise Crash

    when_called(world, "evacuate", die)
    with pytest.raises(Crash):
        world.recover()
    edited = replace(the_incident(world), receipt=None)
    world.store.put(open_incident("c1"), edited.to_kv())
    world.bmcs["c1"].state = PowerState.ON
    calls = len(world.nova.calls)
    world.recover("ha-2")
    assert the_incident(world).gate is Gate.UNREADABLE
    assert len(world.nova.calls) == calls


# --- the last look ---


@pytest.mark.fault(32)
def test_a_host_that_comes_back_while_the_last_look_waits_is_not_fenced(world: World) -> None:
    world.nova.hosts["c1"] = replace(world.nova.hosts["c1"], updated_at=world.clock.now())
    world.clock.meanwhile.append(lambda: world.silent and world.revive("c1"))  # type: ignore[func-returns-value]
    world.recover()
    assert world.bmcs["c1"].commands == []
    assert the_incident(world).gate is Gate.ANSWERS


@pytest.mark.fault(25)
def test_clocks_of_nova_that_differ_do_not_hold_up_the_last_look(world: World) -> None:
    ahead = world.clock.now() + timedelta(hours=1)
    world.nova.hosts["c1"] = replace(world.nova.hosts["c1"], updated_at=ahead)
    begun = world.clock.monotonic()
    world.recover()
    assert_recovered(world)
    assert world.clock.monotonic() - begun < 60


def test_a_host_that_reports_until_its_power_is_cut_is_recovered_where_that_was_approved(world: World) -> None:
    world.nova.silent.discard("c1")
    approve(world.store, world.clock, ["c1"], by="ann", gates=[Gate.NOVA_REPORTS])
    cut = world.bmcs["c1"].on_off

    def a_last_report() -> None:
        world.clock.sleep(5)
        world.nova.hosts["c1"] = replace(world.nova.hosts["c1"], updated_at=world.clock.now())
        cut()

    world.bmcs["c1"].on_off = a_last_report
    world.recover()
    assert_recovered(world)


def test_a_host_that_reports_on_after_its_power_reads_off_is_left_alone_though_it_was_approved(world: World) -> None:
    world.nova.silent.discard("c1")
    world.bmcs["c1"].on_off = lambda: None
    approve(world.store, world.clock, ["c1"], by="ann", gates=[Gate.NOVA_REPORTS])
    world.recover()
    assert the_incident(world).gate is Gate.NOT_SILENT
    assert world.nova.calls == []


@pytest.mark.fault(43)
def test_one_whose_own_nova_conf_reports_more_seldom_is_heard_though_its_bmc_lies_and_it_was_approved(
    world: World,
) -> None:
    world.store.put(compute_node("c1", RUNTIME_CONFIG), RuntimeConfig("c1", report_interval_s=100).to_kv())
    world.nova.own_interval_s["c1"] = 100.0
    world.nova.reports_at["c1"] = world.clock.monotonic() + 90
    world.nova.silent.discard("c1")
    world.bmcs["c1"].on_off = lambda: None
    approve(world.store, world.clock, ["c1"], by="ann", gates=[Gate.NOVA_REPORTS])
    world.recover()
    assert the_incident(world).gate is Gate.NOT_SILENT
    assert world.nova.calls == []


# --- Nova ---


@pytest.mark.fault(29)
@pytest.mark.fault(31)
def test_a_server_that_nova_cannot_read_does_not_hold_up_the_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, read = next(iter(world.nova.inventory)), world.nova.server

    def server(server_id: ServerID) -> Server | None:
        if server_id == broken:
            raise NovaError("500")
        return read(server_id)

    monkeypatch.setattr(world.nova, "server", server)
    world.store.put("ha_cluster/config/recovery/concurrency", "1")
    assert world.recover()["c1"].outcome == "finished"
    servers = world.closed("c1")[-1].servers
    assert servers.pop(broken).state is ServerState.FAILED
    assert {p.state for p in servers.values()} == {ServerState.EVACUATED}


# --- others at the same time ---


@pytest.mark.fault(15)
@pytest.mark.fault(21)
def test_claims_made_while_this_one_looked_count_against_the_storm_limit() -> None:
    world = World(compute=10)
    world.store.put("ha_cluster/config/recovery/limit", "4")
    world.hang("c1", "c2", "c3")
    clients, others = world.clients("ha-1"), [("ha-2", "c2"), ("ha-3", "c3")]

    def die(call: tuple[str, ...]) -> None:
        raise Crash

    def slow_sight(node: ComputeNode, limit_s: float) -> Sight:
        world.nova.before = die
        while others:
            me, other = others.pop()
            with pytest.raises(Crash):
                recover_all(world.clients(me), [other])
        world.nova.before = lambda call: None
        return clients.sight(node, limit_s)

    recover_all(replace(clients, sight=slow_sight), ["c1"])
    assert [name for name in world.names if world.bmcs[name].commands] == ["c2", "c3"]
    assert the_incident(world).gate is Gate.MAX_FAILED


def test_an_incident_that_began_by_a_clock_far_behind_counts_against_the_storm_limit_all_the_same(
    world: TracedWorld,
) -> None:
    world.clock.jump(-2 * 3600)
    world.hang("c2")
    assert {result.outcome for result in world.recover().values()} == {"finished"}
    world.clock.jump(2 * 3600)
    world.hang("c3")
    world.recover()
    assert world.bmcs["c3"].commands == []


@pytest.mark.fault(25)
def test_an_incident_that_began_by_a_clock_a_year_ahead_closes_no_gate_until_that_day() -> None:
    world = World(compute=3)
    world.clock.jump(365 * 86400)
    world.hang("c1", "c2")
    assert {result.outcome for result in world.recover().values()} == {"finished"}
    world.clock.jump(-365 * 86400)
    for name in ("c1", "c2"):
        world.store.put(compute_node(name, "status/failed"), "False")
        world.store.put(compute_node(name, "status/recovered"), "False")
        world.revive(name)
    world.hang("c3")
    assert world.recover()["c3"].outcome == "finished"


@pytest.mark.fault(25)
def test_an_incident_of_today_counts_on_an_ha_node_whose_clock_is_a_year_behind(world: TracedWorld) -> None:
    world.hang("c2")
    assert {result.outcome for result in world.recover().values()} == {"finished"}
    world.clock.jump(-365 * 86400)
    world.nova.clock = Skewed(world.clock, 365 * 86400)
    world.hang("c3")
    assert world.recover()["c3"].words.startswith("max-failed")
    assert world.bmcs["c3"].commands == []


# --- pause and withdrawal ---


@pytest.mark.fault(37)
def test_a_pause_between_the_intent_and_the_request_costs_no_try(world: World) -> None:
    world.store.put("ha_cluster/config/recovery/attempts", "1")
    when_written(world, b'"asked"', lambda: world.store.put("ha_cluster/paused", PAUSED))
    with pytest.raises(TryAgain, match="paused"):
        world.recover()
    world.store.drop("ha_cluster/paused")
    world.recover("ha-2")
    assert_recovered(world)


def test_a_withdrawal_is_no_failed_attempt_to_fence(world: World) -> None:
    when_written(world, b'"fencing"', lambda: world.store.put(FAILED, "False"))
    world.recover()
    assert the_incident(world).gate is Gate.WITHDRAWN
    assert not [step.what for step in the_incident(world).steps if "attempt 2" in step.what]


def test_a_withdrawn_incident_goes_on_when_failed_is_set_again_and_is_done_then(world: World) -> None:
    when_called(world, "disable", lambda: world.store.put(FAILED, "False"))
    world.recover()
    assert the_incident(world).gate is Gate.WITHDRAWN
    world.recover("ha-2")
    assert the_incident(world).gate is Gate.WITHDRAWN
    world.store.put(FAILED, "True")
    world.recover("ha-2")
    assert_recovered(world)
    assert duty(read_view(world.store), "c1", world.clock.now()).duty is Duty.DONE


@pytest.mark.parametrize("state", [IncidentState.FINISHED, IncidentState.WITHDRAWN])
def test_an_open_incident_that_is_over_is_not_driven(world: World, state: IncidentState) -> None:
    over = Incident("c1", world.clock.now(), state, nova_host="c1")
    world.store.put(open_incident("c1"), over.to_kv())
    assert world.recover()["c1"].outcome == "waits"
    assert world.bmcs["c1"].commands == []


# --- who is in use ---


@pytest.mark.parametrize("garbled", ["", "{"])
def test_an_incident_lost_under_its_driver_leaves_no_ha_node_in_use(world: World, garbled: str) -> None:
    def lose() -> None:
        if garbled:
            world.store.put(open_incident("c1"), garbled)
        else:
            world.store.drop(open_incident("c1"))

    when_called(world, "disable", lose)
    with pytest.raises(TryAgain, match="changed by somebody else"):
        world.recover()
    assert world.leftovers() == []


@pytest.mark.parametrize("me", ["ha-1", "ha-2"])
def test_an_ha_node_reserved_after_it_gave_an_incident_back_stays_reserved(world: World, me: str) -> None:
    world.bmcs["c1"].obeys = False
    world.recover("ha-1")
    world.store.put(IN_USE, "True")
    cut_by_hand(world)
    result = world.recover(me)["c1"]
    assert world.store.value(IN_USE) == "True"
    assert result.outcome == ("waits" if me == "ha-1" else "finished")


def test_a_driver_that_died_over_a_withdrawn_incident_does_not_keep_its_ha_node_from_others(world: World) -> None:
    def die() -> None:
        raise Crash

    when_called(world, "disable", die)
    with pytest.raises(Crash):
        world.recover("ha-1")
    world.store.put(FAILED, "False")
    world.nova.add("c2", 2)
    world.hang("c2")
    assert world.recover("ha-1")["c2"].outcome == "finished"
    assert world.store.value(IN_USE) == "False"


def test_a_semaphore_that_cannot_be_read_is_waited_for(world: World) -> None:
    world.store.put("ha_cluster/locks/recovery/.lock", "junk")
    result = world.recover()["c1"]
    assert result.outcome == "waits"
    assert "ha_cluster/locks/recovery/.lock" in result.words


def test_recovered_reset_by_hand_during_the_last_step_does_not_open_a_second_incident(world: World) -> None:
    recovered = compute_node("c1", "status/recovered")
    when_written(world, b'"evacuated"', lambda: world.store.put(recovered, "False"))
    world.recover()
    assert_recovered(world)
    assert world.store.value(recovered) == "True"
    assert world.recover("ha-2") == {}


def test_an_ha_node_removed_under_its_driver_does_not_come_back(world: World) -> None:
    when_called(world, "disable", lambda: world.store.drop(ha_node("ha-1", "")))
    world.recover("ha-1")
    assert "ha-1" not in read_view(world.store).ha_nodes
    assert_recovered(world)


def test_an_ha_node_removed_before_it_claims_does_not_claim(world: World) -> None:
    when_written(world, b"", lambda: world.store.drop(ha_node("ha-1", "")))
    assert world.recover("ha-1")["c1"].outcome == "waits"
    world.recover("ha-2")
    assert_recovered(world)


# --- the record ---


def test_what_a_step_noted_while_servers_were_asked_for_stays_in_the_story(world: World) -> None:
    world.nova.disable("id-ha-1", RESERVE_REASON)
    world.recover()
    assert any("reserve" in step.what for step in world.closed("c1")[-1].steps)


def test_a_long_story_still_fits_into_consul() -> None:
    now = World().clock.now()
    incident = Incident("c1", now, IncidentState.EVACUATING)
    for number in range(3000):
        incident = incident.noting(now, "ha-1", f"line {number} " + "x" * 300)
    kept = Incident.from_kv(incident.to_kv())
    assert len(incident.to_kv()) <= 360 * 1024
    assert [step.what[:7] for step in kept.steps[:2]] == ["line 0 ", "line 1 "]
    assert kept.steps[-1] == incident.steps[-1]
    assert any("left out" in step.what for step in kept.steps)


@pytest.mark.fault(9)
def test_the_time_that_consul_takes_is_not_the_bmcs(world: World) -> None:
    """The host is on for a moment after the command; Consul is away while that is noted."""
    world.store.put("ha_cluster/config/fence/attempts", "1")
    world.bmcs["c1"].readings = [PowerState.ON, PowerState.ON]
    when_written(world, b"power reads on", lambda: world.clock.advance(25))
    world.recover()
    assert_recovered(world)


def test_a_series_of_off_readings_is_read_to_its_end_when_the_time_is_over(world: World) -> None:
    world.store.put("ha_cluster/config/fence/attempts", "1")
    world.store.put("ha_cluster/config/fence/timeout", "5")
    world.store.put("ha_cluster/config/fence/confirmations", "5")
    world.recover()
    assert_recovered(world)
