"""The whole product of `kit.clouds.whole` on the real OpenStack of the stack: only Nova's part is exchanged.

with RealCloud(WholePlan(compute=4)) as cloud:
    host, servers = cloud.loaded_host(5)
    host.hang()
    cloud.finished(host)
    cloud.audit_moved(host)
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from nova_ha.cluster.incident import Incident, ServerState
from nova_ha.compute import Migration, Server, ServerID
from nova_ha.compute.client import connect
from nova_ha.compute.nova import Nova
from nova_ha.compute.states import MigrationStatus, VMState
from nova_ha.sandbox.network import Network

from kit.clouds.plan import WholePlan
from kit.clouds.whole import WholeCloud
from kit.machines.machine import RealMachine
from kit.machines.power_button import CUT_AT
from kit.stack import client, hosts
from kit.stack.chassis import StackChassis
from kit.stack.layout import ACCESS
from kit.stack.recorder import Recorder
from kit.stack.tidy import tidy

TESTS = Path(__file__).resolve().parents[2]
# A loaded machine makes Nova slow, and with it its answers.
CALL_TIMEOUT_S = 60.0


class StackMachine(RealMachine):
    """A compute host whose nova-compute is a real one."""

    chassis_kind = StackChassis
    power_button = ("kit.stack.chassis", TESTS)

    def boot(self) -> None:
        """As it says; when its power was cut before that does not count any more."""
        (self.directory / CUT_AT).unlink(missing_ok=True)
        super().boot()


class StackOpenStack:
    """What `WholeCloud` needs of an OpenStack, of the one that runs already."""

    url = ""
    access = ACCESS

    def __init__(self) -> None:
        self.recorder = Recorder()

    def start(self) -> None:
        """Begin to record where its guests are."""
        self.recorder.start()

    def stop(self) -> None:
        """Record no more. Idempotent."""
        self.recorder.stop()

    @property
    def overlaps(self) -> Sequence[Mapping[str, object]]:
        """Every time that a guest was on two hosts at once."""
        assert self.recorder.looks, "nobody has looked"
        return self.recorder.overlaps

    @property
    def guests(self) -> Mapping[str, Mapping[str, bool]]:
        """Where each guest is: by server and host, True where it runs."""
        return hosts.guests()


class RealCloud(WholeCloud):
    """It runs while it is entered; the stack must be up with all its hosts, and is tidy before and afterwards."""

    openstack: StackOpenStack

    def __init__(self, plan: WholePlan) -> None:
        super().__init__(plan)
        self.nova: Nova = connect(ACCESS, call_timeout_s=CALL_TIMEOUT_S)
        self._servers: dict[str, list[str]] = {name: [] for name in self.machines}
        self._past = dict.fromkeys(self.machines, 0)

    @property
    def all_hosts(self) -> list[str]:
        """The compute hosts and those of the HA nodes."""
        return [*self.machines, *self.ha_nodes]

    def new_openstack(self, network: Network) -> StackOpenStack:
        return StackOpenStack()

    def new_machine(self, name: str, number: int, network: Network) -> RealMachine:
        return StackMachine(name, number, network, "", self.directory)

    def start_hosts(self) -> None:
        self.tidy()
        for machine in self.machines.values():
            machine.start()

    def tidy(self) -> None:
        """Make the cloud empty and whole again."""
        tidy(self.all_hosts)

    def close(self) -> None:
        self.openstack.stop()
        super().close()

    # --- servers

    def loaded_host(self, count: int) -> RealMachine:
        """Return a compute host that is well, with so many new servers on it."""
        machine = self.host()
        self.load(machine, count)
        return machine

    def load(self, machine: RealMachine, count: int, *, flavor: str = "") -> list[str]:
        """Boot servers on the host."""
        made = self.boot_servers(machine.name, count, flavor)
        self._servers[machine.name] += made
        return made

    def boot_servers(self, host: str, count: int, flavor: str = "") -> list[str]:
        """Boot servers on a host, and wait until they run."""
        return client.boot(host, count, flavor=flavor or client.FLAVOR)

    def took(self, machine: RealMachine, server: str) -> None:
        """Note that a server is on the host, however it came there."""
        self._servers[machine.name].append(server)

    def server(self, server: str) -> Server:
        """Return the server as Nova has it."""
        found = self.nova.server(ServerID(server))
        assert found is not None, f"{server} is lost"
        return found

    def bring(self, server: str, action: str, state: VMState, **options: object) -> None:
        """Let its owner bring a server into a state, by an action of novaclient's."""
        getattr(client.nova().servers, action)(server, **options)
        self.becomes(server, state)

    def becomes(self, server: str, state: VMState) -> None:
        """Wait until a server is in the state, with nothing under way."""

        def there() -> bool:
            found = self.server(server)
            return found.vm_state is state and not found.task_state

        self.wait(there, f"{server} to be {state.value}")

    def records(self, machine: RealMachine) -> Sequence[Migration]:
        """Return Nova's records of the evacuations of this host's servers, newest first."""
        mine = self.servers_of(machine)
        return [record for record in self.nova.evacuations(machine.name) if record.server in mine]

    def records_become(self, machine: RealMachine, status: MigrationStatus) -> None:
        """Wait until all of them are so."""
        self.wait(lambda: {r.status for r in self.records(machine)} == {status}, f"records to be {status.value}")

    # --- HA nodes

    def lose_ha_node(self, name: str) -> None:
        """End an HA node's agent and drivers in the middle of whatever they do; its nova-compute runs on."""
        agent = self.agent(name)
        agent.kill()
        for pid in self.detached_drivers():
            with suppress(OSError):  # it has ended by itself
                environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
                if f"CONSUL_HTTP_ADDR={agent.http_address}".encode() in environ:
                    os.kill(pid, signal.SIGKILL)

    # --- back to the start

    def history(self, machine: RealMachine) -> list[Incident]:
        """As it says, of what happened since the host was given out."""
        return super().history(machine)[self._past[machine.name] :]

    def take_back(self, *machines: RealMachine) -> None:
        """Let the operator repair hosts that were fenced, and take them back to work."""
        for machine in machines:
            machine.boot()
        self.return_to_work(*machines)

    def return_to_work(self, *machines: RealMachine) -> None:
        """Let the operator reset hosts that run again, and try each with a new server."""
        for machine in machines:
            done = self.command("node", "reset", machine.name)
            assert done.returncode == 0, f"{done.stdout}{done.stderr}{self.story(machine)}"
            node = self.node(machine)
            assert (node.failed, node.recovered, node.number_fails) == (False, False, 0)
            reading = self.nova.service(machine.name)
            assert reading is not None
            service = reading.service
            assert (service.up, service.forced_down, service.enabled) == (True, False, True)
        for machine in machines:
            [server] = self.boot_servers(machine.name, 1)
            assert self.openstack.guests[server] == {machine.name: True}
        self.audit()
        self.forget(*machines)

    def forget(self, *machines: RealMachine) -> None:
        """Delete all servers, and give these hosts out again.

        Nova leaves the guests of a host that reports late, on a busy machine: they end too.
        """
        self.tidy()
        for machine in machines:
            self._servers[machine.name] = []
            self._past[machine.name] = len(super().history(machine))
        self._fresh = itertools.chain(self._fresh, machines)

    # --- judging

    def audit_moved(self, machine: RealMachine) -> Incident:
        """Check what must hold of a recovered host all of whose servers ran and could be evacuated."""
        incident = self.finished(machine)
        assert set(incident.servers) == set(self.servers_of(machine)), self.story(machine)
        assert {p.state for p in incident.servers.values()} == {ServerState.EVACUATED}, self.story(machine)
        for server in self.servers_of(machine):
            self.audit_runs(server, incident.servers[server].host)
        self.audit_nova(machine)
        return incident

    def audit_runs(self, server: str, host: str) -> None:
        """Check that a server runs on the host, and nowhere else."""
        found = self.server(server)
        assert (found.host, found.vm_state, found.task_state) == (host, VMState.ACTIVE, ""), found
        assert self.openstack.guests[server] == {host: True}

    def audit_nova(self, machine: RealMachine) -> None:
        """Check Nova's own records of a host whose incident has ended, and all that holds whatever happened."""
        records = self.records(machine)
        assert not [record for record in records if record.status.open], records
        arrived = [record.server for record in records if record.status.arrived]
        assert len(arrived) == len(set(arrived)), f"evacuated twice: {records}"
        cut_at = machine.cut_at
        assert cut_at is not None
        # Nova's stamps have whole seconds.
        early = [record for record in records if record.created_at < cut_at.replace(microsecond=0)]
        assert not early, f"cut at {cut_at}: {early}"
        assert not [server for server in self.openstack.guests if machine.name in self.openstack.guests[server]]
        self.audit()
