"""HA nodes that are lost, or lose Consul, while their driver is at work. Their drivers are started by hand.

The agents of ha-1 to ha-3 count failures and start nothing; each of the others runs one driver. All of them are
struck at once, each in its own way, so that they wait together for Consul's time limits; then ha-1 to ha-3 take over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest
from kit.clouds.divided import DividedCloud
from kit.clouds.plan import Watches, WholePlan
from kit.machines.bmc import Fault
from kit.machines.driver import Driver
from kit.machines.machine import RealMachine
from nova_ha.errors import ExitCode

GOSSIP = 8301
LIVE_ON = ("isolated", "minority", "flap", "revoked")
CASES = ("died", *LIVE_ON)
# Until all have lost their locks: nobody has been asked for a second server before.
SLOW_S = 600.0


@dataclass
class Struck:
    """By case: the host, its driver and the code it ended with, and what the host's BMC and Nova had got before it
    was struck, and when it had ended.
    """

    hosts: dict[str, RealMachine]
    drivers: dict[str, Driver] = field(default_factory=dict)
    before: dict[str, object] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    after: dict[str, object] = field(default_factory=dict)


@pytest.fixture(scope="module")
def cloud() -> Iterator[DividedCloud]:
    plan = WholePlan(
        compute=len(CASES),
        others=len(CASES),
        consul_servers=3,
        watches=Watches.COUNTING,
        timer=False,
        policy={"monitor/quorum": "2", "recovery/limit": "20", "recovery/concurrency": "1"},
    )
    with DividedCloud(plan) as running:
        yield running


@pytest.fixture(scope="module")
def struck(cloud: DividedCloud) -> Struck:
    """All drivers are lost at their work, and their hosts are recovered by others."""
    found = Struck({case: cloud.host() for case in CASES})
    start_drivers(cloud, found)
    found.before = {case: effects(cloud, host) for case, host in found.hosts.items()}
    strike(cloud)
    found.hosts["died"].bmc.break_commands(None)
    found.codes = {case: driver.end() for case, driver in found.drivers.items()}
    found.after = {case: effects(cloud, host) for case, host in found.hosts.items()}
    for host in found.hosts.values():
        cloud.wait(lambda host=host: not cloud.node(host).lock_session, f"{host.name}'s lock to be lost")
    cloud.slow_spawn(0, *(server for host in found.hosts.values() for server in cloud.servers_of(host)))
    take_over(cloud, found)
    return found


def ha_node(case: str) -> str:
    """Return the HA node that the case is about."""
    return f"ha-{4 + CASES.index(case)}"


def effects(cloud: DividedCloud, host: RealMachine) -> tuple[Sequence[str], Sequence[object]]:
    """Return what the host's BMC and Nova were told to do."""
    return list(host.commands), cloud.requests(host)


def start_drivers(cloud: DividedCloud, found: Struck) -> None:
    """Let every driver get to where it is lost: in the fence, or between the first server and the second."""
    found.hosts["died"].bmc.break_commands(Fault.HANGS)
    for host in found.hosts.values():
        cloud.slow_spawn(SLOW_S, *cloud.servers_of(host))
        host.hang()
    for host in found.hosts.values():
        cloud.failed(host)
    drive(cloud, found, *LIVE_ON)
    for case in LIVE_ON:
        host = found.hosts[case]
        cloud.wait(lambda host=host: cloud.evacuations(host), f"{case} to evacuate")
    drive(cloud, found, "died")
    died = found.hosts["died"]
    cloud.wait(lambda: died.commands, "power off to be sent", every_s=0.02)


def drive(cloud: DividedCloud, found: Struck, *cases: str) -> None:
    """Let a driver claim each case's host, on its own HA node; again where the observers were too busy to vote."""
    for case in cases:
        host = found.hosts[case]

        def claimed(case: str = case, host: RealMachine = host) -> bool:
            if case not in found.drivers or not found.drivers[case].running:
                found.drivers[case] = cloud.driver(ha_node(case), "--node", host.name)
            return cloud.open_incident(host) is not None

        cloud.wait(claimed, f"{case} to be claimed", every_s=0.05)


def strike(cloud: DividedCloud) -> None:
    """Lose each HA node in its own way."""
    consul = [*cloud.servers, *cloud.ha_nodes]
    cloud.kill(ha_node("died"))
    cloud.revoke(ha_node("revoked"))
    cloud.cut([ha_node("isolated")], consul)
    leader = cloud.consul.leader.name
    cloud.cut([leader, ha_node("minority")], [name for name in consul if name not in (leader, ha_node("minority"))])
    cloud.block(ha_node("flap"), GOSSIP)


def take_over(cloud: DividedCloud, found: Struck) -> None:
    """Let ha-1 to ha-3 do whatever is due, again and again, until all is done."""
    drivers = {name: cloud.driver(name) for name in cloud.observers}

    def done() -> bool:
        for name, driver in drivers.items():
            if not driver.running:
                drivers[name] = cloud.driver(name)
        return all(cloud.history(host) for host in found.hosts.values())

    cloud.wait(done, "all to be recovered", 600, every_s=1)
    for driver in drivers.values():
        assert driver.end() in (ExitCode.DONE, ExitCode.TRY_AGAIN), driver.output


MARKS = {"died": 34, "isolated": 34, "minority": 6, "flap": 13, "revoked": 36}


@pytest.mark.parametrize("case", [pytest.param(case, marks=pytest.mark.fault(row)) for case, row in MARKS.items()])
def test_another_ha_node_ends_what_a_driver_on_a_lost_ha_node_began(
    cloud: DividedCloud, struck: Struck, case: str
) -> None:
    host = struck.hosts[case]
    cloud.audit_recovered(host)
    incident = cloud.finished(host)
    assert incident.driver in cloud.observers
    assert f"taken over from {ha_node(case)}" in [step.what for step in incident.steps]


@pytest.mark.parametrize("case", [pytest.param(case, marks=pytest.mark.fault(MARKS[case])) for case in LIVE_ON])
def test_a_driver_that_has_lost_consul_sends_nothing_any_more_and_says_so(struck: Struck, case: str) -> None:
    told = struck.drivers[case].output
    assert struck.after[case] == struck.before[case], told
    assert "Traceback" not in told
    assert "nothing more is done by this driver; the next one resumes" in told
    assert struck.codes[case] == ExitCode.TRY_AGAIN, told


@pytest.mark.fault(36)
def test_a_driver_whose_token_was_revoked_names_the_token(struck: Struck) -> None:
    assert "it does not know the token: see CONSUL_HTTP_TOKEN" in struck.drivers["revoked"].output
