"""The whole recovery on fakes: what happens to a dead host, whatever else goes wrong meanwhile."""

from __future__ import annotations

import pytest
from kit.fakes.world import Crash, World, hand_edit
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import IncidentState, ServerState
from nova_ha.compute import ServerID
from nova_ha.compute.states import VMState
from nova_ha.errors import NovaError, OutcomeUnknown, TryAgain
from nova_ha.power import PowerState

SERVERS = 4


@pytest.fixture
def world() -> World:
    world = World()
    world.nova.add("c1", SERVERS)
    return world


def assert_recovered(world: World, node: str = "c1") -> None:
    """Everything that must be true of a node that was recovered."""
    assert world.incident(node) is None
    [incident] = world.closed(node)
    assert incident.state is IncidentState.FINISHED
    assert incident.receipt is not None
    assert {p.state for p in incident.servers.values()} == {ServerState.EVACUATED}
    assert not world.nova.servers(node)
    assert world.store.value(f"ha_cluster/compute_nodes/{node}/status/recovered") == "True"
    assert_nothing_doubled_or_left(world)


def assert_nothing_doubled_or_left(world: World) -> None:
    assert not world.nova.doubled
    assert not world.nova.unfenced
    assert world.leftovers() == []


@pytest.mark.fault(3)
def test_a_hung_host_is_fenced_and_its_servers_run_on_the_ha_node(world: World) -> None:
    world.hang("c1")
    results = world.recover("ha-1")
    assert results["c1"].outcome == "finished"
    assert_recovered(world)
    assert {server.host for server in world.nova.inventory.values()} == {"ha-1"}
    assert world.bmcs["c1"].commands == [PowerState.ON]
    assert world.nova.hosts["c1"].forced_down
    assert not world.nova.hosts["c1"].enabled


def test_force_down_comes_before_disable_and_both_before_the_first_evacuation(world: World) -> None:
    world.hang("c1")
    world.recover()
    assert [call[0] for call in world.nova.calls[:3]] == ["force_down", "disable", "evacuate"]


def test_a_healthy_cloud_gets_no_write(world: World) -> None:
    world.recover()
    assert world.store.commits == []
    assert world.nova.calls == []


@pytest.mark.fault(1)
def test_a_host_that_is_off_already_is_recovered(world: World) -> None:
    world.hang("c1")
    world.bmcs["c1"].state = PowerState.OFF
    world.recover()
    assert_recovered(world)


def test_a_stopped_server_stays_stopped_and_a_running_one_runs(world: World) -> None:
    [stopped] = world.nova.add("c1", vm_state=VMState.STOPPED)
    world.hang("c1")
    world.recover()
    states = {server.id: server.vm_state for server in world.nova.inventory.values()}
    assert states.pop(stopped) is VMState.STOPPED
    assert set(states.values()) == {VMState.ACTIVE}


def test_paused_servers_are_rebuilt_and_left_shut_down(world: World) -> None:
    [paused] = world.nova.add("c1", vm_state=VMState.PAUSED)
    world.hang("c1")
    world.recover()
    assert_recovered(world)
    assert world.nova.inventory[paused].vm_state is VMState.STOPPED


def test_no_more_than_the_policys_concurrency_is_in_flight(world: World) -> None:
    world.store.put("ha_cluster/config/recovery/concurrency", "2")
    world.nova.add("c1", 6)
    most = 0

    def count(call: tuple[str, ...]) -> None:
        nonlocal most
        most = max(most, sum(record.status.open for record in world.nova.records))

    world.nova.before = count
    world.hang("c1")
    world.recover()
    assert_recovered(world)
    assert 1 <= most <= 2


def test_servers_of_higher_priority_are_asked_for_first(world: World) -> None:
    [first] = world.nova.add("c1", metadata={"ha_priority": "7"})
    world.hang("c1")
    world.recover()
    assert next(call for call in world.nova.calls if call[0] == "evacuate")[1] == first


