"""The whole product on real guests: the shipped configuration, Nova's own timing, sshd and Consul on the hosts.

with GuestsCloud(GuestsPlan(compute=2)) as cloud:
    host = cloud.loaded_host(2)
    host.hang()
    cloud.audit_moved(host)
    cloud.judge()
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from nova_ha.cluster.incident import Incident
from nova_ha.cluster.registry import NodeSettings, set_compute_node
from nova_ha.cluster.schema import FAILED, compute_node
from nova_ha.compute.states import VMState
from nova_ha.consul.transaction import delete
from nova_ha.consul.values import flag_from
from nova_ha.sandbox.consul import CONFIGURATION, Agent, Datacenter
from nova_ha.sandbox.network import Network, Reservation

from kit.audit import Cluster
from kit.audit.trace import GuestRun, Record
from kit.clouds.plan import WholePlan
from kit.clouds.real_cloud import RealCloud, StackOpenStack
from kit.guests import judge
from kit.guests.host import Host, Job, Setup
from kit.guests.image import FLAVOR, IMAGE_NAME, seed
from kit.guests.judge import Outage
from kit.guests.layout import NETWORK
from kit.guests.machine import GuestsMachine
from kit.guests.outage import Away, away
from kit.guests.recorder import GuestRecorder
from kit.machines.by_hand import write_by_hand
from kit.machines.machine import RealMachine
from kit.stack import client
from kit.stack.process import wait_for
from kit.stack.tidy import back

# Emulated guests on a machine that does much else besides: nothing depends on how long a thing takes.
GUESTS_PATIENCE_S = 900.0
HOSTS_WITHIN_S = TIDY_WITHIN_S = WRITES_WITHIN_S = 300.0


@dataclass(frozen=True)
class GuestsPlan(WholePlan):
    """As it says, with the product's own policy: Nova keeps its own timing, and the shipped checks theirs.

    Not the field's: the same few hosts are fenced test after test.
    """

    compute: int = 2
    observers: int = 2

    @property
    def options(self) -> Mapping[str, str]:
        """Only what this plan is about."""
        return {"fence/repeat": "auto", "monitor/max_failed": "100", **self.policy}


class GuestsOpenStack(StackOpenStack):
    """The one that runs already, with real guests on these hosts."""

    def __init__(self, hosts: Sequence[Host]) -> None:
        super().__init__()
        self.watch = GuestRecorder(hosts)

    def start(self) -> None:
        self.watch.start()

    def stop(self) -> None:
        self.watch.stop()

    @property
    def overlaps(self) -> Sequence[Mapping[str, object]]:
        """Guests on two hosts at once are the judge's, who knows which may be."""
        return []

    @property
    def guests(self) -> Mapping[str, Mapping[str, bool]]:
        """Where each guest is: by server and host."""
        return self.watch.places


class _Given(Reservation):
    """The network of the run: nobody else is in it."""

    def __init__(self) -> None:
        self.network = NETWORK

    def release(self) -> None:
        """Keep it until the run ends."""


class HostAgent(Agent):
    """A Consul agent on a host, and whatever it starts."""

    host: Host

    @property
    def job(self) -> Job:
        """What a host starts when it boots."""
        return Job(self._child.argv, self._child.environ)

    def start(self) -> None:
        """Start it on its host, which runs."""
        command = self._child.argv
        try:
            self._child.argv = self.host.inside(*command)
            super().start()
        finally:
            self._child.argv = command


