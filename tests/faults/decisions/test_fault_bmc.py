"""Faults 18 to 20: a BMC that flaps, hangs, refuses or answers nonsense, and one that is another host's."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from kit.clouds.observed_cloud import ObservedCloud
from kit.fakes.cluster import vouch_for_bmc
from kit.shown import shows
from nova_ha.cluster.gate import Gate
from nova_ha.errors import BMCError
from nova_ha.power import PowerReading, PowerState
from nova_ha.probe.sighting import SightCause, graded
from nova_ha.recovery.driver_clients import Sight

ON, OFF, UNKNOWN = PowerState.ON, PowerState.OFF, PowerState.UNKNOWN


def gate_of(cloud: ObservedCloud, name: str = "c1") -> Gate | None:
    incident = cloud.incident(name)
    assert incident is not None
    return incident.gate


# --- flapping ---


@pytest.mark.fault(18)
@pytest.mark.parametrize("readings", [[ON, OFF, ON], [OFF, ON], [OFF, UNKNOWN, ON], [UNKNOWN, OFF, UNKNOWN, OFF, ON]])
def test_off_must_be_read_twice_in_a_row_after_the_command(cloud: ObservedCloud, readings: list[PowerState]) -> None:
    cloud.fails("c1")
    cloud.after_writing(b"sending power off", lambda: cloud.bmcs["c1"].readings.extend(readings))
    cloud.turns()
    cloud.assert_recovered("c1")
    receipt = cloud.closed("c1")[0].receipt
    assert receipt is not None
    assert [reading.state for reading in receipt.readings] == ["off", "off", "off"]
    assert receipt.proof == "long"
    assert cloud.bmcs["c1"].readings == []


@pytest.mark.fault(18)
def test_a_host_that_powers_itself_on_again_between_two_readings_is_not_off(cloud: ObservedCloud) -> None:
    """As a BMC whose power policy is `always-on` does, a moment after each power-off."""
    cloud.fails("c1")
    bmc = cloud.bmcs["c1"]

    def again() -> None:
        cloud.nova.power_lost("c1")
        bmc.readings = [OFF]
        bmc.state = ON

    bmc.on_off = again
    cloud.turns(3)
    assert cloud.nova.calls == []
    assert gate_of(cloud) is Gate.NOT_OFF
    shows(18, "power reads off, 1 of 2", cloud.says("history", "c1"))
    cloud.audit()


# --- hanging, refusing, nonsense ---


def failing_first(bmc: object, method: str, error: Exception) -> Callable[[], int]:
    """Let the BMC's method raise at its first call, and work after that."""
    works, calls = getattr(bmc, method), []

    def call(timeout_s: float) -> object:
        calls.append(timeout_s)
        if len(calls) == 1:
            raise error
        return works(timeout_s)

    setattr(bmc, method, call)
    return lambda: len(calls)


@pytest.mark.fault(19)
@pytest.mark.parametrize("why", ["timed out after 5 s", "no free session", "connection lost (503)", "not JSON"])
def test_a_bmc_that_answers_at_the_second_attempt_is_enough(cloud: ObservedCloud, why: str) -> None:
    cloud.fails("c1")
    bmc = cloud.bmcs["c1"]
    cloud.after_writing(
        b'"state":"claimed"',
        lambda: failing_first(bmc, "identity", BMCError(f"identity of BMC 127.0.0.1 port 623: {why}")),
    )
    assert cloud.recover("ha-1")["c1"].outcome == "finished"
    cloud.assert_recovered("c1")
    assert f"fence attempt 1 of 3 failed: identity of BMC 127.0.0.1 port 623: {why}" in cloud.says("history", "c1")


@pytest.mark.fault(19)
def test_a_bmc_that_hangs_for_good_costs_bounded_time_and_is_named(cloud: ObservedCloud) -> None:
    cloud.fails("c1")

    def hang(timeout_s: float) -> PowerReading:
        cloud.clock.sleep(timeout_s)
        return PowerReading(UNKNOWN, f"timed out after {timeout_s:g} s")

    cloud.bmcs["c1"].power = hang  # type: ignore[method-assign]
    began = cloud.clock.monotonic()
    cloud.recover()
    policy_s = 3 * (20 + 8 + 5 + 5) + 60
    assert cloud.clock.monotonic() - began < policy_s
    assert cloud.nova.calls == []
    shows(
        19,
        "bmc-unreachable: the power cannot be read within 20 s of the command: timed out after 5 s",
        cloud.timer_says(),
    )


@pytest.mark.fault(19)
def test_a_bmc_that_refuses_the_login_is_named_and_stays_named(cloud: ObservedCloud) -> None:
    cloud.fails("c1")
    bmc = cloud.bmcs["c1"]
    error = BMCError("power-off of BMC 127.0.0.1 port 623: login refused (Incorrect password provided)")

    def refuse(timeout_s: float) -> None:
        raise error

    bmc.power_off = refuse  # type: ignore[method-assign]
    cloud.turns(3)
    assert cloud.nova.calls == []
    shows(
        19,
        "not-off: it reads on, and the command was not taken: power-off of BMC 127.0.0.1 port 623: login refused "
        "(Incorrect password provided)",
        cloud.timer_says(),
    )


