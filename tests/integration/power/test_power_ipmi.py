"""IPMI against OpenIPMI's simulator: BMCs that lie, refuse, hang, die."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from kit.machines.bmc import Fault, SimulatedBMC, start_bmc
from kit.machines.deaf import RAKP1, RAKP3, relay_without
from kit.machines.pyghmi_server import LATER, start_pyghmi_server
from nova_ha.errors import BMCError, OutcomeUnknown
from nova_ha.power import PowerOffAnswer, PowerReading, PowerState, connect
from nova_ha.power.bmc_sweep import sweep
from nova_ha.sandbox.waiting import until

ENOUGH_S = 60.0
# Long enough for a login and a command on a busy machine.
BRIEF_S = 12.0


@pytest.mark.fault(17)
def test_a_bmc_that_lies_is_found_out_by_reading_back(ipmi: SimulatedBMC) -> None:
    ipmi.break_commands(Fault.LIES)
    bmc = connect(ipmi.device)

    bmc.power_off(ENOUGH_S)

    assert "set 0" in ipmi.calls
    assert bmc.power(ENOUGH_S) == PowerReading(PowerState.ON)


@pytest.mark.fault(45)
def test_the_command_is_sent_to_a_host_that_is_off_as_well(ipmi: SimulatedBMC) -> None:
    """ipmi_sim takes it, whatever the power is: what is read in the same login tells the two apart."""
    bmc = connect(ipmi.device)

    answers = [bmc.power_off(ENOUGH_S), bmc.power_off(ENOUGH_S)]

    assert answers == [PowerOffAnswer.TAKEN, PowerOffAnswer.OFF_ALREADY]
    assert ipmi.calls.count("set 0") == 2


def test_a_bmc_that_refuses_the_command_is_an_error(ipmi: SimulatedBMC) -> None:
    ipmi.break_commands(Fault.EXITS_1)

    with pytest.raises(BMCError, match=r"power-off of BMC 127\.11\.2\.1 port 623: command refused \(Unspecified\)"):
        connect(ipmi.device).power_off(ENOUGH_S)


@pytest.mark.fault(45)
def test_a_watchdog_bites_once_and_the_host_comes_back_by_itself(ipmi: SimulatedBMC) -> None:
    ipmi.break_commands(Fault.CYCLES)
    # Long enough for the reading within it.
    (ipmi.folder / "off-for").write_text("30")
    bmc = connect(ipmi.device)

    with pytest.raises(BMCError, match="command refused"):
        bmc.power_off(ENOUGH_S)

    assert bmc.power(ENOUGH_S) == PowerReading(PowerState.OFF)
    until(lambda: ipmi.power == "on", "the off phase to end")
    assert bmc.power_off(ENOUGH_S) is PowerOffAnswer.TAKEN
    assert ipmi.power == "off"


@pytest.mark.fault(45)
def test_a_bmc_that_restarts_refuses_and_reads_off_though_the_host_is_on(ipmi: SimulatedBMC) -> None:
    ipmi.break_commands(Fault.RESTARTS)
    ipmi.break_readings(Fault.RESTARTS)
    bmc = connect(ipmi.device)

    with pytest.raises(BMCError, match="command refused"):
        bmc.power_off(ENOUGH_S)

    assert (bmc.power(ENOUGH_S), ipmi.power) == (PowerReading(PowerState.OFF), "on")


def test_a_bmc_that_refuses_to_be_read_is_unknown(ipmi: SimulatedBMC) -> None:
    ipmi.power = "off"
    ipmi.break_readings(Fault.EXITS_1)

    assert connect(ipmi.device).power(ENOUGH_S) == PowerReading(PowerState.UNKNOWN, "command refused (Unspecified)")


def test_a_slow_bmc_is_waited_for(ipmi: SimulatedBMC) -> None:
    ipmi.break_commands(Fault.SLOW)

    connect(ipmi.device).power_off(ENOUGH_S)

    assert ipmi.power == "off"


@pytest.mark.fault(16)
@pytest.mark.parametrize(("fault", "power"), [(Fault.HANGS, "on"), (Fault.ACTS_THEN_HANGS, "off")])
def test_a_command_without_an_answer_has_an_unknown_outcome(ipmi: SimulatedBMC, fault: Fault, power: str) -> None:
    ipmi.break_commands(fault)

    with pytest.raises(OutcomeUnknown, match="read the power state"):
        connect(ipmi.device).power_off(BRIEF_S)

    assert ipmi.power == power


@pytest.mark.fault(19)
def test_a_reading_that_hangs_is_unknown_and_the_next_one_is_well(ipmi: SimulatedBMC) -> None:
    bmc = connect(ipmi.device)
    ipmi.break_readings(Fault.HANGS)
    assert bmc.power(BRIEF_S) == PowerReading(PowerState.UNKNOWN, f"timed out after {BRIEF_S:g} s")

    ipmi.break_readings(None)

    assert bmc.power(ENOUGH_S) == PowerReading(PowerState.ON)


@pytest.mark.fault(2)
def test_a_bmc_that_died_is_unreachable_until_it_is_back(ipmi: SimulatedBMC) -> None:
    bmc = connect(ipmi.device)
    ipmi.freeze()
    assert bmc.power(ENOUGH_S) == PowerReading(PowerState.UNKNOWN, "unreachable")
    with pytest.raises(BMCError, match="unreachable"):
        bmc.power_off(ENOUGH_S)

    ipmi.thaw()

    assert bmc.power(ENOUGH_S) == PowerReading(PowerState.ON)


@pytest.mark.fault(19)
@pytest.mark.parametrize("message", [RAKP1, RAKP3])
def test_a_login_that_pyghmi_never_gives_up_is_ended(ipmi: SimulatedBMC, message: int) -> None:
    """pyghmi was still waiting after 628 s where RAKP 1 is never answered."""
    with relay_without(message, (ipmi.host, ipmi.port), "127.11.2.200"):
        bmc = connect(replace(ipmi.device, host="127.11.2.200"))

        # Longer than pyghmi's own time-outs of a login, which are 5.3 s.
        assert bmc.power(8) == PowerReading(PowerState.UNKNOWN, "timed out after 8 s")
        assert bmc.power(BRIEF_S).why == f"timed out after {BRIEF_S:g} s"

    assert connect(ipmi.device).power(ENOUGH_S).state is PowerState.ON


@pytest.mark.parametrize("guid", ["00" * 16, "ff" * 16])
def test_a_guid_that_was_never_set_is_no_identity(tmp_path: Path, guid: str) -> None:
    unset = start_bmc(tmp_path / "bmc", "127.11.2.3", guid=guid)
    try:
        assert connect(unset.device).identity(ENOUGH_S) is None
    finally:
        unset.close()


def test_a_bmc_that_speaks_sha_1_alone_is_used_with_it() -> None:
    """VirtualBMC answers SHA-1 to pyghmi's SHA-256, and pyghmi 1.6.19 overlooks it."""
    with start_pyghmi_server("127.11.2.5") as device:
        assert sweep({"a": device}, ENOUGH_S)["a"].trouble == ""
        connect(device).power_off(ENOUGH_S)
        assert connect(device).power(ENOUGH_S) == PowerReading(PowerState.OFF)
        assert "login refused" in connect(replace(device, password="wrong")).power(ENOUGH_S).why


@pytest.mark.fault(56)
@pytest.mark.parametrize("how", ["9", "10", LATER])
@pytest.mark.parametrize(("level", "trouble"), [(2, "its account may only read"), (3, ""), (4, "")])
def test_an_account_that_may_only_read_cannot_fence(how: str, level: int, trouble: str) -> None:
    with start_pyghmi_server("127.11.2.6", level, how) as device:
        seen = sweep({"a": device}, ENOUGH_S)["a"]
    assert (seen.power, seen.trouble) == (PowerReading(PowerState.ON), trouble)
