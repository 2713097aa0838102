"""What must hold after every round, whatever happened in it, by what Nova, the BMCs and the logs themselves say."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from kit.audit import audit
from nova_ha.cluster.incident import Incident, IncidentState, ServerState
from nova_ha.cluster.node import ComputeNode, HANode
from nova_ha.cluster.schema import HA_NODES as HA_NODES_KEYS
from nova_ha.cluster.schema import RECOVERY_SEMAPHORE
from nova_ha.cluster.view import read_view
from nova_ha.consul.semaphore import Semaphore
from nova_ha.consul.values import flag_from

from soak.cloud import COMMANDS, SoakCloud
from soak.faults import FAULTS
from soak.plan import HOSTS, Round

SHOULD_RUN = ("active",)


class Violation(AssertionError):
    """Something that must hold did not."""


def incident_problems(drawn: Round, incident: Incident) -> Iterator[str]:
    """Yield what is wrong with an incident that has ended as finished: its proof, and the end of each server."""
    if incident.state is not IncidentState.FINISHED:
        return
    if incident.receipt is None:
        yield f"{incident.node}: finished without a receipt of its fence"
    spared = all(FAULTS[strike.kind].spares_servers for strike in drawn.strikes)
    for server, progress in incident.servers.items():
        where = f"{incident.node}: {progress.name} ({server})"
        if not progress.state.final:
            yield f"{where} is {progress.state.value} in a finished incident"
        elif progress.state is not ServerState.EVACUATED and not progress.reason:
            yield f"{where} ended as {progress.state.value} without a reason"
        elif progress.state is not ServerState.EVACUATED and spared:
            yield f"{where} ended as {progress.state.value}, and no fault explains it: {progress.reason}"


def placing_problems(
    incident: Incident, guests: Mapping[str, Mapping[str, bool]], lost: Collection[str]
) -> Iterator[str]:
    """Yield every server that was evacuated and does not run, once, where the incident says that it went.

    `lost` are the hosts that have lost their power since.
    """
    for server, progress in incident.servers.items():
        if progress.state is not ServerState.EVACUATED or progress.host in lost:
            continue
        running = [host for host, runs in guests.get(server, {}).items() if runs]
        wanted = [progress.host] if progress.vm_state in SHOULD_RUN else []
        if running != wanted:
            yield f"{incident.node}: {progress.name} ({server}) runs on {running}, expected {wanted}"


class RoundAudit:
    """Looks at the cloud between two rounds. Everything is a sentence; nothing is raised."""

    def __init__(self, cloud: SoakCloud) -> None:
        self._cloud = cloud
        self._commands: dict[str, Sequence[str]] = {}

    def begin(self) -> None:
        """Begin a round."""
        self._commands = {name: machine.commands for name, machine in self._cloud.machines.items()}

    def fenced_without_need(self, failed: Collection[str]) -> Iterator[str]:
        """Yield every host that has not failed in this round, and whose BMC was given a command."""
        for name in HOSTS:
            new = self._cloud.machines[name].commands[len(self._commands[name]) :]
            if new and name not in failed:
                yield f"{name} did not fail, and its BMC was told {', '.join(new)}"

    def guests_twice(self) -> Iterator[str]:
        """Yield every guest that ran on two hosts at once."""
        for overlap in self._cloud.openstack.overlaps:
            yield f"{overlap['server']} ran on {' and '.join(overlap['hosts'])} since {overlap['since']}"

    def invariants_broken(self) -> Iterator[str]:
        """Yield every violation of the invariants in what was recorded of the round."""
        trace = self._cloud.wait(self._cloud.trace, "the recorder to find Consul")
        yield from map(str, audit(trace))

    def held_by_nobody(self) -> Iterator[str]:
        """Yield what is held though nobody works. Raises ConsulError."""
        store = self._cloud.looking()
        view = read_view(store)
        nodes: list[ComputeNode | HANode] = [*view.compute_nodes.values(), *view.ha_nodes.values()]
        for node in nodes:
            if node.lock_session:
                yield f"the lock of {node.name} is held by {node.lock_session}"
        for entry in store.list(HA_NODES_KEYS):
            if entry.key.endswith("/in_use") and flag_from(entry.value):
                yield f"{entry.key} is True"
        semaphore = Semaphore.read(store, RECOVERY_SEMAPHORE)
        if semaphore.holders or semaphore.live:
            yield f"places of the semaphore are taken: {sorted(semaphore.holders)}"

    def at_work(self) -> Iterator[str]:
        """Yield every HA node on which a recovery runs."""
        for name in self._cloud.ha_nodes:
            if drivers := self._cloud.drivers(name):
                yield f"{len(drivers)} recoveries run on {name}"

    def bad_lines(self) -> Iterator[str]:
        """Yield every traceback and every secret in the logs and in what the commands have said."""
        secrets = {machine.bmc.device.password for machine in self._cloud.machines.values()}
        secrets |= {machine.settings["ssh_password"] for machine in self._cloud.machines.values()}
        spoken = [*self._cloud.logs, *(self._cloud.directory / COMMANDS).glob("command-*[0-9]")]
        for file in spoken:
            text = file.read_text(errors="replace")
            if "machines" not in file.parts and "Traceback (most recent call last)" in text:
                yield f"a traceback in {file.name}: {_after(text, 'Traceback (most')}"
            if found := [secret for secret in secrets if secret in text]:
                yield f"{len(found)} secrets in {file}"

    def hosts_not_well(self) -> Iterator[str]:
        """Yield every host whose nova-compute Nova does not take for up and enabled, and every stray guest."""
        for name, host in self._cloud.openstack.hosts.items():
            if host["forced_down"] or host["status"] != "enabled" or host["state"] != "up":
                yield f"{name} is {host['state']}, {host['status']}, forced_down={host['forced_down']}"
        known = {s: m.name for m in self._cloud.machines.values() for s in self._cloud.servers_of(m)}
        for server, places in self._cloud.openstack.guests.items():
            if list(places) != [known.get(server)]:
                yield f"a guest of {server} is on {list(places)}, and belongs on {known.get(server)}"


def _after(text: str, mark: str) -> str:
    lines = text[text.index(mark) :].splitlines()
    return " | ".join(line.strip() for line in lines[:40])