@pytest.mark.fault(20)
@pytest.mark.fault(24)
@pytest.mark.fault(32)
@pytest.mark.parametrize(
    ("prepare", "gate"),
    [
        (lambda w: w.revive("c1"), Gate.ANSWERS),
        (lambda w: w.nova.silent.discard("c1"), Gate.NOVA_REPORTS),
        (lambda w: w.nova.disable("id-c1", "disks are being changed"), Gate.DISABLED_BY_OTHER),
        (lambda w: setattr(w.bmcs["c1"], "name", "guid-of-another"), Gate.BMC_IDENTITY),
        (lambda w: w.store.drop("ha_cluster/compute_nodes/c1/internal/runtime_config"), Gate.RUNTIME_CONFIG),
        (lambda w: w.store.put("ha_cluster/config/recovery/mode", "approve"), Gate.APPROVAL),
    ],
)
def test_the_last_look_asks_the_operator_and_touches_nothing(world: World, prepare: object, gate: Gate) -> None:
    world.hang("c1")
    prepare(world)  # type: ignore[operator]
    calls = len(world.nova.calls)
    world.recover()
    incident = world.incident("c1")
    assert incident is not None
    assert incident.state is IncidentState.NEEDS_OPERATOR
    assert incident.gate is gate
    assert world.bmcs["c1"].commands == []
    assert len(world.nova.calls) == calls
    assert world.leftovers() == []
    assert world.store.value("ha_cluster/compute_nodes/c1/status/recovered") == "True"


@pytest.mark.fault(24)
@pytest.mark.fault(28)
@pytest.mark.parametrize(
    ("prepare", "undo"),
    [
        (
            lambda w: w.store.put("ha_cluster/paused", '{"by":"ann","why":"x","since":""}'),
            lambda w: w.store.drop("ha_cluster/paused"),
        ),
        (lambda w: w.report(without=["ha-2", "ha-3"]), lambda w: w.report()),
        (
            lambda w: w.store.put("ha_cluster/ha_nodes/ha-1/status/in_use", "True"),
            lambda w: w.store.put("ha_cluster/ha_nodes/ha-1/status/in_use", "False"),
        ),
        (
            lambda w: w.store.put(
                "ha_cluster/compute_nodes/c1/config/maintenance", '{"by":"a","until":"2031-01-01T00:00:00Z"}'
            ),
            lambda w: w.store.drop("ha_cluster/compute_nodes/c1/config/maintenance"),
        ),
        (lambda w: w.nova.fail("services", NovaError("503")), lambda w: None),
        (
            lambda w: w.store.put("ha_cluster/config/nonsense/x", "1"),
            lambda w: w.store.drop("ha_cluster/config/nonsense/x"),
        ),
        (
            lambda w: w.store.put("ha_cluster/compute_nodes/c1/internal/number_fails", "x"),
            lambda w: w.store.put("ha_cluster/compute_nodes/c1/internal/number_fails", "3"),
        ),
    ],
)
def test_what_may_pass_by_itself_is_waited_for_and_then_recovered(
    world: World, prepare: object, undo: object
) -> None:
    world.hang("c1")
    prepare(world)  # type: ignore[operator]
    world.recover()
    assert world.incident("c1") is None
    assert world.bmcs["c1"].commands == []
    undo(world)  # type: ignore[operator]
    world.recover()
    assert_recovered(world)


@pytest.mark.fault(17)
def test_a_bmc_that_says_ok_and_stays_on_never_leads_to_an_evacuation(world: World) -> None:
    world.bmcs["c1"].obeys = False
    world.hang("c1")
    world.recover()
    assert world.incident("c1").gate is Gate.NOT_OFF  # type: ignore[union-attr]
    assert world.nova.calls == []
    assert world.leftovers() == []


@pytest.mark.fault(17)
@pytest.mark.fault(20)
def test_a_bmc_that_reads_off_while_the_host_answers_is_another_machines(world: World) -> None:
    world.bmcs["c1"].obeys = False
    world.bmcs["c1"].readings = [PowerState.ON] + [PowerState.OFF] * 20
    world.bmcs["c1"].identity = lambda timeout_s: (world.silent.pop("c1", None) and "guid-c1") or "guid-c1"  # type: ignore[method-assign,assignment]
    world.hang("c1")
    world.recover()
    assert world.incident("c1").gate in (Gate.NOT_SILENT, Gate.ANSWERS)  # type: ignore[union-attr]
    assert world.nova.calls == []


