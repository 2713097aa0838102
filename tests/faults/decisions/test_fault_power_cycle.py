"""Faults 45, 1 and 16: an OFF that no command of ours has caused, and a command that nobody knows to have worked."""

from __future__ import annotations

from datetime import timedelta

import pytest
from kit.clouds.observed_cloud import ObservedCloud
from kit.fakes.world import Crash
from kit.shown import shows
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import Receipt
from nova_ha.power import PowerOffAnswer, PowerState

ON, OFF, UNKNOWN = PowerState.ON, PowerState.OFF, PowerState.UNKNOWN


def receipt_of(cloud: ObservedCloud) -> Receipt:
    receipt = cloud.closed("c1")[0].receipt
    assert receipt is not None
    return receipt


def assert_recovered_long(cloud: ObservedCloud, off_for_s: float = 15) -> None:
    """It is recovered, off for good, and was proved off for so long."""
    cloud.assert_recovered("c1")
    assert cloud.bmcs["c1"].state is OFF
    assert (receipt_of(cloud).proof, receipt_of(cloud).off_s >= off_for_s) == ("long", True)


def test_a_hung_host_is_proved_off_by_two_readings(cloud: ObservedCloud) -> None:
    cloud.fails("c1")
    cloud.turns()
    cloud.assert_recovered("c1")
    receipt = receipt_of(cloud)
    assert (receipt.answer, receipt.proof, receipt.off_s) == ("taken", "short", 2.0)
    assert [reading.state for reading in receipt.readings] == ["off", "off"]
    shows(45, "proof: on right before the command, which the BMC answered with 'taken'", cloud.says("history", "c1"))


@pytest.mark.fault(45)
@pytest.mark.parametrize("refuses_off", [False, True])
@pytest.mark.parametrize(("off_s", "before_s"), [(5.0, 2.1), (5.0, 4.0), (8.0, 2.1), (8.0, 6.0), (10.0, 6.0)])
def test_a_command_in_the_off_phase_of_a_power_cycle_proves_nothing(
    cloud: ObservedCloud, refuses_off: bool, off_s: float, before_s: float
) -> None:
    """The watchdog bites so many seconds before the command, which changes nothing; the cycle goes on."""
    bmc = cloud.bmcs["c1"]
    bmc.refuses_off = refuses_off
    cloud.fails("c1")
    cloud.after_writing(b'"state":"claimed"', lambda: (bmc.cycle(off_s=off_s), cloud.clock.sleep(before_s)))
    cloud.turns()
    assert_recovered_long(cloud)
    assert ON in bmc.commands


@pytest.mark.fault(45)
@pytest.mark.parametrize("off_s", [5.0, 8.0, 10.0])
def test_a_power_cycle_that_begins_while_the_command_logs_in_doubles_no_guest(
    cloud: ObservedCloud, off_s: float
) -> None:
    """The driver has read on, then the watchdog bites; the login reads PoweringOff, or nothing, and cuts."""
    bmc = cloud.bmcs["c1"]
    bmc.login_s, bmc.before_the_command = 1.2, [UNKNOWN]
    power_off = bmc.power_off

    def bitten(timeout_s: float) -> PowerOffAnswer:
        if not bmc.commands:
            bmc.cycle(after_s=0.2, off_s=off_s)
        return power_off(timeout_s)

    bmc.power_off = bitten  # type: ignore[method-assign]
    cloud.fails("c1")
    cloud.turns()
    cloud.clock.sleep(15)
    assert bmc.commands[0] is OFF
    assert_recovered_long(cloud)


@pytest.mark.fault(45)
def test_a_bmc_whose_power_is_never_read_before_the_command_is_proved_at_length(cloud: ObservedCloud) -> None:
    cloud.bmcs["c1"].before_the_command = [UNKNOWN] * 9
    cloud.fails("c1")
    cloud.turns()
    assert_recovered_long(cloud)


