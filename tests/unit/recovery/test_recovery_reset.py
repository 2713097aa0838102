"""The return of a node: it is freed only when it lives and is clean, and no driver can touch it meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from kit.fakes.nova import FakeNova
from kit.fakes.values import a_waiting_incident, an_incident, started_key
from kit.fakes.world import World
from nova_ha.clock import to_stamp
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import Incident, IncidentState, ServerState
from nova_ha.cluster.schema import RESERVE_REASON, WAKE, compute_node, ha_node, open_incident
from nova_ha.cluster.view import read_view
from nova_ha.compute.states import MigrationStatus, VMState
from nova_ha.consul.transaction import Operation, lock
from nova_ha.errors import ConfigError, NovaError, OutcomeUnknown, Refused, TryAgain
from nova_ha.power import PowerState
from nova_ha.recovery.driver_clients import Answer, Sight
from nova_ha.recovery.operator import approve
from nova_ha.recovery.reset import Returned, reset

LOCK = compute_node("c1", "internal/.lock")


class ReturningNova:
    """What Nova does when a fenced host comes back; wraps the FakeNova of a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.nova: FakeNova = world.nova
        self.cleans_after_s = 30.0
        self.clean_at: float | None = None
        forced = self.nova.force_down

        def force_down(service_id: str, down: bool) -> None:
            if not down and any(r.status is MigrationStatus.DONE for r in self.nova.evacuations("c1")):
                raise NovaError("400 Unable to force up host: ensure the compute service has been restarted")
            forced(service_id, down)

        self.nova.force_down = force_down  # type: ignore[method-assign]
        world.clock.meanwhile.append(self._clean)

    def restart(self) -> None:
        """The host is powered on and its nova-compute started."""
        self.world.bmcs["c1"].state = PowerState.ON
        self.world.revive("c1")
        self.clean_at = self.world.clock.monotonic() + self.cleans_after_s

    def _clean(self) -> None:
        if self.clean_at is not None and self.world.clock.monotonic() >= self.clean_at:
            done = MigrationStatus.DONE
            self.nova.records = [
                replace(r, status=MigrationStatus.COMPLETED) if r.status is done and r.source == "c1" else r
                for r in self.nova.records
            ]


@pytest.fixture
def world() -> World:
    """c1 was recovered, and its host has come back since."""
    world = World()
    world.nova.add("c1", 3)
    world.hang("c1")
    assert world.recover()["c1"].outcome == "finished"
    world.driving.add("ha-1")  # the command's own session is renewed while it waits
    return world


@pytest.fixture
def returning(world: World) -> ReturningNova:
    nova = ReturningNova(world)
    nova.restart()
    return nova


def take_back(world: World, said: list[str] | None = None, **options: float) -> Returned:
    lines: list[str] = [] if said is None else said
    clients = world.clients("ha-1")
    return reset(
        clients.store, world.clock, "c1", world.nova, clients.sight, by="ann", progress=lines.append, **options
    )


def assert_back(world: World) -> None:
    view = read_view(world.store)
    node = view.compute_nodes["c1"]
    assert (node.failed, node.recovered, node.number_fails, node.approval) == (False, False, 0, None)
    assert "c1" not in view.incidents
    service = world.nova.hosts["c1"]
    assert (service.forced_down, service.enabled, service.up) == (False, True, True)
    assert world.leftovers() == []


def assert_as_it_was(world: World) -> None:
    node = read_view(world.store).compute_nodes["c1"]
    assert (node.failed, node.recovered) == (True, True)
    assert world.store.data.get(LOCK) is None


def wait_for_operator(world: World, incident: Incident) -> None:
    world.store.put(open_incident("c1"), incident.to_kv())


def test_a_repaired_node_is_freed_in_nova_and_watched_again(world: World, returning: ReturningNova) -> None:
    world.nova.calls.clear()
    said: list[str] = []
    assert take_back(world, said) == Returned("c1")
    assert_back(world)
    assert [call[0] for call in world.nova.calls] == ["force_down", "enable"]
    assert world.store.value(WAKE)
    assert any("clean" in line for line in said)


def test_the_keys_are_written_last_in_one_transaction_with_the_lock(world: World, returning: ReturningNova) -> None:
    seen: list[bool] = []
    world.nova.before = lambda call: seen.append(read_view(world.store).compute_nodes["c1"].failed)
    commits: list[set[str]] = []
    world.store.before = lambda operations: commits.append({operation.key for operation in operations})
    take_back(world)
    assert seen == [True, True]
    *_, last = commits
    assert {compute_node("c1", "status/failed"), compute_node("c1", "status/recovered"), LOCK, WAKE} <= last


