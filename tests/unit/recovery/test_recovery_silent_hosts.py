"""A host whose SSH is silent beside a Nova as in the field: one report every 10 s, each host in its own phase."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from kit.fakes.world import World
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.schema import RESERVE_REASON, compute_node
from nova_ha.compute import ServiceReading
from nova_ha.consul.transaction import Operation
from nova_ha.errors import ExitCode, TryAgain
from nova_ha.probe.observation import Failing, Report
from nova_ha.recovery import operator
from nova_ha.recovery.findings import look
from nova_ha.recovery.recover import recover, recover_all

# One answer of Nova's list of services.
ANSWER_S = 0.3
PHASES = [number / 10 for number in range(100)]


def a_world(compute: int = 4, ha: int = 3) -> World:
    """A cloud whose Nova takes its time, with servers on c1."""
    world = World(compute, ha)
    world.nova.add("c1", 2)
    read = world.nova.services

    def slow(about: str = "") -> Sequence[ServiceReading]:
        world.clock.sleep(ANSWER_S)
        return read(about)

    world.nova.services = slow  # type: ignore[method-assign]
    return world


def loses_ssh(world: World, name: str = "c1") -> None:
    """Its sshd is gone, and all else of it is well."""
    world.silent[name] = 3
    world.store.put(compute_node(name, "status/failed"), "True")
    world.store.put(compute_node(name, "internal/number_fails"), "3")
    world.report()


def once_waiting(world: World, happen: Callable[[], None], after_s: float = 5.0) -> None:
    """Let it happen once, so many seconds from now on."""
    at = world.clock.monotonic() + after_s

    def due() -> None:
        if world.clock.monotonic() >= at:
            world.clock.meanwhile.remove(due)
            happen()

    world.clock.meanwhile.append(due)


def asked_by(world: World) -> Gate | None:
    incident = world.incident("c1")
    return incident.gate if incident else None


def assert_recovered(world: World) -> None:
    assert len(world.closed("c1")) == 1
    assert not world.nova.servers("c1")


# --- by its own cadence ---


@pytest.mark.fault(5)
def test_a_host_that_reports_is_fenced_in_no_phase_of_its_reports() -> None:
    fenced = []
    for phase in PHASES:
        world = a_world()
        world.nova.reports_at["c1"] = phase
        world.clock.sleep(30)
        loses_ssh(world)
        world.recover()
        assert asked_by(world) is Gate.NOVA_REPORTS, phase
        fenced += [phase] if world.bmcs["c1"].commands else []
    assert fenced == []


@pytest.mark.parametrize("phase", PHASES[::10])
def test_a_dead_host_is_recovered_in_every_phase_of_its_last_report(phase: float) -> None:
    world = a_world()
    world.nova.reports_at["c1"] = phase
    world.clock.sleep(30)
    world.hang("c1")
    assert world.recover()["c1"].outcome == "finished"
    assert_recovered(world)


@pytest.mark.fault(25)
@pytest.mark.parametrize("ahead_s", [-3600, -9, 9, 3600])
@pytest.mark.parametrize("whose", ["api", "conductor"])
def test_clocks_that_differ_let_no_living_host_be_fenced_and_no_dead_one_wait(ahead_s: float, whose: str) -> None:
    for dead in (False, True):
        world = a_world()
        skew(world, whose, ahead_s)
        world.clock.sleep(30)
        if dead:
            world.hang("c1")
        else:
            loses_ssh(world)
        world.recover()
        if dead:
            assert_recovered(world)
        else:
            assert (asked_by(world), world.bmcs["c1"].commands) == (Gate.NOVA_REPORTS, [])


def skew(world: World, whose: str, ahead_s: float) -> None:
    """Let the API's Date, or the stamps that the conductors write, be so far ahead of all other clocks."""
    read, ahead = world.nova.services, timedelta(seconds=ahead_s)

    def skewed(about: str = "") -> Sequence[ServiceReading]:
        found = read(about)
        if whose == "api":
            return [replace(one, read_at=one.read_at + ahead) for one in found]
        stamped = [one.service.updated_at for one in found]
        return [
            replace(one, service=replace(one.service, updated_at=stamp and stamp + ahead))
            for one, stamp in zip(found, stamped, strict=True)
        ]

    def one_skewed(host: str) -> ServiceReading | None:
        return next((one for one in skewed() if one.service.host == host), None)

    world.nova.services, world.nova.service = skewed, one_skewed  # type: ignore[method-assign]


def test_what_an_observer_says_of_its_interval_makes_nobody_wait() -> None:
    world = a_world()
    world.hang("c1")
    report = Report("ssh", 3600, len(world.names), 1.0, "boot", {"c1": Failing(3, "timed out")})
    for entry in world.store.answers["/v1/health/service/nova-ha"][1:]:
        entry["Checks"][1]["Output"] = report.to_output()
    before = world.clock.monotonic()
    world.recover()
    assert_recovered(world)
    assert world.clock.monotonic() - before < 60