@pytest.mark.fault(45)
def test_a_power_cycle_after_the_claim_is_told_in_the_history(cloud: ObservedCloud) -> None:
    bmc = cloud.bmcs["c1"]
    bmc.refuses_off = True
    cloud.fails("c1")
    cloud.after_writing(b'"state":"claimed"', lambda: (bmc.cycle(), cloud.clock.sleep(3)))
    cloud.turns()
    assert_recovered_long(cloud)
    history = cloud.says("history", "c1")
    assert "attempt 1: taken" in history
    shows(45, "power off to the BMC at 127.0.0.1:623, attempt 1: off already", history)
    shows(45, "power reads off, off for 2 of 15 s", history)
    shows(45, "proof: off for 16 s without a break, around a command that the BMC answered with 'taken'", history)


@pytest.mark.fault(45)
def test_a_host_that_was_off_at_an_earlier_look_is_not_proved_off_by_two_readings(cloud: ObservedCloud) -> None:
    """It cycled while its silence was waited for: it reads on again before the command, and may cycle once more."""
    cloud.fails("c1")
    cloud.bmcs["c1"].cycle(after_s=29, off_s=8)
    cloud.turns()
    assert_recovered_long(cloud)


@pytest.mark.fault(45)
@pytest.mark.parametrize("for_s", [20, 40, 50])
def test_a_bmc_that_restarts_and_reads_off_is_not_believed(cloud: ObservedCloud, for_s: float) -> None:
    cloud.fails("c1")
    cloud.after_writing(b'"state":"claimed"', lambda: cloud.bmcs["c1"].restart(for_s))
    began = cloud.clock.monotonic()
    cloud.turns()
    assert_recovered_long(cloud)
    assert cloud.bmcs["c1"].commands == [ON]
    assert cloud.clock.monotonic() - began > for_s


@pytest.mark.fault(45)
def test_a_bmc_that_refuses_for_good_and_reads_off_waits_for_the_operator(cloud: ObservedCloud) -> None:
    cloud.fails("c1")
    cloud.after_writing(b'"state":"claimed"', lambda: cloud.bmcs["c1"].restart(3600))
    cloud.turns(3)
    assert cloud.nova.calls == []
    shows(
        45,
        "c1: waits for the operator: not-off: it reads off, but the command was not taken within 20 s of the "
        "command: not ready (BMC initialization in progress)",
        cloud.timer(),
    )


@pytest.mark.fault(45)
def test_a_refusal_ends_the_series_before_it(cloud: ObservedCloud) -> None:
    """Off since the claim, a refusal for another reason, then a command that is taken: it counts from there."""
    bmc = cloud.bmcs["c1"]
    cloud.loses_power("c1")
    cloud.intervals(3)
    taken: list[float] = []
    take = bmc.power_off

    def refuse_twice(timeout_s: float) -> object:
        taken.append(cloud.clock.monotonic())
        bmc.refuses = "Node Busy" if len(taken) < 9 else ""
        return take(timeout_s)

    bmc.power_off = refuse_twice  # type: ignore[method-assign, assignment]
    cloud.turns()
    cloud.assert_recovered("c1")
    assert len(taken) == 9
    assert receipt_of(cloud).readings[0].at >= cloud.clock.now() - timedelta(
        seconds=cloud.clock.monotonic() - taken[7]
    )


@pytest.mark.fault(1)
@pytest.mark.fault(45)
@pytest.mark.parametrize("refuses_off", [False, True])
def test_a_host_that_is_off_is_sent_the_command_and_watched_for_as_long_as_the_policy_says(
    cloud: ObservedCloud, refuses_off: bool
) -> None:
    cloud.bmcs["c1"].refuses_off = refuses_off
    cloud.store.put("ha_cluster/config/fence/off_for", "40")
    cloud.loses_power("c1")
    cloud.intervals(3)
    cloud.turns()
    assert_recovered_long(cloud, 40)
    assert cloud.bmcs["c1"].commands == [OFF]
    assert receipt_of(cloud).answer == ("off already" if refuses_off else "taken")


@pytest.mark.fault(45)
@pytest.mark.parametrize("gap", [[UNKNOWN] * 2, [UNKNOWN] * 9])
def test_a_series_stands_over_unknown_for_12_s_and_no_longer(cloud: ObservedCloud, gap: list[PowerState]) -> None:
    cloud.loses_power("c1")
    cloud.intervals(3)
    cloud.after_writing(b"attempt 1: taken", lambda: cloud.bmcs["c1"].readings.extend([OFF, OFF, OFF, *gap]))
    cloud.turns()
    assert_recovered_long(cloud)
    after = cloud.says("history", "c1").rpartition("power reads unknown")[2]
    assert after
    assert ("power reads off, off for 0 of 15 s" in after) is (len(gap) > 5)


