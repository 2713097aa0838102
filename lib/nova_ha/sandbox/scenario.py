"""The faults of a rehearsal: what strikes, what else is done while it goes on, and how it must end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import IncidentState, ServerState
from nova_ha.errors import ConfigError
from nova_ha.sandbox.bmc_server import BMCFault
from nova_ha.sandbox.cloud import Sandbox
from nova_ha.sandbox.snapshot import Snapshot

# Done at every look until it returns what it has done, in words.
Meanwhile: TypeAlias = Callable[[Sandbox, Snapshot], str]


@dataclass(frozen=True)
class Scenario:
    """One fault. It ends `recovered`, refused by `gate`, or, where `held`, not even taken for failed by it.

    One that `goes_on` is recovered after all, by itself, when its BMC answers again.
    `within_s` is how long it may take after `status/failed` was set, or would have been.
    """

    name: str
    what: str
    strike: Callable[[Sandbox, str], None]
    within_s: float
    gate: Gate | None = None
    held: bool = False
    meanwhile: Meanwhile | None = None
    all_hosts: bool = False
    goes_on: bool = False

    @property
    def expected(self) -> str:
        """How it must end, in words."""
        if self.gate is None:
            return "recovered"
        return f"{'not failed' if self.held else 'needs the operator'}, {self.gate.value}"

    def victims(self, sandbox: Sandbox, chosen: Sequence[str]) -> Sequence[str]:
        """Return the nodes that fail. Raises ConfigError for one that there is not, or a cloud that is too small."""
        if unknown := [name for name in chosen if name not in sandbox.machines]:
            known = ", ".join(sandbox.machines)
            raise ConfigError(f"there is no {', '.join(unknown)} in the sandbox", remedy=f"name one of {known}")
        if self.name == "wrong-bmc" and len(sandbox.machines) < 2:
            raise ConfigError("wrong-bmc needs another host", remedy="--compute 2")
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


def _lose_bmc_too(sandbox: Sandbox, node: str) -> None:
    sandbox.machines[node].bmc.suspend()
    hang(sandbox, node)


def _mix_cables(sandbox: Sandbox, node: str) -> None:
    other = next(machine for name, machine in sandbox.machines.items() if name != node)
    sandbox.machines[node].cable_bmc_to(other)
    hang(sandbox, node)


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
        "wrong-bmc", "the cable of the BMC goes to another host, which is well", _mix_cables, 120, Gate.BMC_IDENTITY
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
)
SCENARIOS: Mapping[str, Scenario] = {scenario.name: scenario for scenario in _ALL}
