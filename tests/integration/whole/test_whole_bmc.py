"""Hosts that hang, each with a BMC that is not to be trusted: nothing is evacuated without proof that it is off.

They all fail at once, and wait for somebody; then all those that can be mended are, at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from kit.clouds.plan import WholePlan
from kit.clouds.whole import WholeCloud
from kit.machines.bmc import Fault
from kit.machines.machine import RealMachine
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import Incident, ReceiptMethod

OTHER_MACHINE = "3d9c1e57a04b4f7e9c2286d15be8f0a3"


@dataclass(frozen=True)
class Failed:
    """The hosts by what their BMC does, and the cloud that they are in."""

    cloud: WholeCloud
    sticks: RealMachine
    lies: RealMachine
    absent: RealMachine
    hangs: RealMachine
    other: RealMachine
    unplugged: RealMachine

    def asks(self, host: RealMachine, gate: Gate) -> Incident:
        """Wait until the incident waits at the gate, and check that nothing was done in Nova."""
        incident = self.cloud.asks(host, gate)
        assert self.cloud.requests(host) == []
        assert incident.receipt is None
        assert gate.value in self.cloud.command("status").stdout
        return incident


@pytest.fixture(scope="module")
def failed() -> Iterator[Failed]:
    """Six hosts that have failed together."""
    with WholeCloud(WholePlan(compute=6, timer_s=10, policy={"recovery/limit": "3"})) as cloud:
        hosts = Failed(cloud, *(cloud.host() for _ in range(6)))
        hosts.sticks.bmc.break_commands(Fault.LIES)
        hosts.lies.bmc.break_commands(Fault.PRETENDS)
        hosts.absent.lose_bmc()
        hosts.hangs.bmc.break_commands(Fault.HANGS)
        hosts.other.lose_bmc()
        hosts.other.return_bmc(OTHER_MACHINE)
        hosts.unplugged.lose_bmc()
        for host in cloud.machines.values():
            host.hang()
        cloud.wait(lambda: hosts.lies.commands, "power off to be sent to the BMC that lies")
        hosts.lies.go_on()
        yield hosts


@pytest.mark.fault(17)
def test_a_bmc_that_says_ok_and_leaves_the_power_on_is_not_believed(failed: Failed) -> None:
    incident = failed.asks(failed.sticks, Gate.NOT_OFF)
    assert failed.sticks.only_cut
    assert "does not read off" in incident.reason


@pytest.mark.fault(17)
@pytest.mark.fault(20)
def test_a_bmc_that_reads_off_while_the_host_answers_again_is_not_believed(failed: Failed) -> None:
    incident = failed.asks(failed.lies, Gate.NOT_SILENT)
    assert "the BMC lies, or is another machine's" in incident.reason


@pytest.mark.fault(20)
def test_the_bmc_of_another_machine_is_given_no_command(failed: Failed) -> None:
    incident = failed.asks(failed.other, Gate.BMC_IDENTITY)
    assert failed.other.commands == []
    assert failed.other.bmc.identity in incident.reason


@pytest.fixture(scope="module")
def mended(failed: Failed) -> Failed:
    """Each host whose BMC cannot be reached waits for that; then its BMC is there again, or the operator vouches."""
    for host in (failed.absent, failed.hangs, failed.unplugged):
        failed.asks(host, Gate.BMC_UNREACHABLE)
    assert failed.hangs.bmc.power == "on"
    failed.absent.return_bmc()
    failed.hangs.bmc.break_commands(None)
    failed.unplugged.lose_power()
    words = ("confirm-off", failed.unplugged.name, "--yes", "--by", "alice", "--why", "unplugged")
    # The timer's driver may just be at it; then he is told to try again.
    failed.cloud.wait(lambda: failed.cloud.command("node", *words).returncode == 0, "the operator's word to be taken")
    return failed


@pytest.mark.fault(2)
def test_a_host_whose_bmc_is_away_recovers_by_itself_when_it_is_back(mended: Failed) -> None:
    mended.cloud.audit_recovered(mended.absent)


@pytest.mark.fault(19)
def test_a_host_whose_bmc_hangs_recovers_by_itself_when_it_goes_on(mended: Failed) -> None:
    mended.cloud.audit_recovered(mended.hangs)


@pytest.mark.fault(2)
@pytest.mark.fault(37)
def test_a_host_that_the_operator_unplugged_recovers_on_his_word(mended: Failed) -> None:
    mended.cloud.audit_recovered(mended.unplugged)
    receipt = mended.cloud.finished(mended.unplugged).receipt
    assert receipt is not None
    assert (receipt.method, receipt.by, receipt.why) == (ReceiptMethod.OPERATOR, "alice", "unplugged")


def test_after_all_that_no_place_is_taken_and_the_other_hosts_are_as_they_were(mended: Failed) -> None:
    failed = mended
    failed.cloud.audit()
    for host in (failed.sticks, failed.lies, failed.other):
        assert failed.cloud.requests(host) == []
        assert all(failed.cloud.openstack.guests[server][host.name] for server in failed.cloud.servers_of(host))
