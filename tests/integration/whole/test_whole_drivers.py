"""Drivers that are killed or stopped in the middle, and two that start at once. All of them are started by hand.

The agents of ha-1 to ha-3 count failures and start nothing; those of the others run nothing. Whatever has to wait
for Consul's time limits does so together: all hosts fail at once, their drivers are stopped one after the other
at the phase that each test is about, and ha-1 to ha-3 take all of them over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest
from kit.clouds.plan import Watches, WholePlan
from kit.clouds.whole import WholeCloud
from kit.machines.bmc import Fault
from kit.machines.driver import Driver
from kit.machines.machine import RealMachine
from nova_ha.cluster.incident import IncidentState
from nova_ha.errors import ExitCode

PHASES = ("claimed", "fencing", "acted", "fenced", "forced-down", "evacuating")
STOPPED = ("claimed", "evacuating")
CASES = (*(f"killed-{phase}" for phase in PHASES), *(f"stopped-{phase}" for phase in STOPPED))
SLOW_S = 12.0


@pytest.fixture(scope="module")
def cloud() -> Iterator[WholeCloud]:
    plan = WholePlan(
        compute=len(CASES) + 2,
        others=len(CASES),
        watches=Watches.COUNTING,
        timer=False,
        policy={"monitor/quorum": "2", "recovery/limit": "20", "recovery/concurrency": "1"},
    )
    with WholeCloud(plan) as running:
        yield running


# --- two at once


@pytest.mark.fault(12)
def test_of_two_drivers_that_start_at_once_one_recovers_the_host(cloud: WholeCloud) -> None:
    """Once on two HA nodes, once on the same one."""
    apart, together = cloud.host(), cloud.host()
    for host in (apart, together):
        host.hang()
    for host in (apart, together):
        cloud.failed(host)
    without_credentials(cloud, apart)
    pairs = {
        apart: [cloud.driver(name, "--node", apart.name) for name in ("ha-1", "ha-2")],
        together: [cloud.driver("ha-3", "--node", together.name) for _ in range(2)],
    }
    for host, drivers in pairs.items():
        assert {driver.end() for driver in drivers} == {ExitCode.DONE, ExitCode.TRY_AGAIN}
        told = [driver.output for driver in drivers]
        assert sum("finished: 2 evacuated" in output for output in told) == 1, told
        cloud.audit_recovered(host)
        story = [step.what for step in cloud.finished(host).steps]
        assert sum(what.startswith("claimed") for what in story) == 1
        assert sum(what.startswith("sending power off") for what in story) == 1
        assert host.only_cut


def without_credentials(cloud: WholeCloud, host: RealMachine) -> None:
    """Check that a driver without OpenStack's credentials, or with wrong ones, says so and touches nothing."""
    words = ("handle", "recovery", "--node", host.name)
    wrong = cloud.command(*words, at="ha-1", environ={"OS_PASSWORD": "forgotten"})
    missing = cloud.command(*words, at="ha-1", environ=dict.fromkeys(cloud.openstack.access, ""))
    for done in (wrong, missing):
        assert "waits: nova-away" in done.stdout
        assert "Traceback" not in done.stderr
    assert "401" in wrong.stdout
    assert "OS_" in missing.stdout
    assert "forgotten" not in wrong.stdout + wrong.stderr
    assert host.commands == []
    cloud.audit_untouched(host)


# --- killed and stopped


@dataclass
class Orphans:
    """Hosts whose drivers were killed or stopped, by case; `driver` has those that were only stopped."""

    cloud: WholeCloud
    hosts: dict[str, RealMachine]
    drivers: dict[str, Driver] = field(default_factory=dict)
    left: dict[str, Sequence[str]] = field(default_factory=dict)

    def drive(self, case: str, mend: Callable[[], None] = lambda: None) -> None:
        """Start the case's driver on an HA node of its own, wait for its phase, kill or stop it there, and mend."""
        number = self.cloud.plan.observers + 1 + CASES.index(case)
        words = (f"ha-{number}", "--node", self.hosts[case].name)
        driver = self.cloud.driver(*words)

        def reached() -> bool:
            nonlocal driver
            if in_phase(self.cloud, case, self.hosts[case]):
                return True
            # On a busy machine its last look may find that it cannot tell yet; no timer looks again here.
            if not driver.running and driver.end() == ExitCode.TRY_AGAIN:
                driver = self.cloud.driver(*words)
            return False

        self.cloud.wait(reached, f"{case} to be reached", every_s=0.02)
        assert driver.running, driver.output
        if case.startswith("killed"):
            driver.kill()
        else:
            driver.suspend()
        self.drivers[case] = driver
        # What it left, once nothing goes on any more.
        assert in_phase(self.cloud, case, self.hosts[case]), self.cloud.story(self.hosts[case])
        mend()