# --- another host's BMC ---


def swap(cloud: ObservedCloud, one: str, other: str) -> None:
    """Each of the two hosts has the other's BMC in its keys, as after a mistake in a cabling list."""
    cloud.bmcs[one], cloud.bmcs[other] = cloud.bmcs[other], cloud.bmcs[one]
    cloud.nova.is_off = lambda host: (
        host in cloud.bmcs and cloud.bmcs[{one: other, other: one}.get(host, host)].state is OFF
    )


@pytest.mark.fault(20)
def test_a_bmc_that_is_another_hosts_is_given_no_command(cloud: ObservedCloud) -> None:
    swap(cloud, "c1", "c2")
    cloud.fails("c1")
    cloud.turns(3)
    assert cloud.fenced == []
    assert gate_of(cloud) is Gate.BMC_IDENTITY
    cloud.assert_untouched("c1", "c2")
    shows(
        20,
        "c1: waits for the operator: bmc-identity: the BMC at 127.0.0.1 is guid-c2, expected guid-c1",
        cloud.timer(),
    )


@pytest.mark.fault(20)
def test_a_bmc_that_becomes_another_hosts_after_the_last_look_is_given_no_command(cloud: ObservedCloud) -> None:
    cloud.fails("c1")
    cloud.after_writing(b'"state":"claimed"', lambda: swap(cloud, "c1", "c2"))
    cloud.turns()
    assert cloud.fenced == []
    assert gate_of(cloud) is Gate.BMC_IDENTITY


@pytest.mark.fault(20)
def test_a_wrong_word_about_a_bmc_cuts_another_host_and_nothing_more(cloud: ObservedCloud) -> None:
    """Nobody can tell before; the failed host is heard afterwards, and nothing of it is evacuated."""
    for name in ("c1", "c2"):
        vouch_for_bmc(cloud.store, name)
    swap(cloud, "c1", "c2")
    cloud.fails("c1")
    cloud.nova.silent.discard("c1")
    cloud.says("approve", "c1", "--gate", "nova-reports", "--by", "ann")
    cloud.turns()
    assert [call for call in cloud.nova.calls if call[0] == "evacuate"] == []
    assert gate_of(cloud) is Gate.NOT_SILENT
    shows(
        20,
        "not-silent: the BMC at 127.0.0.1:623 reads off, but nova-compute on c1 reported after the last look: "
        "the BMC lies, or is another machine's",
        cloud.timer_says(),
    )


# --- away, and back ---


@pytest.mark.fault(19)
@pytest.mark.fault(32)
def test_a_bmc_that_is_away_during_the_evacuation_is_waited_for(cloud: ObservedCloud) -> None:
    cloud.fails("c1")
    cloud.after_writing(b'"state":"evacuating"', lambda: setattr(cloud.bmcs["c1"], "away", True))
    cloud.turns(6)
    assert gate_of(cloud) is Gate.POWER_UNKNOWN
    assert "c1: waits for the operator, or until the cause has gone: power-unknown:" in cloud.timer_says()
    commands = len(cloud.bmcs["c1"].commands)
    cloud.bmcs["c1"].away = False
    cloud.turns(8)
    cloud.assert_recovered("c1")
    receipt = cloud.closed("c1")[0].receipt
    assert receipt is not None
    assert receipt.proof == "long"  # it may have been on meanwhile
    assert len(cloud.bmcs["c1"].commands) > commands


@pytest.mark.fault(19)
@pytest.mark.fault(32)
def test_a_host_that_is_on_once_its_bmc_is_back_stays_the_operators(cloud: ObservedCloud) -> None:
    cloud.fails("c1")
    cloud.after_writing(b'"state":"evacuating"', lambda: setattr(cloud.bmcs["c1"], "away", True))
    cloud.turns(6)
    sent, cut = len(cloud.nova.calls), len(cloud.bmcs["c1"].commands)
    cloud.bmcs["c1"].away = False
    cloud.bmcs["c1"].state = ON
    cloud.turns(6)
    assert gate_of(cloud) is Gate.POWERED_ON
    assert (len(cloud.nova.calls), len(cloud.bmcs["c1"].commands)) == (sent, cut)


@pytest.mark.fault(20)
def test_a_fenced_host_of_which_nobody_here_can_tell_is_looked_at_again(cloud: ObservedCloud) -> None:
    """The HA node's own resolver or sockets fail for a while, right after the cut: that is no sign of life."""
    blind, ordinary = [True], cloud._sight

    def sight(node: object, limit_s: float) -> Sight:
        off = cloud.bmcs["c1"].commands and getattr(node, "name", "") == "c1"
        return Sight.of(graded(SightCause.THIS_MACHINE)) if off and blind[0] else ordinary(node, limit_s)

    cloud._sight = sight  # type: ignore[method-assign]
    cloud.fails("c1")
    cloud.turns(2)
    assert gate_of(cloud) is Gate.NOT_SILENT
    assert cloud.nova.calls == []
    assert "c1: waits for the operator, or until the cause has gone: not-silent:" in cloud.timer_says()
    blind[0] = False
    cloud.turns(2)
    cloud.assert_recovered("c1")