def test_the_policys_interval_is_the_one_that_is_waited_for() -> None:
    world = a_world()
    world.nova.report_interval_s = 30.0
    world.store.put("ha_cluster/config/nova/report_interval", "30")
    world.clock.sleep(60)
    loses_ssh(world)
    world.recover()
    assert (asked_by(world), world.bmcs["c1"].commands) == (Gate.NOVA_REPORTS, [])


# --- beside others ---


@pytest.mark.parametrize(("compute", "ha", "silent"), [(2, 3, 3), (2, 1, 2), (2, 1, 1), (6, 3, 2), (1, 1, 1)])
@pytest.mark.parametrize("dead", [False, True])
def test_where_others_are_silent_too_nothing_is_concluded(compute: int, ha: int, silent: int, dead: bool) -> None:
    world = a_world(compute, ha)
    world.clock.sleep(30)
    others = [host for host in world.nova.hosts if host != "c1"]
    if dead:
        world.hang("c1")
    else:
        loses_ssh(world)
        world.nova.silent.add("c1")  # nobody hears it, though it lives
    world.nova.silent.update(others[:silent])
    result = world.recover()["c1"]
    assert (result.outcome, result.gate) == ("waits", Gate.NOVA_AWAY)
    assert f"{silent} of {len(others)} others are silent too: message bus, database, or" in result.words
    assert world.bmcs["c1"].commands == []
    assert world.incident("c1") is None
    world.nova.silent.difference_update(others)
    if not dead:
        world.nova.silent.discard("c1")
    world.clock.sleep(30)
    world.recover()
    if dead:
        assert_recovered(world)
    else:
        assert (asked_by(world), world.bmcs["c1"].commands) == (Gate.NOVA_REPORTS, [])


@pytest.mark.parametrize("phase", PHASES[::10])
def test_a_nova_that_really_reports_three_times_slower_gets_nobody_fenced(phase: float) -> None:
    world = a_world()
    world.nova.report_interval_s = 30.0
    world.nova.reports_at = {host: 5.3 * number for number, host in enumerate(world.nova.hosts)}
    world.clock.sleep(60 + 3 * phase)
    loses_ssh(world)
    world.recover()
    assert world.bmcs["c1"].commands == []


@pytest.mark.fault(43)
def test_a_bus_that_is_away_for_longer_than_nova_waits_still_holds_a_host_that_lost_its_ssh() -> None:
    """The HA nodes are heard, on another part of it; all others are called down, though their hosts are well."""
    world = a_world(6, 3)
    world.clock.sleep(30)
    loses_ssh(world)
    world.nova.silent.update(world.names)
    world.clock.sleep(90)
    for name in world.names:
        world.nova.hosts[name] = replace(world.nova.hosts[name], up=False)
    result = world.recover()["c1"]
    assert (result.outcome, result.gate) == ("waits", Gate.NOVA_AWAY)
    assert "5 of 8 others are silent too" in result.words
    assert world.bmcs["c1"].commands == []


def test_a_silent_one_among_five_others_is_no_reason_to_wait() -> None:
    world = a_world(3, 3)
    world.clock.sleep(30)
    world.nova.silent.add("c2")
    world.hang("c1")
    world.recover()
    assert_recovered(world)


def test_hosts_that_died_with_it_do_not_count_against_it() -> None:
    world = a_world(2, 2)
    world.store.put("ha_cluster/config/monitor/max_failed", "2")
    world.clock.sleep(30)
    world.hang("c1", "c2")
    world.recover()
    assert_recovered(world)
    assert len(world.closed("c2")) == 1


def test_our_own_reserve_speaks_for_the_others() -> None:
    world = a_world(1, 1)
    world.nova.hosts["ha-1"] = replace(world.nova.hosts["ha-1"], enabled=False, disabled_reason=RESERVE_REASON)
    world.clock.sleep(30)
    world.hang("c1")
    world.recover()
    assert_recovered(world)


def test_our_own_reserve_that_was_enabled_for_the_first_host_is_not_silent_for_the_second() -> None:
    world = a_world(4, 1)
    world.store.put("ha_cluster/config/monitor/max_failed", "2")
    world.nova.add("c2", 1)
    world.nova.hosts["ha-1"] = replace(world.nova.hosts["ha-1"], enabled=False, disabled_reason=RESERVE_REASON)
    world.clock.sleep(30)
    world.hang("c1", "c2")
    assert {name: result.outcome for name, result in world.recover().items()} == {"c1": "finished", "c2": "finished"}


def test_an_approval_does_not_ask_whether_it_is_silent_alone() -> None:
    world = a_world()
    world.clock.sleep(30)
    world.hang("c1")
    world.nova.silent.update(world.nova.hosts)
    operator.approve(world.store, world.clock, ["c1"], by="ann", gates=[Gate.NOVA_REPORTS])
    world.driving.add("ha-1")
    clients = world.clients("ha-1")
    look(clients, world.node("c1"))
    world.clock.sleep(13)
    recover(clients, "c1")
    assert world.bmcs["c1"].commands


# --- what happens while it waits ---