def in_phase(cloud: WholeCloud, case: str, host: RealMachine) -> bool:
    """True while the case's driver is in the phase that the case is about, and what it was asked for is under way."""
    phase = case.partition("-")[2]
    incident = cloud.open_incident(host)
    state = {"acted": "fencing"}.get(phase, phase)
    if incident is None or incident.state is not IncidentState(state):
        return False
    if phase in ("fencing", "acted"):
        return host.only_cut
    if phase == "fenced":
        return len(cloud.requests(host)) == 1
    return phase != "evacuating" or len(cloud.evacuations(host)) == 1


@pytest.fixture(scope="module")
def orphans(cloud: WholeCloud) -> Orphans:
    """All cases: their drivers are gone or stopped, and all hosts are recovered by others."""
    found = Orphans(cloud, {case: cloud.host() for case in CASES})
    for host in found.hosts.values():
        host.hang()
    for host in found.hosts.values():
        cloud.failed(host)
    stop_all(found)
    for host in found.hosts.values():
        cloud.wait(lambda host=host: not cloud.node(host).lock_session, f"{host.name}'s lock to be lost")
    take_over(found)
    return found


def stop_all(found: Orphans) -> None:
    """Stop each driver in its phase, in which something that it waits for is held up."""
    cloud, hosts = found.cloud, found.hosts
    for case in ("killed-claimed", "stopped-claimed"):
        bmc = hosts[case].bmc
        bmc.freeze()
        found.drive(case, bmc.thaw)
    for case, fault in (("killed-fencing", Fault.HANGS), ("killed-acted", Fault.ACTS_THEN_HANGS)):
        bmc = hosts[case].bmc
        bmc.break_commands(fault)
        found.drive(case, lambda bmc=bmc: bmc.break_commands(None))
    for case in ("killed-evacuating", "stopped-evacuating"):
        cloud.slow_spawn(SLOW_S, *cloud.servers_of(hosts[case]))
        found.drive(case)
    service = cloud.service_id(hosts["killed-fenced"].name)
    cloud.break_nova({"match": f"os-services/{service}", "delay_s": 20, "times": 1})
    found.drive("killed-fenced")
    cloud.break_nova({"match": "servers/detail", "delay_s": 20, "times": 1})
    found.drive("killed-forced-down", cloud.openstack.mend_requests)


def take_over(found: Orphans) -> None:
    """Let ha-1 to ha-3 do whatever is due, again and again, until all is done."""
    drivers = [found.cloud.driver(name) for name in found.cloud.observers]

    def done() -> bool:
        for number, name in enumerate(found.cloud.observers):
            if not drivers[number].running:
                drivers[number] = found.cloud.driver(name)
        return all(found.cloud.history(host) for host in found.hosts.values())

    found.cloud.wait(done, "all to be recovered", 600, every_s=1)
    for driver in drivers:
        assert driver.end() in (ExitCode.DONE, ExitCode.TRY_AGAIN), driver.output


@pytest.mark.fault(11)
@pytest.mark.parametrize("case", CASES)
def test_another_ha_node_ends_what_a_lost_driver_began(orphans: Orphans, case: str) -> None:
    host = orphans.hosts[case]
    orphans.cloud.audit_recovered(host)
    incident = orphans.cloud.finished(host)
    number = orphans.cloud.plan.observers + 1 + CASES.index(case)
    assert incident.driver in orphans.cloud.observers
    assert f"taken over from ha-{number}" in [step.what for step in incident.steps]


@pytest.mark.fault(10)
@pytest.mark.parametrize("phase", STOPPED)
def test_a_driver_that_stood_still_beyond_its_lock_sends_nothing_any_more(orphans: Orphans, phase: str) -> None:
    case = f"stopped-{phase}"
    cloud, host, driver = orphans.cloud, orphans.hosts[case], orphans.drivers[case]
    before = (list(host.commands), cloud.requests(host))
    driver.resume()
    assert driver.end() == 75, driver.output
    assert "Traceback" not in driver.output
    assert (list(host.commands), cloud.requests(host)) == before
    cloud.audit_recovered(host)