def test_nothing_is_freed_before_nova_compute_has_cleaned_up(world: World, returning: ReturningNova) -> None:
    returning.cleans_after_s = 10_000
    returning.restart()
    world.nova.calls.clear()
    with pytest.raises(Refused, match="clean its evacuated servers") as caught:
        take_back(world, patience_s=60)
    assert "restart nova-compute" in caught.value.remedy
    assert world.nova.calls == []
    assert_as_it_was(world)


def test_nothing_is_freed_while_nova_compute_does_not_report(world: World, returning: ReturningNova) -> None:
    world.nova.silent.add("c1")
    world.nova.calls.clear()
    with pytest.raises(Refused, match="the first report of nova-compute"):
        take_back(world, patience_s=60)
    assert world.nova.calls == []
    assert_as_it_was(world)


def report_it_stale(world: World) -> None:
    """The host answers, but the observers' last sweep was before that."""
    world.silent["c1"] = 3
    world.report()
    del world.silent["c1"]


def test_the_keys_wait_for_the_observers_whose_last_results_would_flip_it_again(
    world: World, returning: ReturningNova
) -> None:
    report_it_stale(world)
    sweep_at, said = world.clock.monotonic() + 60, []
    world.clock.meanwhile.append(lambda: world.report() if world.clock.monotonic() >= sweep_at else None)
    take_back(world, said)
    assert_back(world)
    assert world.clock.monotonic() >= sweep_at
    assert "the observers to see it well" in said[-1]


def test_observers_that_never_see_it_well_keep_it_failed(world: World, returning: ReturningNova) -> None:
    report_it_stale(world)
    with pytest.raises(Refused, match=r"gave up waiting for the observers to see it well: ha-1 3x timed out"):
        take_back(world)
    assert_as_it_was(world)


def test_a_host_that_does_not_answer_stays_where_it_is(world: World) -> None:
    with pytest.raises(Refused, match="does not answer SSH"):
        take_back(world)
    assert_as_it_was(world)


def test_a_host_that_cannot_be_looked_at_stays_where_it_is(world: World) -> None:
    with pytest.raises(Refused, match="wrong password"):
        reset(
            world.clients().store,
            world.clock,
            "c1",
            world.nova,
            lambda node, limit_s: Sight(Answer.UNKNOWN, "wrong password"),
            by="ann",
        )


def test_an_older_evacuation_that_stays_open_for_ever_is_no_reason_to_wait(
    world: World, returning: ReturningNova
) -> None:
    [newest, *_] = world.nova.records
    stale = replace(newest, uuid="stale", status=MigrationStatus.PRE_MIGRATING, created_at=world.clock.now())
    old = replace(stale, created_at=newest.created_at.replace(year=2020))
    world.nova.records.append(old)
    take_back(world)
    assert_back(world)


def test_an_open_evacuation_of_a_server_that_is_gone_is_no_reason_to_wait(
    world: World, returning: ReturningNova
) -> None:
    [newest, *_] = world.nova.records
    world.nova.records.append(replace(newest, uuid="x", server="gone", status=MigrationStatus.ACCEPTED))
    take_back(world)
    assert_back(world)


def test_an_evacuation_that_is_still_open_keeps_the_node_away(world: World, returning: ReturningNova) -> None:
    [newest, *others] = world.nova.records
    world.nova.records = [replace(newest, status=MigrationStatus.PRE_MIGRATING), *others]
    with pytest.raises(Refused, match="pre-migrating"):
        take_back(world, patience_s=60)
    assert world.nova.hosts["c1"].forced_down


def test_a_failed_evacuation_does_not_keep_it_away(world: World, returning: ReturningNova) -> None:
    [newest, *others] = world.nova.records
    world.nova.records = [replace(newest, status=MigrationStatus.FAILED), *others]
    take_back(world)
    assert_back(world)


@pytest.mark.parametrize("reason", ["disks replaced, ann", RESERVE_REASON, ""])
def test_a_service_that_somebody_else_disabled_stays_disabled(
    world: World, returning: ReturningNova, reason: str
) -> None:
    world.nova.hosts["c1"] = replace(world.nova.hosts["c1"], disabled_reason=reason)
    assert take_back(world).left_disabled == (reason or "no reason given")
    assert not world.nova.hosts["c1"].enabled
    assert not world.nova.hosts["c1"].forced_down
    assert not read_view(world.store).compute_nodes["c1"].failed


