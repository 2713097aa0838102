"""An operator's word that a host is off ends: then the BMC proves it, as soon as it can, and nothing else does."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from kit.fakes.world import Crash, World
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import IncidentState, ReceiptMethod
from nova_ha.cluster.schema import compute_node
from nova_ha.power import PowerState
from nova_ha.recovery.operator import confirm_off

MINUTE = timedelta(minutes=1)


@pytest.fixture
def world() -> World:
    """c1 hangs, its BMC is away, and an operator's word that it is off has expired before anybody went on."""
    world = World()
    world.nova.add("c1", 3)
    world.bmcs["c1"].away = True
    world.hang("c1")
    world.recover()
    confirm_off(world.store, world.clock, "c1", by="ann", until=world.clock.now() + MINUTE)
    world.clock.advance(90)
    return world


def gate(world: World) -> Gate | None:
    incident = world.incident("c1")
    return incident.gate if incident else None


def assert_recovered_by_the_bmc(world: World) -> None:
    [incident] = world.closed("c1")
    assert incident.state is IncidentState.FINISHED
    assert incident.receipt is not None
    assert incident.receipt.method is ReceiptMethod.BMC
    assert not world.nova.servers("c1")
    assert not world.nova.unfenced
    assert not world.nova.doubled
    assert world.leftovers() == []


def test_while_the_bmc_stays_away_the_incident_waits_for_it_and_nothing_is_evacuated(world: World) -> None:
    before = world.incident("c1")
    for _ in range(3):
        world.recover()
    assert gate(world) is Gate.BMC_UNREACHABLE
    # It waits without being claimed again and again.
    assert world.incident("c1") == before
    assert world.nova.calls == []
    assert world.leftovers() == []


def test_once_the_bmc_answers_the_host_is_fenced_as_any_other(world: World) -> None:
    world.recover()
    world.bmcs["c1"].away = False
    world.recover("ha-2")
    assert_recovered_by_the_bmc(world)
    assert world.bmcs["c1"].commands == [PowerState.ON]


def test_a_host_that_lives_again_meanwhile_is_not_fenced(world: World) -> None:
    world.bmcs["c1"].away = False
    world.revive("c1")
    world.recover()
    assert gate(world) is Gate.ANSWERS
    assert world.bmcs["c1"].commands == []


def test_without_a_bmc_only_a_new_word_helps() -> None:
    world = World()
    world.nova.add("c1", 3)
    world.store.drop(compute_node("c1", "config/bmc/"))
    world.hang("c1")
    world.recover()
    confirm_off(world.store, world.clock, "c1", by="ann", until=world.clock.now() + MINUTE)
    world.clock.advance(90)
    world.recover()
    assert gate(world) is Gate.NO_BMC
    assert world.nova.calls == []
    confirm_off(world.store, world.clock, "c1", by="bob", until=world.clock.now() + 60 * MINUTE)
    world.recover()
    [incident] = world.closed("c1")
    assert incident.state is IncidentState.FINISHED


@pytest.fixture
def begun() -> World:
    """The word was good when the work began; its driver died while it evacuated, and the word has expired since."""
    world = World()
    world.nova.add("c1", 3)
    world.nova.rebuild_s = 30
    world.bmcs["c1"].away = True
    world.hang("c1")
    world.recover()
    world.bmcs["c1"].state = PowerState.OFF
    world.nova.power_lost("c1")
    confirm_off(world.store, world.clock, "c1", by="ann", until=world.clock.now() + 2 * MINUTE)

    def die(call: tuple[str, ...]) -> None:
        if call[0] == "evacuate":
            raise Crash("killed at the first evacuation")

    world.nova.before = die
    with pytest.raises(Crash):
        world.recover()
    world.no_more_crashes()
    world.clock.advance(180)
    incident = world.incident("c1")
    assert incident is not None
    assert incident.state is IncidentState.EVACUATING
    return world


def test_work_that_has_begun_goes_on_when_the_bmc_proves_it_off(begun: World) -> None:
    begun.recover("ha-2")
    assert gate(begun) is Gate.BMC_UNREACHABLE
    begun.bmcs["c1"].away = False
    begun.recover("ha-2")
    assert_recovered_by_the_bmc(begun)
    receipt = begun.closed("c1")[0].receipt
    assert receipt is not None
    assert (begun.bmcs["c1"].commands, receipt.proof) == ([PowerState.OFF], "long")


def test_work_that_has_begun_stops_when_the_bmc_reads_on(begun: World) -> None:
    begun.bmcs["c1"].away = False
    begun.bmcs["c1"].state = PowerState.ON
    calls = len(begun.nova.calls)
    begun.recover("ha-2")
    assert gate(begun) is Gate.POWERED_ON
    assert len(begun.nova.calls) == calls
    assert begun.leftovers() == []


def test_a_word_against_which_the_bmc_reads_on_is_not_believed_and_the_reason_says_so(world: World) -> None:
    confirm_off(world.store, world.clock, "c1", by="bob", until=world.clock.now() + 60 * MINUTE)
    world.bmcs["c1"].away = False
    world.recover()
    incident = world.incident("c1")
    assert incident is not None
    assert (incident.gate, incident.reason) == (Gate.POWERED_ON, "its BMC reads on, against the word of bob")
    assert world.nova.calls == []
    assert world.bmcs["c1"].commands == []


class Steady:
    """Nova's clock, which goes on and does not jump with the drivers'."""

    def __init__(self, world: World) -> None:
        self.monotonic = world.clock.monotonic
        self._zero = world.clock.now() - timedelta(seconds=world.clock.monotonic())

    def now(self) -> datetime:
        return self._zero + timedelta(seconds=self.monotonic())


def test_a_drivers_clock_that_is_behind_prolongs_no_word(world: World) -> None:
    """By its own clock the word has not expired; by Nova's it has."""
    world.nova.clock = Steady(world)  # type: ignore[assignment]
    world.clock.jump(-3600)
    world.recover()
    assert gate(world) is Gate.BMC_UNREACHABLE
    assert not [call for call in world.nova.calls if call[0] == "evacuate"]


def test_a_word_that_expires_while_its_driver_works_covers_nothing_more_by_a_clock_that_fell_behind(
    world: World,
) -> None:
    world.nova.clock = Steady(world)  # type: ignore[assignment]
    world.nova.rebuild_s = 30
    world.store.put("ha_cluster/config/recovery/concurrency", "1")
    confirm_off(world.store, world.clock, "c1", by="bob", until=world.clock.now() + MINUTE)
    world.nova.before = lambda call: world.clock.jump(-3600) if call[0] == "evacuate" else None
    world.recover()
    assert gate(world) is Gate.POWER_UNKNOWN
    assert len([call for call in world.nova.calls if call[0] == "evacuate"]) < 3
