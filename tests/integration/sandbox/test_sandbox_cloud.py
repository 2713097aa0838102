"""The rehearsal cloud: hosts with SSH, BMCs and nova-compute that live and fail like real ones, and leave nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from nova_ha.cluster.view import read_view
from nova_ha.power import BMC, PowerState, connect
from nova_ha.probe.ssh_sweep import sweep
from nova_ha.sandbox.cloud import CloudPlan, Sandbox
from nova_ha.sandbox.machine import Machine
from nova_ha.sandbox.nova.state import Timing
from nova_ha.sandbox.processes import find
from nova_ha.sandbox.waiting import until

BMC_LIMIT_S = 10.0


@pytest.fixture(scope="module")
def cloud() -> Iterator[Sandbox]:
    # Nova takes a host for down after 5 s here, and after 60 as a rule.
    with Sandbox(CloudPlan(compute=2, ha=1, servers=1, timing=Timing(1.0, 5.0))) as sandbox:
        yield sandbox


@pytest.fixture
def machine(cloud: Sandbox) -> Iterator[Machine]:
    machine = cloud.machines["compute-1"]
    yield machine
    machine.repair()
    until(lambda: logs_in(cloud), "the host to be back")


def bmc_of(cloud: Sandbox) -> BMC:
    found = read_view(cloud.store()).compute_nodes["compute-1"].bmc
    assert found is not None
    return connect(found)


def logs_in(cloud: Sandbox) -> bool:
    node = read_view(cloud.store()).compute_nodes["compute-1"]
    return sweep({"compute-1": node.ssh}, 5.0, 2.0)["compute-1"].state.value == "well"


def test_a_well_host_answers_as_it_is_registered(cloud: Sandbox, machine: Machine) -> None:
    until(lambda: logs_in(cloud), "a login to work")
    assert bmc_of(cloud).identity(BMC_LIMIT_S) == machine.identity
    assert bmc_of(cloud).power(BMC_LIMIT_S).state is PowerState.ON
    until(lambda: cloud.openstack.hosts["compute-1"]["alive"], "its nova-compute to report")


def test_power_off_ends_the_host_with_its_guests(cloud: Sandbox, machine: Machine) -> None:
    assert find(cloud.directory, str(machine.directory)) != []
    before = machine.chassis.pid
    bmc_of(cloud).power_off(BMC_LIMIT_S)
    until(lambda: not machine.chassis.has_power, "the power to be off")
    assert before not in find(cloud.directory, str(machine.directory))
    # Its chassis tells Nova last.
    until(lambda: not cloud.openstack.hosts["compute-1"]["powered"], "Nova's host to be off")
    assert not any("compute-1" in hosts for hosts in cloud.openstack.guests.values())
    assert [command["command"] for command in machine.bmc_commands][-1] == "power off"


def test_a_host_that_hangs_is_silent_for_ssh_and_nova_and_has_power(cloud: Sandbox, machine: Machine) -> None:
    machine.chassis.hang()
    assert not logs_in(cloud)
    until(lambda: cloud.openstack.hosts["compute-1"]["state"] == "down", "Nova to miss its reports")
    assert bmc_of(cloud).power(BMC_LIMIT_S).state is PowerState.ON
    machine.chassis.go_on()
    until(lambda: cloud.openstack.hosts["compute-1"]["state"] == "up", "its reports to come again")


def test_a_host_has_the_same_key_after_another_boot(cloud: Sandbox, machine: Machine) -> None:
    machine.chassis.power_off()
    machine.chassis.power_on()
    until(lambda: logs_in(cloud), "a login with the pinned host key")


def test_a_mixed_up_bmc_shows_the_other_host(cloud: Sandbox, machine: Machine) -> None:
    machine.cable_bmc_to(cloud.machines["compute-2"])
    until(lambda: bmc_of(cloud).power(2.0).state is PowerState.ON, "the BMC to answer again")
    assert bmc_of(cloud).identity(BMC_LIMIT_S) == cloud.machines["compute-2"].identity


def test_a_bmc_that_is_away_is_unknown(cloud: Sandbox, machine: Machine) -> None:
    machine.bmc.suspend()
    assert bmc_of(cloud).power(2.0).state is PowerState.UNKNOWN


def test_no_password_is_in_an_argument_of_any_process(cloud: Sandbox) -> None:
    secrets = [
        machine.settings[name] for machine in cloud.machines.values() for name in ("ssh_password", "bmc_password")
    ]
    assert all(find(cloud.directory, secret) == [] for secret in [*secrets, cloud.operator_token])
    readable = [path for path in cloud.directory.rglob("*.json") if path.stat().st_mode & 0o077]
    assert readable == []


OWNER = """
import sys
from nova_ha.sandbox.cloud import CloudPlan, Sandbox
with Sandbox(CloudPlan(compute=1, ha=1, servers=0)) as sandbox:
    print(sandbox.directory, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_sandbox_that_is_asked_to_end_leaves_nothing(number: signal.Signals) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    directory = Path(owner.stdout.readline().strip())
    assert find(directory, "") != []
    os.kill(owner.pid, number)
    owner.communicate(timeout=120)
    assert owner.returncode != 0
    assert not directory.exists()
    assert find(directory, "") == []