def test_a_change_of_its_record_is_no_report_and_the_time_begins_anew() -> None:
    world = a_world()
    world.clock.sleep(30)
    world.nova.hosts["c1"] = replace(world.nova.hosts["c1"], enabled=False, disabled_reason="nova-ha: c1 failed")
    world.hang("c1")
    once_waiting(world, lambda: changed(world, enabled=True, disabled_reason=""))
    before = world.clock.monotonic()
    cut: list[float] = []
    ordinary = world.bmcs["c1"].on_off
    world.bmcs["c1"].on_off = lambda: (cut.append(world.clock.monotonic() - before), ordinary())  # type: ignore
    world.recover()
    assert_recovered(world)
    assert cut[0] > 24, "twice as long as without that change"


def test_a_host_that_reports_beside_a_change_of_its_record_keeps_its_power() -> None:
    world = a_world()
    world.clock.sleep(30)
    world.nova.hosts["c1"] = replace(world.nova.hosts["c1"], enabled=False, disabled_reason="nova-ha: c1 failed")
    loses_ssh(world)
    once_waiting(world, lambda: changed(world, enabled=True, disabled_reason=""))
    world.recover()
    assert (asked_by(world), world.bmcs["c1"].commands) == (Gate.NOVA_REPORTS, [])


def test_a_record_that_changes_again_and_again_is_left_to_the_timer() -> None:
    world = a_world()
    world.clock.sleep(30)
    world.hang("c1")
    world.clock.meanwhile.append(
        lambda: changed(world, disabled_reason=f"nova-ha: {world.clock.monotonic()}", enabled=False)
    )
    result = world.recover()["c1"]
    assert (result.outcome, result.gate) == ("waits", Gate.NOVA_REPORTS)
    assert world.bmcs["c1"].commands == []
    assert world.incident("c1") is None


def changed(world: World, **fields: object) -> None:
    """Somebody changes the record of c1, and Nova stamps it."""
    world.nova.hosts["c1"] = replace(
        world.nova.hosts["c1"],
        updated_at=world.clock.now(),
        **fields,  # type: ignore[arg-type]
    )


def test_a_driver_that_is_asked_to_end_does_not_wait_on() -> None:
    world = a_world()
    world.hang("c1")
    began = world.clock.monotonic()
    once_waiting(world, lambda: setattr(world, "stopping", True), after_s=2)
    with pytest.raises(TryAgain, match="c1: asked to end during the last look") as ended:
        world.recover()
    assert world.clock.monotonic() - began < 4
    assert ended.value.exit_code is ExitCode.TRY_AGAIN
    assert world.incident("c1") is None
    assert world.leftovers() == []


@pytest.mark.fault(10)
def test_a_driver_that_stood_still_after_its_look_looks_again() -> None:
    world = a_world()
    world.hang("c1")
    world.driving.add("ha-1")
    clients = world.clients("ha-1")
    store = clients.store
    create = store.create_session

    def suspended(*words: object) -> object:
        store.create_session = create  # type: ignore[method-assign]
        world.clock.sleep(600)
        world.revive("c1")
        world.nova.tick()
        return create(*words)  # type: ignore[arg-type]

    store.create_session = suspended  # type: ignore[method-assign, assignment]
    recover(clients, "c1")
    assert (asked_by(world), world.bmcs["c1"].commands) == (Gate.ANSWERS, [])
    assert world.leftovers() == []


@pytest.mark.fault(10)
@pytest.mark.parametrize("state", ["claimed", "fencing"])
def test_a_host_that_returns_while_its_driver_stands_still_keeps_its_power(
    state: str,
) -> None:
    world = a_world()
    world.hang("c1")

    def stands_still(operations: Sequence[Operation]) -> None:
        if any(f'"state":"{state}"'.encode() in (operation.value or b"") for operation in operations):
            world.store.before = None
            world.clock.sleep(8)
            world.revive("c1")

    world.store.before = stands_still
    world.recover()
    assert world.store.before is None
    assert (asked_by(world), world.bmcs["c1"].commands) == (Gate.ANSWERS, [])


# --- who has read before ---


def test_a_reading_that_this_process_took_before_is_the_first_of_the_two() -> None:
    world = a_world()
    world.hang("c1")
    world.driving.add("ha-1")
    clients = world.clients("ha-1")
    look(clients, world.node("c1"))
    world.clock.sleep(13)
    cut: list[float] = []
    began = world.clock.monotonic()
    world.bmcs["c1"].on_off = lambda: (cut.append(world.clock.monotonic() - began), world.nova.power_lost("c1"))  # type: ignore
    assert recover(clients, "c1").outcome == "finished"
    assert cut[0] < 5


def test_one_that_reported_since_a_reading_before_is_waited_for_and_not_asked_about() -> None:
    """It lived when the process began, and died afterwards."""
    world = a_world()
    world.driving.add("ha-1")
    clients = world.clients("ha-1")
    look(clients, world.node("c1"))
    world.clock.sleep(15)
    world.nova.tick()
    world.hang("c1")
    assert recover_all(clients)["c1"].outcome == "finished"
    assert_recovered(world)