@pytest.mark.parametrize("acts", [True, False])
@pytest.mark.parametrize("method", ["force_down", "enable"])
def test_an_answer_of_nova_that_is_lost_is_read_back(
    world: World, returning: ReturningNova, method: str, acts: bool
) -> None:
    world.nova.fail(method, OutcomeUnknown("Nova took it and did not answer"), acts=acts)
    if acts:
        take_back(world)
        assert_back(world)
        return
    with pytest.raises(Refused, match="Nova to see nova-compute"):
        take_back(world, patience_s=60)
    assert_as_it_was(world)


@pytest.mark.parametrize("method", ["evacuations", "service"])
def test_reads_of_nova_that_fail_for_a_while_are_borne(world: World, returning: ReturningNova, method: str) -> None:
    real = world.nova.evacuations

    def evacuations(host: str) -> Sequence[object]:
        world.nova.evacuations = real  # type: ignore[method-assign]
        world.nova.fail(method, NovaError("503"), times=3)
        return real(host)

    world.nova.evacuations = evacuations  # type: ignore[method-assign,assignment]
    take_back(world)
    assert_back(world)


def test_an_error_of_nova_gives_the_lock_back_at_once(world: World, returning: ReturningNova) -> None:
    world.nova.fail("enable", NovaError("403 forbidden"))
    with pytest.raises(NovaError):
        take_back(world)
    assert_as_it_was(world)
    take_back(world)
    assert_back(world)


def test_a_host_that_nova_does_not_know_is_named(world: World, returning: ReturningNova) -> None:
    del world.nova.hosts["c1"]
    with pytest.raises(Refused, match="config/nova_host"):
        take_back(world)


def test_a_node_without_novas_name_is_named(world: World, returning: ReturningNova) -> None:
    world.store.drop(compute_node("c1", "internal/runtime_config"))
    with pytest.raises(ConfigError, match="runtime_config"):
        take_back(world)


# --- what it does with an incident ---


@pytest.mark.parametrize("state", [IncidentState.NEEDS_OPERATOR, IncidentState.WITHDRAWN])
def test_an_incident_that_waits_is_archived_as_withdrawn(
    world: World, returning: ReturningNova, state: IncidentState
) -> None:
    incident = replace(a_waiting_incident(gate=Gate.POWERED_ON), state=state)
    wait_for_operator(world, incident)
    assert take_back(world).archived == to_stamp(incident.started)
    assert_back(world)
    past = next(i for i in world.closed("c1") if started_key(i) == started_key(incident))
    assert (past.state, past.steps[-1].by) == (IncidentState.WITHDRAWN, "ann")


def test_an_incident_that_a_driver_holds_is_refused(world: World, returning: ReturningNova) -> None:
    wait_for_operator(world, an_incident(state=IncidentState.EVACUATING))
    session = world.store.create_session("driver", 3600, 30)
    world.store.consul.commit([lock(LOCK, session)])
    with pytest.raises(Refused, match="ha-1 works on c1"):
        take_back(world)
    assert world.nova.hosts["c1"].forced_down


def test_an_orphan_is_refused_while_failed_because_it_is_resumed(world: World, returning: ReturningNova) -> None:
    wait_for_operator(world, an_incident(state=IncidentState.EVACUATING))
    with pytest.raises(Refused, match="takes it over"):
        take_back(world)


def test_an_orphan_that_was_withdrawn_by_hand_frees_its_dead_drivers_ha_node(
    world: World, returning: ReturningNova
) -> None:
    """Else `in_use` with no incident would look like a reservation for ever."""
    wait_for_operator(world, an_incident(state=IncidentState.EVACUATING, driver="ha-2", session="gone"))
    world.store.put(ha_node("ha-2", "status/in_use"), "True")
    world.store.put(compute_node("c1", "status/failed"), "False")
    take_back(world)
    assert_back(world)


def test_a_reservation_is_left_alone(world: World, returning: ReturningNova) -> None:
    world.store.put(ha_node("ha-2", "status/in_use"), "True")
    take_back(world)
    assert world.store.value(ha_node("ha-2", "status/in_use")) == "True"


def test_an_approval_that_nobody_used_is_deleted(world: World, returning: ReturningNova) -> None:
    approve(world.store, world.clock, ["c1"], by="ann")
    take_back(world)
    assert_back(world)


# --- who else is there ---


def test_no_driver_can_claim_the_node_while_it_is_taken_back(world: World, returning: ReturningNova) -> None:
    world.store.put(compute_node("c1", "status/recovered"), "False")
    tried: list[dict[str, object]] = []

    def recover(call: tuple[str, ...]) -> None:
        world.nova.before = lambda call: None
        tried.append(dict(world.recover("ha-2")))

    world.nova.before = recover
    commands = len(world.bmcs["c1"].commands)
    take_back(world)
    assert tried == [{}]
    assert len(world.bmcs["c1"].commands) == commands
    assert_back(world)