class GuestsCloud(RealCloud):
    """It runs while it is entered; the stack must be up, without a host."""

    openstack: GuestsOpenStack

    def __init__(self, plan: GuestsPlan | None = None) -> None:
        super().__init__(plan or GuestsPlan())
        self._new_disks: set[str] = set()
        self._beside: dict[str, frozenset[str]] = {}
        self._given_out: list[GuestsMachine] = []
        # What each recovery has cost its guests.
        self.aways: list[Away] = []

    @property
    def hosts(self) -> Mapping[str, Host]:
        """The compute hosts and those of the HA nodes."""
        names = [*(f"compute-{number}" for number in range(1, self.plan.compute + 1)), *self.ha_nodes]
        return {name: Host(name) for name in names}

    @property
    def compute(self) -> Sequence[GuestsMachine]:
        """The compute hosts."""
        return [machine for machine in self.machines.values() if isinstance(machine, GuestsMachine)]

    # --- the parts

    def new_reservation(self) -> Reservation:
        return _Given()

    def new_openstack(self, network: Network) -> Any:
        return GuestsOpenStack(list(self.hosts.values()))

    def new_consul(self, network: Network) -> Datacenter:
        return Datacenter(self.directory, network, acl=True, new_agent=self._new_agent)

    def _new_agent(self, name: str, *rest: Any) -> Agent:
        if name not in self.hosts:
            return Agent(name, *rest)
        agent = HostAgent(name, *rest)
        agent.host = self.hosts[name]
        return agent

    def new_machine(self, name: str, number: int, network: Network) -> RealMachine:
        return GuestsMachine(name, number, network, self.directory)

    def agent_settings(self) -> Mapping[str, Any]:
        """Nothing: it is the shipped file."""
        return {}

    # --- starting and ending

    def start_hosts(self) -> None:
        for number, name in enumerate(self.ha_nodes, start=1):
            self.hosts[name].set_up(Setup(NETWORK.ha_node(number)))
        for machine in self.compute:
            machine.set_up({"consul": self._agent_of(machine)})
        nova = client.nova()
        before = reports(nova)
        # Each must be known to all others when it boots.
        for name in self.ha_nodes:
            self.hosts[name].boot()
        for machine in self.compute:
            machine.start()
        wait_for(
            "reports of the hosts",
            lambda: set(self.all_hosts) <= {host for host, _ in reports(nova) - before},
            within_s=HOSTS_WITHIN_S,
        )
        # What an earlier run has left of an empty cloud.
        self.tidy()
        wait_for("the hosts", lambda: client.ready(nova, self.all_hosts), within_s=HOSTS_WITHIN_S)
        seed()

    def _agent_of(self, machine: RealMachine) -> Job:
        """Return the Consul agent of a compute host, with the shipped file and the shipped rights."""
        rights = (CONFIGURATION / "acl/compute-node.hcl.in").read_text().replace("@NODE@", machine.name)
        self.consul.define_policy(f"nova-ha-{machine.name}", rights)
        agent = self.consul.client(
            machine.name,
            machine.chassis.plan.address,
            files=[CONFIGURATION / "compute-node.hcl"],
            policies=[f"nova-ha-{machine.name}"],
        )
        assert isinstance(agent, HostAgent)
        return agent.job

    def close(self) -> None:
        super().close()
        for name in self.ha_nodes:
            self.hosts[name].remove()

    def tidy(self) -> None:
        """Delete all servers, and bring every host back: with power, up and enabled. Raises HAError."""
        for name, host in self.hosts.items():
            machine = self.machines.get(name)
            machine.boot() if machine and not host.runs else host.boot()
        client.delete_all_servers()
        nova = client.nova()

        def all_back() -> bool:
            return {back(nova, name) for name in self.all_hosts} == {True}

        wait_for("all hosts to be back", all_back, within_s=TIDY_WITHIN_S)

    def set_up_again(self, *names: str, **changes: object) -> None:
        """Let these hosts boot anew, set up otherwise (see `Setup`): too fast for anybody to take them for failed."""
        before = {name: self._reported(name) for name in names}
        for name in names:
            self.hosts[name].power_off()
            self.hosts[name].change(**changes)
            machine = self.machines.get(name)
            machine.boot() if machine else self.hosts[name].boot()
        for name in set(names) & set(self.ha_nodes):
            self.start_agent(name)
        self.wait(lambda: all(self._reported(n) != was for n, was in before.items()), f"{names} to report")
        self.seen_well(*self.machines.values())

    def boot_again(self, machine: GuestsMachine) -> None:
        """Let a host boot by itself, and wait until its nova-compute reports. Nobody has reset it."""
        before = self._reported(machine.name)
        machine.boot()
        self.wait(lambda: self._reported(machine.name) != before, f"{machine.name} to report")

    def restart_nova_compute(self, machine: GuestsMachine) -> None:
        """Restart a host's nova-compute alone, and wait until it reports."""
        before = self._reported(machine.name)
        os.kill(machine.host.process("nova-compute"), signal.SIGKILL)
        self.wait(lambda: not machine.host.runs_role("nova-compute"), "nova-compute to have ended")
        os.kill(machine.host.process("first"), signal.SIGUSR1)
        self.wait(lambda: self._reported(machine.name) != before, f"{machine.name} to report")

    def start_agent(self, name: str) -> None:
        """Start the Consul agent of an HA node that has booted."""
        self.wait(lambda: self.hosts[name].runs_role("first"), f"{name} to boot")
        self.agent(name).start()

    def _reported(self, name: str) -> str:
        [service] = client.nova().services.list(host=name, binary="nova-compute")
        return str(service.updated_at)

    def host(self) -> GuestsMachine:
        found = super().host()
        assert isinstance(found, GuestsMachine)
        self._given_out.append(found)
        return found

    def forget(self, *machines: RealMachine) -> None:
        super().forget(*machines)
        self._given_out = [machine for machine in self._given_out if machine not in machines]

    def restore(self) -> None:
        """Take back the hosts that a test has not given back, as one that failed: repaired, reset, as they were."""
        for machine in self._given_out:
            self.name_bmc(machine, machine)
        for machine in self._given_out:
            set_compute_node(self.store(), machine.name, NodeSettings(storage=""))
            machine.bmc.break_commands(None)
            machine.bmc.break_readings(None)
            machine.host.power_off()
            machine.set_up({"consul": machine.host.setup.jobs["consul"]})
            self.boot_again(machine)
            self.command("node", "reset", machine.name)
        if self._given_out:
            self.forget(*self._given_out)
            self.openstack.watch.forget()

    def retry(self, machine: GuestsMachine) -> None:
        """Let the operator say that a host is to be recovered anew, and wait until that has ended."""
        before = [*self.history(machine), *filter(None, [self.open_incident(machine)])]
        known = {incident.started for incident in before}
        done = self.command("node", "retry", machine.name)
        assert done.returncode == 0, done.stderr
        self.wait(lambda: any(i.started not in known for i in self.history(machine)), f"{machine.name} to be retried")

    def name_bmc(self, machine: GuestsMachine, of: GuestsMachine) -> None:
        """Let a host's keys name the BMC of this one: written as by hand, since no command takes a wrong one."""
        self.write(compute_node(machine.name, "config/bmc/ip"), of.bmc.host.encode())

    def wait(
        self, look: Callable[[], Any], what: str, within_s: float = GUESTS_PATIENCE_S, every_s: float = 0.1
    ) -> Any:
        return super().wait(look, what, within_s, every_s)

    def loaded_host(self, count: int) -> GuestsMachine:
        machine = self.host()
        self.load(machine, count)
        return machine

    # --- servers

    def boot_servers(self, host: str, count: int, flavor: str = "") -> list[str]:
        made = client.boot(host, count, flavor=flavor or FLAVOR, image=IMAGE_NAME)
        for server in made:
            self.writes(server, host)
        return made

    def writes(self, server: str, host: str = "", more_than: int = 0) -> None:
        """Wait until a guest has written a larger number; on the host, where one is named."""
        self.wait(lambda: self.wrote(server, host, more_than), f"{server} to write", WRITES_WITHIN_S)

    def wrote(self, server: str, host: str = "", more_than: int = 0) -> bool:
        """True once a guest has written a larger number; on the host, where one is named."""
        last = self.openstack.watch.seen(server)[-1:]
        return any(seen.written.number > more_than and host in ("", seen.host) for seen in last)

    def number(self, server: str) -> int:
        """Return the last number of a guest that was seen."""
        return self.openstack.watch.seen(server)[-1].written.number

    def guests_of(self, machine: RealMachine) -> set[str]:
        """Return the servers that have a process on a host, whatever Nova says."""
        return {server for server, places in self.openstack.guests.items() if machine.name in places}

    def write_on(self, *servers: str) -> None:
        """Wait until each of these guests has gone on for a second, without a boot: nothing has happened to it."""
        seen = self.openstack.watch.seen
        boots = {server: seen(server)[-1].written.boot for server in servers}
        for server in servers:
            self.writes(server, more_than=self.number(server) + 5)
            assert seen(server)[-1].written.boot == boots[server], f"{server} has booted"

    def outages(self, servers: Collection[str], since: datetime) -> list[Outage]:
        """Return the guests' outages since then, as they stand on their disks."""
        seen = self.openstack.watch.seen
        return [Outage(server, *gap) for server in servers for gap in judge.outages(seen(server), since)]

    def remove(self, key: str) -> None:
        """Remove a key as somebody would by hand."""
        write_by_hand(self.store(), delete(key))

    # --- judging

    def new_disk(self, *servers: str) -> None:
        """Let these servers come back with a new disk: the test is about that."""
        self._new_disks.update(servers)

    def beside(self, server: str, *hosts: str) -> None:
        """Let this server have a process on these hosts at once: the test is about that."""
        self._beside[server] = frozenset(hosts)

    def verdict(self) -> list[str]:
        """Return what is wrong with the guests, a sentence each."""
        return judge.verdict(self.openstack.watch.recorded, new_disks=self._new_disks, beside=self._beside)

    def judge(self) -> None:
        """Check what must hold of the guests whatever happened."""
        if wrong := self.verdict():
            raise AssertionError("\n".join([*wrong, "", self.account()]))

    def audit_moved(self, machine: RealMachine) -> Incident:
        """As it says; what its guests were away stands in `aways`."""
        assert isinstance(machine, GuestsMachine)
        incident = super().audit_moved(machine)
        gaps = self.outages(self.servers_of(machine), machine.failed_at)
        assert len(gaps) == len(incident.servers), gaps
        self.aways.append(away(machine.fault, incident, self._set_failed_at(machine), gaps))
        return incident

    def _set_failed_at(self, machine: GuestsMachine) -> datetime:
        """Return when `status/failed` was seen True."""
        key = compute_node(machine.name, FAILED)
        trues = [c.at for c in self.trace().kv if c.key == key and c.value and flag_from(c.value)]
        return min(at for at in trues if at > machine.failed_at)

    def give_up(self, *machines: RealMachine) -> None:
        """Delete all servers, forget all that was seen of them, and give these hosts out again."""
        self.forget(*machines)
        self.openstack.watch.forget()

    def audit_runs(self, server: str, host: str) -> None:
        found = self.server(server)
        assert (found.host, found.vm_state, found.task_state) == (host, VMState.ACTIVE, ""), found
        assert self.openstack.guests.get(server) == {host: True}, self.openstack.guests
        self.writes(server, host, self.number(server))

    def facts(self) -> Cluster:
        found = super().facts()
        return replace(found, sources=found.sources | {"guests"})

    def evidence(self) -> list[Record]:
        excepted = self._new_disks | set(self._beside)
        runs = [run for run in self.openstack.watch.recorded.runs if run.server not in excepted]
        return [*super().evidence(), *(GuestRun(r.server, r.host, r.began, r.ended, r.disk) for r in runs)]


def reports(nova: Any) -> set[tuple[str, str]]:
    """Return every host whose nova-compute has ever reported, with when that was."""
    return {(row.host, row.updated_at) for row in nova.services.list(binary="nova-compute") if row.updated_at}