@pytest.mark.fault(18)
def test_unknown_between_two_off_readings_starts_the_count_again(world: World) -> None:
    world.hang("c1")
    unknown, off = PowerState.UNKNOWN, PowerState.OFF
    on = PowerState.ON
    world.bmcs["c1"].readings = [on, on, off, unknown, off, off]
    world.recover()
    assert_recovered(world)
    assert world.closed("c1")[0].receipt.proof == "short"  # type: ignore[union-attr]


@pytest.mark.fault(16)
def test_a_bmc_that_acts_and_loses_its_answer_is_sent_the_command_again(world: World) -> None:
    world.bmcs["c1"].loses_answer = True
    world.hang("c1")
    world.recover()
    assert_recovered(world)
    assert world.bmcs["c1"].commands == [PowerState.ON, PowerState.OFF]


@pytest.mark.fault(2)
def test_a_bmc_away_asks_the_operator_and_the_recovery_goes_on_when_it_is_back(world: World) -> None:
    world.bmcs["c1"].away = True
    world.hang("c1")
    world.recover()
    assert world.incident("c1").gate is Gate.BMC_UNREACHABLE  # type: ignore[union-attr]
    assert world.nova.calls == []
    world.recover("ha-2")
    assert world.incident("c1").gate is Gate.BMC_UNREACHABLE  # type: ignore[union-attr]
    world.bmcs["c1"].away = False
    world.recover("ha-2")
    assert_recovered(world)


@pytest.mark.fault(18)
@pytest.mark.fault(32)
def test_a_host_powered_on_during_the_evacuation_stops_everything(world: World) -> None:
    world.hang("c1")

    def power_on(call: tuple[str, ...]) -> None:
        if call[0] == "evacuate":
            world.bmcs["c1"].state = PowerState.ON

    world.store.put("ha_cluster/config/recovery/concurrency", "1")
    world.nova.before = power_on
    world.recover()
    incident = world.incident("c1")
    assert incident.gate is Gate.POWERED_ON  # type: ignore[union-attr]
    assert len([call for call in world.nova.calls if call[0] == "evacuate"]) < SERVERS
    assert world.leftovers() == []


@pytest.mark.fault(30)
def test_a_force_down_that_somebody_undid_stops_the_evacuation(world: World) -> None:
    world.store.put("ha_cluster/config/recovery/concurrency", "1")
    world.hang("c1")

    def undo(call: tuple[str, ...]) -> None:
        if call[0] == "evacuate":
            world.nova.before = lambda call: None
            world.nova.force_down("id-c1", False)

    world.nova.before = undo
    world.recover()
    assert world.incident("c1").gate is Gate.SERVICE_UP  # type: ignore[union-attr]
    assert_nothing_doubled_or_left(world)


@pytest.mark.fault(29)
@pytest.mark.parametrize("method", ["evacuations", "services", "server", "servers"])
def test_errors_of_novas_reads_are_borne(world: World, method: str) -> None:
    world.hang("c1")

    def break_reads(call: tuple[str, ...]) -> None:
        if call[0] == "disable":
            world.nova.fail(method, NovaError("500"), times=3)

    world.nova.before = break_reads
    world.recover()
    assert_recovered(world)


@pytest.mark.fault(29)
@pytest.mark.parametrize("acts", [True, False])
def test_an_evacuation_whose_answer_was_lost_is_never_doubled(world: World, acts: bool) -> None:
    world.nova.fail("evacuate", OutcomeUnknown("lost"), times=3, acts=acts)
    world.hang("c1")
    world.recover()
    assert_recovered(world)


@pytest.mark.fault(29)
def test_an_evacuation_that_nova_begins_long_after_its_answer_was_lost_is_not_sent_again(world: World) -> None:
    world.nova.lose_and_act_later(5)
    world.nova.rebuild_s = 10
    world.hang("c1")
    world.recover()
    assert_recovered(world)
    assert len(world.nova.records) == SERVERS


def test_a_server_that_somebody_else_is_evacuating_is_followed_not_asked_for(world: World) -> None:
    world.nova.rebuild_s = 20
    world.hang("c1")
    taken = next(iter(world.nova.inventory))

    def evacuate_by_hand(call: tuple[str, ...]) -> None:
        if call[0] == "disable":
            world.nova.before = lambda call: None
            world.nova.evacuate(ServerID(taken), "ha-2")

    world.nova.before = evacuate_by_hand
    world.recover()
    assert_recovered(world)
    assert world.nova.inventory[taken].host == "ha-2"


