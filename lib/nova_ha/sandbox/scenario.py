"""The faults of a rehearsal: what strikes, what else is done while it goes on, and how it must end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import IncidentState, ServerState
from nova_ha.errors import ConfigError
from nova_ha.sandbox.bmc_server import BMCFault
from nova_ha.sandbox.chassis import HostFault
from nova_ha.sandbox.cloud import Sandbox
from nova_ha.sandbox.snapshot import Snapshot

# Done at every look until it returns what it has done, in words.
Meanwhile: TypeAlias = Callable[[Sandbox, Snapshot], str]


@dataclass(frozen=True)
class Scenario:
    """One fault. It ends `recovered`, refused by `gate`, or, where `held`, not even taken for failed by it; where it
    `waits`, its recovery is not claimed while the gate is closed.

    One that `goes_on` is recovered after all, by itself, when its BMC answers again. With `named` one server of each
    host is not brought back, but ends so, and `reason` is in what is said of it.
    `within_s` is how long it may take after `status/failed` was set, or would have been.
    """

    name: str
    what: str
    strike: Callable[[Sandbox, str], None]
    within_s: float
    gate: Gate | None = None
    held: bool = False
    waits: bool = False
    meanwhile: Meanwhile | None = None
    all_hosts: bool = False
    goes_on: bool = False
    named: ServerState | None = None
    reason: str = ""

    @property
    def expected(self) -> str:
        """How it must end, in words."""
        if self.gate is None:
            return f"recovered, 1 {self.named.value}" if self.named else "recovered"
        how = "not failed" if self.held else "waits" if self.waits else "needs the operator"
        return f"{how}, {self.gate.value}"

    @property
    def stays(self) -> bool:
        """True where it must still be so a while after it has ended: nothing is done, and nothing is recorded."""
        return self.held or self.waits

    def victims(self, sandbox: Sandbox, chosen: Sequence[str]) -> Sequence[str]:
        """Return the nodes that fail. Raises ConfigError for one that there is not, or a cloud that is too small."""
        if unknown := [name for name in chosen if name not in sandbox.machines]:
            known = ", ".join(sandbox.machines)
            raise ConfigError(f"there is no {', '.join(unknown)} in the sandbox", remedy=f"name one of {known}")
        if self.name == "wrong-bmc" and len(sandbox.machines) < 2:
            raise ConfigError("wrong-bmc needs another host", remedy="--compute 2")
        if self.name == "live-migration" and len(sandbox.machines) < 2:
            raise ConfigError("a live migration needs another host", remedy="--compute 2")
        if self.named and not sandbox.plan.servers:
            raise ConfigError(f"{self.name} needs a server", remedy="--servers 1")
        if self.all_hosts and len(sandbox.machines) < 3:
            raise ConfigError("two hosts may always fail together", remedy="--compute 3 or more")
        return tuple(sandbox.machines) if self.all_hosts else tuple(dict.fromkeys(chosen))


def hang(sandbox: Sandbox, node: str) -> None:
    """Let the host hang: it accepts connections, and neither SSH nor nova-compute goes on."""
    sandbox.machines[node].chassis.hang()


def _lose_power(sandbox: Sandbox, node: str) -> None:
    sandbox.machines[node].chassis.power_off()


def _hang_with(fault: BMCFault) -> Callable[[Sandbox, str], None]:
    def strike(sandbox: Sandbox, node: str) -> None:
        sandbox.machines[node].break_bmc(fault)
        hang(sandbox, node)

    return strike


def _break_host(fault: HostFault) -> Callable[[Sandbox, str], None]:
    def strike(sandbox: Sandbox, node: str) -> None:
        sandbox.machines[node].chassis.break_down(fault)

    return strike


def _lose_the_bus(sandbox: Sandbox, node: str) -> None:
    """Let no nova-compute be heard, while the sshd of a host that is well dies, and no look-out has a say.

    Where they have one they hold it: they cannot tell, since nobody reports.
    """
    sandbox.command("config", "set", "monitor/witness", "ignore").check_returncode()
    sandbox.openstack.run_bus(False)
    sandbox.machines[node].chassis.break_down(HostFault.SSHD_DEAD)


def _lose_bmc_too(sandbox: Sandbox, node: str) -> None:
    sandbox.machines[node].bmc.suspend()
    hang(sandbox, node)


def _mix_cables(sandbox: Sandbox, node: str) -> None:
    other = next(machine for name, machine in sandbox.machines.items() if name != node)
    sandbox.machines[node].cable_bmc_to(other)
    hang(sandbox, node)


def _hang_with_a_local_disk(sandbox: Sandbox, node: str) -> None:
    """Take the host out of the shared storage; all its servers but one are on volumes."""
    openstack = sandbox.openstack
    openstack.change_host(node, shares_disks=False)
    for server in _servers_on(sandbox, node)[1:]:
        openstack.change_server(server, on_volume=True)
    sandbox.command("node", "set", node, "--storage", "local").check_returncode()
    hang(sandbox, node)


def _hang_in_a_live_migration(sandbox: Sandbox, node: str) -> None:
    other = next(name for name in sandbox.machines if name != node)
    sandbox.openstack.hand_over(_servers_on(sandbox, node)[0], other)
    hang(sandbox, node)


def _servers_on(sandbox: Sandbox, node: str) -> Sequence[str]:
    return sorted(server for server, hosts in sandbox.openstack.guests.items() if hosts.get(node))


def _hang_and_break_nova(sandbox: Sandbox, node: str) -> None:
    sandbox.openstack.break_requests(
        [
            {"match": "evacuate", "status": 500, "times": 1},
            {"match": "evacuate", "lost": True, "acts": True, "times": 1},
            {"match": "os-migrations", "status": 503, "times": 2},
        ]
    )
    hang(sandbox, node)


def _wake_up_when_fenced(sandbox: Sandbox, node: Snapshot) -> str:
    machine = sandbox.machines[node.node.name]
    if not any(command["command"] == "power off" for command in machine.bmc_commands):
        return ""
    machine.chassis.go_on()
    return "the host goes on: it was never off, whatever its BMC says"


def _kill_the_driver(sandbox: Sandbox, node: Snapshot) -> str:
    incident = node.incident
    if incident is None or incident.state is not IncidentState.EVACUATING:
        return ""
    if not any(progress.state is ServerState.ASKED for progress in incident.servers.values()):
        return ""
    killed = sandbox.kill_drivers()
    return f"SIGKILL to the handler on {incident.driver}, in the middle of an evacuation" if killed else ""


_ALL = (
    Scenario("host-hangs", "a host hangs: nothing on it answers any more", hang, 120),
    Scenario("host-off", "a host loses its power; its BMC still answers", _lose_power, 120),
    Scenario(
        "disk-hang",
        "the disk of a host hangs: its sshd greets, and nothing goes on after that",
        _break_host(HostFault.DISK_HANGS),
        120,
    ),
    Scenario(
        "sshd-dead",
        "the sshd of a host dies, and all else of it is well: its nova-compute reports",
        _break_host(HostFault.SSHD_DEAD),
        120,
        Gate.NOVA_REPORTS,
        held=True,
    ),
    Scenario(
        "slow-logins",
        "logins at a host take half a minute, as without its name servers; its nova-compute reports",
        _break_host(HostFault.SLOW_LOGINS),
        120,
        Gate.NOVA_REPORTS,
        held=True,
    ),
    Scenario(
        "nova-silent",
        "Nova hears no nova-compute, as without its message bus; the sshd of a host dies, and no look-out is asked",
        _lose_the_bus,
        120,
        Gate.NOVA_AWAY,
        waits=True,
    ),
    Scenario(
        "bmc-away",
        "a host hangs, and its BMC does not answer",
        _lose_bmc_too,
        240,
        Gate.BMC_UNREACHABLE,
        goes_on=True,
    ),
    Scenario(
        "bmc-lies",
        "the BMC says off, and the host, which only hung, goes on",
        _hang_with(BMCFault.LIES),
        120,
        Gate.NOT_SILENT,
        meanwhile=_wake_up_when_fenced,
    ),
    Scenario("bmc-sticks", "the BMC says ok, and the power stays on", _hang_with(BMCFault.STICKS), 240, Gate.NOT_OFF),
    Scenario(
        "power-cycle",
        "a watchdog cycles the host as its power is cut: off, and on again by itself",
        _hang_with(BMCFault.CYCLES),
        180,
    ),
    Scenario(
        "wrong-bmc", "the cable of the BMC goes to another host, which is well", _mix_cables, 120, Gate.BMC_IDENTITY
    ),
    Scenario(
        "no-identity",
        "a host hangs, and its BMC shows no identity any more: it may be another host's",
        _hang_with(BMCFault.NAMELESS),
        120,
        Gate.NO_IDENTITY,
    ),
    Scenario(
        "handler-killed",
        "the handler is killed in the middle of an evacuation",
        hang,
        300,
        meanwhile=_kill_the_driver,
    ),
    Scenario(
        "all-hosts-silent",
        "all hosts fall silent at once, as when a switch is lost",
        hang,
        60,
        Gate.MAX_FAILED,
        held=True,
        all_hosts=True,
    ),
    Scenario(
        "nova-errors", "Nova refuses one evacuation, and loses the answer to another", _hang_and_break_nova, 240
    ),
    Scenario(
        "local-disk",
        "a host hangs that shares no storage; one of its servers has its root disk there, the others are on volumes",
        _hang_with_a_local_disk,
        120,
        named=ServerState.LEFT,
        reason="nova-ha node rebuild-server",
    ),
    Scenario(
        "live-migration",
        "a host hangs while one of its servers is in live migration, and runs on the other host already",
        _hang_in_a_live_migration,
        120,
        named=ServerState.FAILED,
        reason="was being migrated to",
    ),
)
SCENARIOS: Mapping[str, Scenario] = {scenario.name: scenario for scenario in _ALL}
