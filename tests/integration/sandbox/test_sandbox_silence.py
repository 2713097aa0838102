"""A host of the sandbox without power is silent, as in the field: a closed port on loopback would refuse."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from nova_ha.cluster.node import SSHConfig
from nova_ha.probe.sighting import SightCause, Sighting
from nova_ha.probe.ssh_sweep import sight
from nova_ha.sandbox.chassis import Chassis, HostFault, HostPlan
from nova_ha.sandbox.network import Network, Reservation
from nova_ha.sandbox.processes import end_all, marked
from nova_ha.sandbox.waiting import until

PORT = 2222


@pytest.fixture
def network() -> Iterator[Network]:
    reservation = Reservation()
    yield reservation.network
    reservation.release()


@pytest.fixture
def chassis(tmp_path: Path, network: Network) -> Iterator[Chassis]:
    """A host that is on, of a cloud whose Nova is away."""
    plan = HostPlan("c1", network.host(1), f"http://{network.nova}:9", str(tmp_path), PORT, "probe", "secret")
    host = Chassis.build(tmp_path / "c1", plan)
    host.power_on()
    try:
        until(lambda: cause(host) is SightCause.LOGGED_IN, "the host to boot")
        yield host
    finally:
        end_all(tmp_path)


def look(chassis: Chassis) -> Sighting:
    plan = chassis.plan
    return sight(SSHConfig(plan.address, PORT, plan.user, plan.password), 1.0)


def cause(chassis: Chassis) -> SightCause | None:
    return look(chassis).cause


def test_a_host_without_power_is_silent_at_once_and_answers_when_it_has_power_again(chassis: Chassis) -> None:
    for _ in range(2):
        chassis.power_off()
        assert cause(chassis) is SightCause.TIMED_OUT
        assert cause(chassis) is SightCause.TIMED_OUT
        chassis.power_off()
        chassis.power_on()
        until(lambda: cause(chassis) is SightCause.LOGGED_IN, "the host to boot again")


@pytest.mark.parametrize(
    ("fault", "shown"),
    [
        (HostFault.SSHD_DEAD, SightCause.REFUSED),
        (HostFault.SLOW_LOGINS, SightCause.LOGIN_HANGS),
        (HostFault.DISK_HANGS, SightCause.LOGIN_HANGS),
    ],
)
def test_each_fault_of_a_host_shows_as_in_the_field_and_ends_with_its_power(
    chassis: Chassis, fault: HostFault, shown: SightCause
) -> None:
    chassis.break_down(fault)
    until(lambda: cause(chassis) is shown, f"the host to have {fault.value}")
    chassis.power_off()
    assert cause(chassis) is SightCause.TIMED_OUT
    chassis.power_on()
    until(lambda: cause(chassis) is SightCause.LOGGED_IN, "the host to boot again")


def test_a_host_that_has_power_again_and_stays_in_its_firmware_is_as_silent_and_loses_it_at_once(
    chassis: Chassis,
) -> None:
    """One that hung while it booted would never have kept its port silent: who cut its power waited in vain."""
    chassis.power_off()
    chassis.stay_in_firmware()
    assert (chassis.has_power, cause(chassis)) == (True, SightCause.TIMED_OUT)
    chassis.power_off()
    assert (chassis.has_power, cause(chassis)) == (False, SightCause.TIMED_OUT)
    chassis.power_on()
    until(lambda: cause(chassis) is SightCause.LOGGED_IN, "the host to boot again")


def test_a_second_one_that_would_keep_its_port_silent_ends(chassis: Chassis, tmp_path: Path) -> None:
    """As two cuts of its power at once leave it behind; it would take the port when the host boots."""
    chassis.power_off()
    program = "import sys; from pathlib import Path; from nova_ha.sandbox import chassis, host\n"
    program += "host.be_dark(chassis.Chassis(Path(sys.argv[1])))"
    argv = [sys.executable, "-c", program, str(chassis.directory)]
    assert subprocess.run(argv, env=marked(os.environ, tmp_path), timeout=120).returncode == 0
    assert cause(chassis) is SightCause.TIMED_OUT
