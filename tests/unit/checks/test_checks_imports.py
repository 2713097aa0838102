"""Start-up is most of what a check costs: it imports only what it uses."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("novaclient", "keystoneauth1", "openstack", "pyghmi", "asyncssh", "consul", "requests", "rich", "asyncio")

PROGRAM = """
import sys
import nova_ha.checks.{name}
try:
    nova_ha.checks.{name}.command.main(["--help"], standalone_mode=False)
except SystemExit:
    pass
print(*sorted(sys.modules))
"""

OF_A_SWEEP = """
import sys
from nova_ha.checks import ssh
from nova_ha.cluster.node import ComputeNode
ssh._sightings({"c1": ComputeNode.from_entries("c1", [])}, 1.0, 1.0, {})
print(*sorted(sys.modules))
"""


def modules(program: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("name", ["ssh", "bmc", "runtime"])
def test_a_check_imports_no_library_before_it_needs_one(name: str) -> None:
    assert modules(PROGRAM.format(name=name)).isdisjoint(HEAVY)


def test_the_ssh_sweep_knows_nothing_of_nova_or_bmcs() -> None:
    assert modules(OF_A_SWEEP).isdisjoint({"novaclient", "keystoneauth1", "openstack", "pyghmi", "rich"})


OF_A_TURN = """
import sys
from nova_ha.checks import check_guard, ssh

def turn(interval_s):
    print(*sorted(sys.modules))
    sys.exit()

check_guard.await_turn = turn
ssh.command.main(["--paced"], standalone_mode=False)
"""


@pytest.mark.fault(54)
def test_a_paced_sweep_has_all_that_it_needs_before_its_turn_comes() -> None:
    assert {"asyncssh", "consul", "nova_ha.probe.streak"} <= modules(OF_A_TURN)