@pytest.mark.fault(15)
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ha_cluster/compute_nodes/c1/config/maintenance", '{"by":"a","until":"2031-01-01T00:00:00Z"}'),
        ("ha_cluster/paused", '{"by":"ann","why":"x","since":""}'),
        ("ha_cluster/compute_nodes/c1/status/failed", "False"),
    ],
)
def test_what_the_operator_sets_between_the_last_look_and_the_claim_is_respected(
    world: World, key: str, value: str
) -> None:
    world.hang("c1")
    world.store.before = hand_edit(world, key, value)
    world.recover()
    assert world.incident("c1") is None
    assert world.bmcs["c1"].commands == []
    assert world.leftovers() == []


@pytest.mark.fault(31)
def test_a_full_ha_node_falls_back_to_the_scheduler(world: World) -> None:
    world.nova.fail_spawn["ha-1"] = "No valid host was found"
    world.hang("c1")
    world.recover()
    assert_recovered(world)
    assert "ha-1" not in {server.host for server in world.nova.inventory.values()}


def test_a_stopped_server_whose_first_try_failed_stays_stopped(world: World) -> None:
    [stopped] = world.nova.add("c1", vm_state=VMState.STOPPED)
    world.nova.fail_spawn["ha-1"] = "No valid host was found"
    world.hang("c1")
    world.recover()
    [incident] = world.closed("c1")
    assert incident.servers[stopped].attempts == 2
    assert incident.servers[stopped].state is ServerState.EVACUATED
    assert world.nova.inventory[stopped].vm_state is VMState.STOPPED


def test_nobody_shuts_down_what_nova_has_left_shut_down(world: World) -> None:
    world.nova.add("c1", vm_state=VMState.STOPPED)
    world.hang("c1")
    world.recover()
    assert "stop" not in {call[0] for call in world.nova.calls}


@pytest.mark.fault(31)
def test_a_server_that_cannot_be_rebuilt_ends_named_and_the_others_go_on(world: World) -> None:
    world.store.put("ha_cluster/config/recovery/target", "ha-node")
    [resized] = world.nova.add("c1", vm_state=VMState.RESIZED)
    world.hang("c1")
    world.recover()
    [incident] = world.closed("c1")
    assert incident.servers[resized].state is ServerState.FAILED
    assert "resize" in incident.servers[resized].reason
    assert sum(p.state is ServerState.EVACUATED for p in incident.servers.values()) == SERVERS
    assert any("still on c1" in step.what for step in incident.steps)
    assert_nothing_doubled_or_left(world)


@pytest.mark.fault(31)
def test_a_server_deleted_meanwhile_is_skipped(world: World) -> None:
    world.hang("c1")
    gone = next(iter(world.nova.inventory))

    def delete(call: tuple[str, ...]) -> None:
        if call[0] == "evacuate":
            world.nova.inventory.pop(gone, None)

    world.nova.before = delete
    world.recover()
    [incident] = world.closed("c1")
    assert incident.servers[gone].state is ServerState.SKIPPED
    assert_nothing_doubled_or_left(world)


def test_failed_reset_by_hand_withdraws_before_the_next_effect(world: World) -> None:
    world.hang("c1")

    def reset(call: tuple[str, ...]) -> None:
        if call[0] == "disable":
            world.store.put("ha_cluster/compute_nodes/c1/status/failed", "False")

    world.nova.before = reset
    world.recover()
    assert world.incident("c1").gate is Gate.WITHDRAWN  # type: ignore[union-attr]
    assert "failed was reset during" in world.incident("c1").reason  # type: ignore[union-attr]
    assert not [call for call in world.nova.calls if call[0] == "evacuate"]
    assert world.leftovers() == []
    world.recover("ha-2")
    assert not [call for call in world.nova.calls if call[0] == "evacuate"]


def test_recovered_reset_by_hand_is_set_again_and_the_work_goes_on(world: World) -> None:
    world.hang("c1")

    def reset(call: tuple[str, ...]) -> None:
        if call[0] == "disable":
            world.store.put("ha_cluster/compute_nodes/c1/status/recovered", "False")

    world.nova.before = reset
    world.recover()
    assert_recovered(world)