def test_a_driver_that_claimed_since_the_look_is_respected(world: World, returning: ReturningNova) -> None:
    def claimed(_: Sequence[Operation]) -> None:
        world.store.before = None
        world.store.consul.commit([lock(LOCK, world.store.create_session("driver", 3600, 30))])

    world.store.before = claimed
    with pytest.raises(Refused, match="held"):
        take_back(world)
    assert world.nova.hosts["c1"].forced_down


def test_a_lock_delay_is_named_as_such(world: World, returning: ReturningNova) -> None:
    session = world.store.create_session("driver", 3600, 30)
    world.store.consul.commit([lock(LOCK, session)])
    world.store.expire_session(session)
    with pytest.raises(TryAgain, match="lock delay"):
        take_back(world)


def test_a_command_that_lost_its_lock_frees_nothing(world: World, returning: ReturningNova) -> None:
    world.nova.calls.clear()

    def die() -> None:
        if world.store.data.get(LOCK):
            world.store.expire_session(world.store.data[LOCK].session)

    world.clock.meanwhile.append(die)
    with pytest.raises(TryAgain):
        take_back(world)
    assert world.nova.calls == []


def test_a_count_that_the_monitor_writes_meanwhile_does_not_disturb(world: World, returning: ReturningNova) -> None:
    fails = iter(range(5, 1000))

    def count() -> None:
        world.store.put(compute_node("c1", "internal/number_fails"), str(next(fails)))

    world.clock.meanwhile.append(count)
    take_back(world)
    assert_back(world)


def test_it_can_be_run_again(world: World, returning: ReturningNova) -> None:
    take_back(world)
    world.nova.calls.clear()
    assert take_back(world) == Returned("c1")
    assert world.nova.calls == []
    assert_back(world)


def test_a_node_that_nobody_registered_is_an_error(world: World) -> None:
    with pytest.raises(ConfigError, match="no compute node"):
        reset(world.store, world.clock, "c99", world.nova, world.clients().sight, by="ann")


def test_one_report_is_not_enough(world: World, returning: ReturningNova) -> None:
    """It may be the last one that the host sent before it died again."""

    said: list[str] = []

    def dies_after_one_report() -> None:
        if any("second report" in line for line in said):
            world.nova.silent.add("c1")

    world.clock.meanwhile.append(dies_after_one_report)
    with pytest.raises(Refused, match="the second report of nova-compute"):
        take_back(world, said)
    assert_as_it_was(world)


@pytest.mark.parametrize("how", ["off", "another"])
def test_a_bmc_that_reads_off_or_is_another_machines_takes_nothing_back(
    world: World, returning: ReturningNova, how: str
) -> None:
    clients = world.clients("ha-1")
    if how == "off":
        world.bmcs["c1"].state = PowerState.OFF
    else:
        world.store.put(compute_node("c1", "config/bmc/identity"), "guid-of-another")
    with pytest.raises(Refused, match="reads off" if how == "off" else "expected guid-of-another"):
        reset(
            clients.store,
            world.clock,
            "c1",
            world.nova,
            lambda node, limit_s: Sight(Answer.ANSWERS, "login works"),
            by="ann",
            bmc=clients.bmc,
        )
    assert_as_it_was(world)


@pytest.mark.fault(32)
@pytest.mark.parametrize("listed", [True, False])
def test_a_start_that_waits_for_the_host_is_named_at_the_end_and_before_all_else_at_its_return(listed: bool) -> None:
    """Its nova-compute starts the guest before it sees that the server is not its own any more."""
    world = World()
    world.store.put("ha_cluster/config/recovery/concurrency", "1")
    world.nova.add("c1", 1)
    [web] = world.nova.add("c1", 1, VMState.STOPPED)

    def start(call: tuple[str, ...]) -> None:
        if call[0] == ("disable" if listed else "evacuate") and world.nova.inventory[web].host == "c1":
            world.nova.inventory[web] = replace(world.nova.inventory[web], task_state="powering-on")
            world.nova.before = lambda call: None

    world.nova.before = start
    world.hang("c1")
    world.recover()
    [incident] = world.closed("c1")
    assert incident.servers[web].state is ServerState.EVACUATED
    told = (
        "before nova-compute starts on c1: `rabbitmqctl purge_queue compute.c1`; it would take up what waits there "
        f"for {web} (powering-on), though they run elsewhere; where it has started: see that they do not run on c1"
    )
    assert f"audit: {told}" in [step.what for step in incident.steps]
    said: list[str] = []
    with pytest.raises(Refused, match="does not answer SSH"):
        take_back(world, said)
    assert said == [told]