@pytest.mark.fault(16)
def test_a_command_whose_answers_are_all_lost_proves_nothing(cloud: ObservedCloud) -> None:
    bmc = cloud.bmcs["c1"]
    cloud.fails("c1")
    bmc.loses_answer = True
    take = bmc.power_off

    def lose(timeout_s: float) -> object:
        bmc.state = ON
        return take(timeout_s)

    bmc.power_off = lose  # type: ignore[method-assign, assignment]
    cloud.turns(2)
    assert cloud.nova.calls == []
    shows(
        16,
        "bmc-unreachable: it reads off, but the command was not taken within 20 s of the command: "
        "the BMC took the command and did not answer",
        cloud.timer(),
    )


@pytest.mark.fault(11)
@pytest.mark.fault(45)
def test_whoever_resumes_between_command_and_receipt_takes_nothing_for_the_commands_doing(
    cloud: ObservedCloud,
) -> None:
    """The driver was killed right after the command; the host is on its way through a power cycle."""
    cloud.fails("c1")
    bmc = cloud.bmcs["c1"]

    def killed() -> None:
        raise Crash("killed after the command")

    cloud.after_writing(b"attempt 1: taken", killed)
    with pytest.raises(Crash):
        cloud.turns()
    bmc.state = ON
    cloud.turns(3)
    assert_recovered_long(cloud)
    assert bmc.commands == [ON, ON]


@pytest.mark.fault(45)
def test_a_bmc_that_obeys_late_and_a_watchdog_that_bites_first_are_told_apart(cloud: ObservedCloud) -> None:
    """The command is taken and nothing happens; 10 s later a watchdog cycles the host."""
    bmc = cloud.bmcs["c1"]
    bmc.obeys = False
    cloud.fails("c1")
    cloud.after_writing(b"attempt 1: taken", lambda: bmc.cycle(after_s=10, off_s=8))
    cloud.clock.meanwhile.append(lambda: setattr(bmc, "obeys", len(bmc.commands) > 0))
    cloud.turns()
    assert_recovered_long(cloud)


@pytest.mark.fault(45)
def test_a_driver_ends_at_sigterm_in_the_middle_of_a_long_proof(cloud: ObservedCloud) -> None:
    cloud.store.put("ha_cluster/config/fence/off_for", "300")
    cloud.loses_power("c1")
    cloud.intervals(3)
    cloud.after_writing(b"power reads off, off for", lambda: setattr(cloud, "stopping", True))
    began = cloud.clock.monotonic()
    cloud.turns()
    assert cloud.clock.monotonic() - began < 120
    incident = cloud.incident("c1")
    assert incident is not None
    assert (incident.gate, incident.receipt) == (None, None)
    cloud.stopping = False
    cloud.turns(2)
    assert_recovered_long(cloud, 300)


@pytest.mark.fault(20)
def test_what_another_machines_bmc_read_counts_for_nothing(cloud: ObservedCloud) -> None:
    """At the first look the cable goes to a machine that is off; once it is mended, the host's own BMC reads on."""
    cloud.fails("c1")
    cloud.bmcs["c1"].name, cloud.bmcs["c1"].readings = "guid-c9", [OFF]
    cloud.turns()
    incident = cloud.incident("c1")
    assert incident is not None
    assert incident.gate is Gate.BMC_IDENTITY
    assert not cloud.fenced


@pytest.mark.fault(45)
def test_a_plan_says_which_proof_it_would_take(cloud: ObservedCloud) -> None:
    cloud.fails("c1")
    assert "ipmi power off at 127.0.0.1:623, 2 OFF readings, 3 attempts of 20 s" in cloud.says("plan", "c1")
    cloud.loses_power("c1")
    shows(45, "off for 15 s without a break, 3 attempts of 20 s; its power is off now", cloud.says("plan", "c1"))
