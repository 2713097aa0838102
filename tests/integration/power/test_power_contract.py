"""What every BMC behind `nova_ha.power.connect` does, whatever its make."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from kit.machines.deaf import silent_tcp, silent_udp
from kit.machines.makes import Make
from nova_ha.errors import BMCError, OutcomeUnknown
from nova_ha.power import BMC, PowerReading, PowerState, connect
from nova_ha.power.device import FenceDevice
from nova_ha.power.drivers import DRIVERS

ENOUGH_S = 60.0
NOBODY = "127.11.9.9"


def wait_for(bmc: BMC, state: PowerState, within_s: float = 120.0) -> PowerReading:
    deadline = time.monotonic() + within_s
    reading = bmc.power(ENOUGH_S)
    while reading.state is not state and time.monotonic() < deadline:
        reading = bmc.power(ENOUGH_S)
    return reading


def test_a_host_that_runs_is_read_as_on(make: Make) -> None:
    assert connect(make.device).power(ENOUGH_S) == PowerReading(PowerState.ON)


def test_a_host_is_off_some_time_after_the_command(make: Make) -> None:
    bmc = connect(make.device)

    bmc.power_off(ENOUGH_S)

    assert wait_for(bmc, PowerState.OFF) == PowerReading(PowerState.OFF)


def test_switching_off_a_host_that_is_off_is_no_error(make: Make) -> None:
    bmc = connect(make.device)
    bmc.power_off(ENOUGH_S)
    wait_for(bmc, PowerState.OFF)

    bmc.power_off(ENOUGH_S)

    assert bmc.power(ENOUGH_S).state is PowerState.OFF


def test_the_identity_is_the_system_s_own_in_lower_case(make: Make) -> None:
    assert connect(make.device).identity(ENOUGH_S) == make.identity


def test_a_wrong_password_is_named_by_every_call(make: Make) -> None:
    bmc = connect(replace(make.device, password="not-this-one"))

    assert bmc.power(ENOUGH_S) == PowerReading(PowerState.UNKNOWN, make.login_refusal)
    with pytest.raises(BMCError, match="login refused"):
        bmc.power_off(ENOUGH_S)
    with pytest.raises(BMCError, match="login refused"):
        bmc.identity(ENOUGH_S)


@pytest.mark.fault(19)
def test_a_wrong_password_switches_nothing_off(make: Make) -> None:
    with pytest.raises(BMCError):
        connect(replace(make.device, password="not-this-one")).power_off(ENOUGH_S)

    assert connect(make.device).power(ENOUGH_S).state is PowerState.ON


def test_many_threads_read_the_same_bmc(make: Make) -> None:
    bmc = connect(make.device)

    with ThreadPoolExecutor(8) as pool:
        readings = list(pool.map(lambda _: bmc.power(ENOUGH_S), range(8)))

    assert readings == [PowerReading(PowerState.ON)] * 8


def a_device(driver: str, **changes: Any) -> FenceDevice:
    return replace(FenceDevice(driver, NOBODY, DRIVERS[driver].port, "ADMIN", "secret", "insecure"), **changes)


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_closed_port_is_unreachable(driver: str) -> None:
    bmc = connect(a_device(driver))

    reading = bmc.power(ENOUGH_S)

    assert reading.state is PowerState.UNKNOWN
    assert reading.why.startswith("unreachable")
    with pytest.raises(BMCError, match="unreachable"):
        bmc.power_off(ENOUGH_S)


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_name_that_does_not_resolve_is_said_so(driver: str) -> None:
    bmc = connect(a_device(driver, host="no-such-bmc.invalid"))

    assert bmc.power(ENOUGH_S).why.startswith("name does not resolve")
    with pytest.raises(BMCError, match="name does not resolve"):
        bmc.identity(ENOUGH_S)


@pytest.mark.fault(19)
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_peer_that_says_nothing_is_given_up_after_the_time_out(driver: str) -> None:
    silent = silent_udp if driver == "ipmi" else silent_tcp
    with silent(NOBODY) as port:
        bmc = connect(a_device(driver, port=port))

        for _ in range(2):
            assert bmc.power(2) == PowerReading(PowerState.UNKNOWN, "timed out after 2 s")
        with pytest.raises(OutcomeUnknown, match="timed out after 2 s"):
            bmc.power_off(2)
        with pytest.raises(BMCError, match="timed out after 2 s"):
            bmc.identity(2)


def test_a_time_out_too_short_for_anything_is_a_time_out() -> None:
    assert connect(a_device("ipmi")).power(0).why.startswith("timed out")