def test_an_incident_deleted_under_the_driver_stops_it(world: World) -> None:
    world.hang("c1")

    def remove(call: tuple[str, ...]) -> None:
        if call[0] == "disable":
            world.store.drop("ha_cluster/incidents/open/c1")

    world.nova.before = remove
    with pytest.raises(TryAgain):
        world.recover()
    assert not [call for call in world.nova.calls if call[0] == "evacuate"]


@pytest.mark.fault(37)
def test_pause_in_the_middle_stops_between_steps_and_resume_goes_on(world: World) -> None:
    world.hang("c1")

    def pause(call: tuple[str, ...]) -> None:
        if call[0] == "disable":
            world.store.put("ha_cluster/paused", '{"by":"ann","why":"x","since":""}')

    world.nova.before = pause
    with pytest.raises(TryAgain):
        world.recover()
    assert not [call for call in world.nova.calls if call[0] == "evacuate"]
    assert world.leftovers() == []
    world.store.drop("ha_cluster/paused")
    world.recover("ha-2")
    assert_recovered(world)


def test_sigterm_stops_between_steps_and_another_ha_node_goes_on(world: World) -> None:
    world.hang("c1")

    def stop(call: tuple[str, ...]) -> None:
        world.stopping = call[0] == "force_down" or world.stopping

    world.nova.before = stop
    with pytest.raises(TryAgain):
        world.recover()
    world.stopping = False
    world.no_more_crashes()
    world.recover("ha-2")
    assert_recovered(world)


def count_of_effects() -> int:
    world = World()
    world.nova.add("c1", SERVERS)
    world.hang("c1")
    seen = world.crash_at(-1)
    world.recover()
    return seen()


@pytest.mark.fault(11)
@pytest.mark.parametrize("moment", range(count_of_effects()))
def test_a_driver_killed_at_any_moment_is_resumed_by_another_ha_node(moment: int) -> None:
    world = World()
    world.nova.add("c1", SERVERS)
    world.hang("c1")
    world.crash_at(moment)
    with pytest.raises(Crash):
        world.recover("ha-1")
    world.no_more_crashes()
    world.recover("ha-2")
    assert_recovered(world)


@pytest.mark.fault(11)
@pytest.mark.parametrize("moment", range(0, count_of_effects(), 3))
def test_a_driver_killed_at_any_moment_is_resumed_by_itself(moment: int) -> None:
    world = World()
    world.nova.add("c1", SERVERS)
    world.hang("c1")
    world.crash_at(moment)
    with pytest.raises(Crash):
        world.recover("ha-1")
    world.no_more_crashes()
    world.recover("ha-1")
    assert_recovered(world)


@pytest.mark.fault(33)
def test_two_hosts_failing_together_are_both_recovered(world: World) -> None:
    world.nova.add("c2", SERVERS)
    world.hang("c1", "c2")
    world.recover("ha-1")
    for node in ("c1", "c2"):
        assert_recovered(world, node)


@pytest.mark.fault(21)
def test_more_hosts_than_the_storm_limit_ask_the_operator(world: World) -> None:
    world.hang("c1", "c2", "c3")
    world.recover()
    fenced = [name for name in world.names if world.bmcs[name].commands]
    assert len(fenced) <= 2
    assert any(world.incident(name) and world.incident(name).gate is Gate.MAX_FAILED for name in world.names)  # type: ignore[union-attr]


@pytest.mark.fault(23)
def test_a_second_incident_of_a_node_within_the_window_waits_for_approval(world: World) -> None:
    world.hang("c1")
    world.recover()
    for leaf in ("failed", "recovered"):
        world.store.put(f"ha_cluster/compute_nodes/c1/status/{leaf}", "False")
    world.nova.hosts["c1"] = world.nova.hosts["ha-1"].__class__(
        "id-c1", "c1", True, True, False, "", world.clock.now()
    )
    world.bmcs["c1"].state = PowerState.ON
    world.hang("c1")
    world.recover()
    assert world.incident("c1").gate is Gate.REPEAT  # type: ignore[union-attr]
    assert len(world.bmcs["c1"].commands) == 1
