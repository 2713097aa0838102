"""The whole product on real parts: Consul under default deny, HA nodes, compute hosts, BMCs; Nova is simulated.

with WholeCloud(WholePlan(compute=3)) as cloud:
    host = cloud.host()
    host.hang()
    cloud.finished(host)
    cloud.audit()
"""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from nova_ha.clock import SystemClock, from_stamp
from nova_ha.cluster.gate import Cause, Gate
from nova_ha.cluster.incident import Incident, IncidentState, ServerState
from nova_ha.cluster.node import ComputeNode, HANode
from nova_ha.cluster.registry import NodeSettings, add_compute_node, add_ha_node, set_option
from nova_ha.cluster.schema import HA_NODES, INCIDENTS_CLOSED, RECOVERY_SEMAPHORE, compute_node
from nova_ha.cluster.view import ClusterView, read_view
from nova_ha.consul.semaphore import Semaphore
from nova_ha.consul.store import Store, connect
from nova_ha.consul.transaction import put
from nova_ha.consul.values import flag_from
from nova_ha.errors import ConsulError, HAError
from nova_ha.monitor.look import decide, look
from nova_ha.monitor.verdict import Hold
from nova_ha.probe.votes import read_votes
from nova_ha.sandbox import control
from nova_ha.sandbox.consul import CONFIGURATION, Agent, Datacenter, commands_path
from nova_ha.sandbox.directory import SandboxDirectory
from nova_ha.sandbox.network import Network, Reservation
from nova_ha.sandbox.openstack import OpenStack
from nova_ha.sandbox.processes import find, marked, own_environment
from nova_ha.sandbox.waiting import until

from kit.audit import Cluster, Trace, audit, write_trace
from kit.audit.trace import SOURCES, Record
from kit.clouds.plan import Watches, WholePlan, overrides, without_watches
from kit.machines.by_hand import write_by_hand
from kit.machines.driver import Driver
from kit.machines.evidence import of_files, of_history, of_machine, of_nova
from kit.machines.follower import ConsulEndpoint
from kit.machines.machine import RealMachine
from kit.machines.recorder import Recorder

# All limits here are for a machine that does much else besides: nothing depends on how long a thing takes.
PATIENCE_S = 300.0
COMMAND_LIMIT_S = 120.0
BIN = Path(sys.executable).parent


class WholeCloud:
    """It runs while it is entered, and nothing of it is left afterwards. `host()` gives out hosts that are well."""

    def __init__(self, plan: WholePlan | None = None) -> None:
        self.plan = plan or WholePlan()
        self._directory = SandboxDirectory()
        self.directory = self._directory.path
        self._reservation = self.new_reservation()
        network = self._reservation.network
        self.openstack = self.new_openstack(network)
        self.consul = self.new_consul(network)
        names = [f"compute-{number}" for number in range(1, self.plan.compute + 1)]
        self.machines = {name: self.new_machine(name, number, network) for number, name in enumerate(names, start=1)}
        self._fresh: Iterator[RealMachine] = iter(list(self.machines.values()))
        self._drivers: list[Driver] = []
        self.recorder: Recorder | None = None

    def new_reservation(self) -> Reservation:
        """Return the network that the cloud is in, held until it is closed."""
        return Reservation()

    def new_consul(self, network: Network) -> Datacenter:
        """Return Consul's servers, not started."""
        return Datacenter(
            self.directory,
            network,
            servers=self.plan.consul_servers,
            acl=True,
            key_list_policy=self.plan.key_list_policy,
        )

    def new_openstack(self, network: Network) -> Any:
        """Return what the cloud has for OpenStack, not started."""
        return OpenStack(network.nova, self.directory, self.plan.timing)

    def new_machine(self, name: str, number: int, network: Network) -> RealMachine:
        """Return a compute host, not started."""
        return RealMachine(name, number, network, self.openstack.url, self.directory)

    def new_recorder(self) -> Recorder:
        """Return what records the run for the auditor, not started; Consul's servers run."""
        access = [
            {**server.access, "CONSUL_HTTP_TOKEN": self.consul.management_token} for server in self.consul.servers
        ]
        return Recorder(self.directory, [ConsulEndpoint(one) for one in access])

    def __enter__(self) -> WholeCloud:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End everything. Idempotent."""
        if self.recorder:
            self.recorder.leave_off()
        for machine in self.machines.values():
            machine.close()
        self._directory.remove()
        self._reservation.release()

    # --- what a test works with

    @property
    def observers(self) -> tuple[str, ...]:
        """The HA nodes whose agents run the shipped configuration."""
        return tuple(f"ha-{number}" for number in range(1, self.plan.observers + 1))

    @property
    def ha_nodes(self) -> tuple[str, ...]:
        """All HA nodes."""
        return tuple(f"ha-{number}" for number in range(1, self.plan.observers + self.plan.others + 1))

    def agent(self, name: str) -> Agent:
        """Return an HA node's agent."""
        return self.consul.clients[name]

    def host(self) -> RealMachine:
        """Return a compute host that no test has had before, as soon as all observers see it well."""
        machine = next(self._fresh)
        self.seen_well(machine)
        return machine

    def store(self, name: str = "") -> Store:
        """Return the KV store with the operator's rights; or as an HA node has it."""
        return connect(self.agent(name).access if name else self.access, call_timeout_s=5.0)

    @property
    def access(self) -> dict[str, str]:
        """The environment of an operator's commands."""
        agent = next(agent for agent in self.consul.clients.values() if agent.running)
        consul = {"CONSUL_HTTP_ADDR": agent.http_address, "CONSUL_HTTP_TOKEN": self.operator_token}
        return {**consul, **self.openstack.access}

    def command(self, *words: str, at: str = "", environ: Mapping[str, str] | None = None) -> Any:
        """Run `nova-ha` to its end as the operator, or as an HA node (`at`), and return it with its output."""
        own = {**self.agent(at).access, **self.openstack.access} if at else self.access
        return self.run("nova-ha", *words, environ={**own, **(environ or {})})

    def run(self, program: str, *words: str, environ: Mapping[str, str], stdin: bytes = b"") -> Any:
        """Run one of our programs to its end, with no other variable than these, and return it."""
        done = subprocess.run(
            [str(BIN / program), *words],
            env={"PATH": commands_path(), **environ},
            input=stdin,
            capture_output=True,
            timeout=COMMAND_LIMIT_S,
        )
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    def handler_environ(self, name: str) -> dict[str, str]:
        """Return what the scripts of an HA node's agent have in their environment."""
        return {**self._script_environ, **self.agent(name).access}

    def driver(self, name: str, *words: str) -> Driver:
        """Start `nova-ha handle recovery` on an HA node, in the background."""
        argv = [str(BIN / "nova-ha"), "handle", "recovery", *words]
        log = self.directory / f"driver-{len(self._drivers)}-{name}"
        environ = marked({**own_environment(), **self.handler_environ(name)}, self.directory)
        self._drivers.append(Driver(argv, environ, log))
        return self._drivers[-1]

    def detached_drivers(self) -> list[int]:
        """Return the process ids of the handlers that agents, and what they ran, have started."""
        return find(self.directory, "nova-ha-handle-recovery")

    def set_policy(self, **options: str) -> None:
        """Set options of the policy: `monitor__max_failed="2"`."""
        for name, text in options.items():
            set_option(self.store(), name.replace("__", "/"), text)

    def write(self, key: str, value: bytes) -> None:
        """Write a key as somebody would by hand."""
        write_by_hand(self.store(), put(key, value))

    # --- looking

    def view(self) -> ClusterView:
        """Read the cluster."""
        return read_view(self.store())

    def node(self, machine: RealMachine) -> ComputeNode:
        """Read a compute node's keys."""
        return ComputeNode.from_entries(machine.name, self.store().list(compute_node(machine.name)))

    def open_incident(self, machine: RealMachine) -> Incident | None:
        """Read its open incident."""
        entry = self.store().get(f"ha_cluster/incidents/open/{machine.name}")
        return Incident.from_kv(entry.value) if entry else None

    def history(self, machine: RealMachine) -> list[Incident]:
        """Read its past incidents, oldest first."""
        entries = self.store().list(f"{INCIDENTS_CLOSED}{machine.name}/")
        return sorted((Incident.from_kv(entry.value) for entry in entries), key=lambda incident: incident.started)

    def log(self, name: str) -> str:
        """Return what an HA node's agent and its scripts have logged."""
        return self.agent(name).log.read_text(errors="replace")

    @property
    def drivers_log(self) -> str:
        """What all detached drivers have logged."""
        path = self.directory / "drivers.log"
        return path.read_text() if path.exists() else ""

    def sweeps(self, name: str) -> int:
        """Return how many SSH sweeps an observer's agent has run since it was started."""
        return len(re.findall(r"Check (is now critical|status updated): check=nova-ha-ssh\b", self.log(name)))

    def handler_runs(self) -> int:
        """Return how many times the observers' watches have called a handler."""
        return sum(self.log(name).count("watch handler output") for name in self.observers)

    # --- waiting

    def more_sweeps(self, count: int, names: Sequence[str] = ()) -> None:
        """Wait until every observer, or each of these, has swept so many times more."""
        before = {name: self.sweeps(name) for name in names or self.observers}
        self.wait(lambda: all(self.sweeps(name) >= was + count for name, was in before.items()), "more sweeps")

    def gone_on(self, *machines: RealMachine) -> None:
        """Let hosts that hung go on, wait until nobody counts them any more, and give them out again."""
        for machine in machines:
            machine.go_on()
        self.wait(lambda: not any(self.node(machine).number_fails for machine in machines), "counts to fall to 0")
        self.seen_well(*machines)
        self._fresh = itertools.chain(machines, self._fresh)

    def wait(self, look: Callable[[], Any], what: str, within_s: float = PATIENCE_S, every_s: float = 0.1) -> Any:
        """Look until it is true; Consul may be away meanwhile."""

        def bearing() -> Any:
            with suppress(ConsulError):
                return look()
            return None

        try:
            return until(bearing, what, within_s, every_s)
        except HAError as error:
            raise AssertionError(f"{error}\n{self.account()}") from None

    def account(self) -> str:
        """Return all that there is to say, for an error message."""
        try:
            told = "\n\n".join(self.story(machine) for machine in self.machines.values())
        except HAError as error:
            told = str(error)
        drivers = "\n".join(f"{d.name}: {d.output}" for d in self._drivers)
        return f"{told}\n\n{self.drivers_log[-4000:]}\n{drivers}\n{self.command('status').stdout}"

    def seen_well(self, *machines: RealMachine) -> None:
        """Wait until every observer that is alive sees them well."""
        self.wait(lambda: all(self._streaks(m) <= {0, None} and 0 in self._streaks(m) for m in machines), "all well")

    def _streaks(self, machine: RealMachine) -> set[int | None]:
        store = self.store()
        votes = read_votes(store, read_view(store)).of(machine.name)
        return {streak for name, streak in votes.streaks.items() if name in self.observers}

    def failed(self, machine: RealMachine) -> None:
        """Wait until `status/failed` is True."""
        self.wait(lambda: self.node(machine).failed, f"{machine.name} to be failed")

    def reached(self, machine: RealMachine, state: IncidentState) -> Incident:
        """Wait until its open incident is in the state; another end before that is an error at once."""

        def look() -> Incident | None:
            assert not self.history(machine), f"it ended before: {self.story(machine)}"
            incident = self.open_incident(machine)
            return incident if incident and incident.state is state else None

        found: Incident = self.wait(look, f"{machine.name} to be {state.value}", every_s=0.02)
        return found

    def asks(self, machine: RealMachine, gate: Gate) -> Incident:
        """Wait until its incident waits for the operator at this gate."""

        def look() -> Incident | None:
            incident = self.open_incident(machine)
            return incident if incident and incident.gate is gate and self._given_back(machine) else None

        found: Incident = self.wait(look, f"{machine.name} to wait at {gate.value}")
        return found

    def held(self, machine: RealMachine, gate: Gate) -> str:
        """Wait until the monitor holds it at the threshold by this gate, seen for good, and return why."""

        def look_at() -> str:
            verdict = decide(look(self.store(), SystemClock()))[machine.name]
            closed = verdict.closed if isinstance(verdict, Hold) else ()
            return next((c.why for c in closed if c.gate is gate and c.cause is not Cause.BEING_WATCHED), "")

        found: str = self.wait(look_at, f"{machine.name} to be held by {gate.value}")
        return found

    def _given_back(self, machine: RealMachine) -> bool:
        return not self.node(machine).lock_session

    def finished(self, machine: RealMachine) -> Incident:
        """Wait until its recovery has been archived as finished, and return it."""
        self.wait(lambda: self.history(machine), f"{machine.name} to be recovered")
        incident = self.history(machine)[-1]
        assert incident.state is IncidentState.FINISHED, self.story(machine)
        return incident

    def story(self, machine: RealMachine) -> str:
        """Return what its incident tells of itself, for an error message."""
        incident = self.open_incident(machine) or next(iter(self.history(machine)[-1:]), None)
        node = self.node(machine)
        head = f"{machine.name}: failed={node.failed} recovered={node.recovered} fails={node.number_fails}"
        if incident is None:
            return f"{head}, no incident"
        lines = [f"{step.at:%H:%M:%S.%f} {step.state.value} {step.by}: {step.what}" for step in incident.steps]
        return "\n".join([f"{head}, {incident.state.value} {incident.gate} {incident.reason}", *lines])

    # --- Nova

    def requests(self, machine: RealMachine | None = None) -> list[Mapping[str, Any]]:
        """Return the requests with an effect that Nova has got, oldest first; of one host and its servers only."""
        found = [r for r in self.openstack_requests() if r["method"] != "GET" and "/auth/tokens" not in r["path"]]
        if machine is None:
            return found
        parts = [self.service_id(machine.name), *self.servers_of(machine)]
        return [r for r in found if any(part in r["path"] for part in parts)]

    def openstack_requests(self) -> list[Mapping[str, Any]]:
        """Return every request that Keystone, Nova and their neighbours have got, oldest first."""
        found: list[Mapping[str, Any]] = control.ask(self.openstack.url, "requests")["requests"]
        return found

    def service_id(self, host: str) -> str:
        """Return the id of a host's nova-compute."""
        return str(self.openstack.hosts[host]["id"])

    def servers_of(self, machine: RealMachine) -> list[str]:
        """Return the ids of the servers that were put on the host."""
        return self._servers[machine.name]

    def evacuations(self, machine: RealMachine) -> list[str]:
        """Return the servers of the host for which Nova was asked to evacuate, one entry for each request."""
        asked = [r["path"] for r in self.requests(machine) if r["action"] == "evacuate"]
        return [server for path in asked for server in self.servers_of(machine) if server in path]

    def break_nova(self, *faults: Mapping[str, Any]) -> None:
        """Let Nova's requests fail, see `nova_ha.sandbox.nova`."""
        self.openstack.break_requests(faults)

    def slow_spawn(self, seconds: float, *servers: str) -> None:
        """Let the rebuild of these servers take so much longer."""
        control.tell(self.openstack.url, "faults", {"slow_spawn": dict.fromkeys(servers, seconds)})

    # --- judging

    def audit_recovered(self, machine: RealMachine) -> None:
        """Check all that must hold of a recovered host, whatever happened on the way."""
        incident = self.finished(machine)
        self.audit()
        node = self.node(machine)
        assert (node.failed, node.recovered) == (True, True), self.story(machine)
        assert set(incident.servers) == set(self.servers_of(machine)), self.story(machine)
        assert {p.state for p in incident.servers.values()} == {ServerState.EVACUATED}, self.story(machine)
        guests = self.openstack.guests
        for server in self.servers_of(machine):
            running = [host for host, runs in guests[server].items() if runs]
            assert len(running) == 1, f"{server} runs on {running}"
            assert running[0] in self.ha_nodes, f"{server} runs on {running}"
        asked = self.evacuations(machine)
        assert sorted(asked) == sorted(set(asked)), f"evacuated twice: {asked}"
        self.audit_order(machine)

    def audit_order(self, machine: RealMachine) -> None:
        """Check the order of the effects: power cut, forced down, disabled, evacuated; by BMC's and Nova's logs."""
        assert machine.cut_at is not None
        sent = [(from_stamp(r["at"]), effect_of(r)) for r in self.requests(machine) if effect_of(r)]
        assert all(at >= machine.cut_at for at, _ in sent), f"cut at {machine.cut_at}, sent {sent}"
        effects = list(dict.fromkeys(effect for _, effect in sent))
        assert effects == ["force-down", "disable", "evacuate"], sent
        kinds = [effect for _, effect in sent]
        assert kinds == sorted(kinds, key=effects.index), sent

    def audit_untouched(self, machine: RealMachine) -> None:
        """Check that nothing was evacuated or told to Nova about a host."""
        assert self.requests(machine) == []
        self.audit()

    def audit(self) -> None:
        """Check what must hold whatever happens: the invariants, no guest twice, nothing held, no secret shown."""
        assert self.openstack.overlaps == []
        self.wait(self._nothing_held, "everything to be given back")
        assert "Traceback" not in self.drivers_log
        secrets = {machine.bmc.device.password for machine in self.machines.values()}
        secrets |= {machine.settings["ssh_password"] for machine in self.machines.values()}
        for name in self.observers:
            assert not [secret for secret in secrets if secret in self.log(name)]
        assert not [secret for secret in secrets if secret in self.drivers_log]
        self.audit_trace()

    def audit_trace(self) -> None:
        """Let the auditor judge all that was recorded. A trace that breaks an invariant is kept in NOVA_HA_TRACES."""
        trace = self.trace()
        violations = audit(trace)
        if violations and (folder := os.environ.get("NOVA_HA_TRACES")):
            write_trace(trace, Path(folder, f"{self.directory.name}.jsonl"))
        assert not violations, "\n".join(map(str, violations))

    def trace(self) -> Trace:
        """Return what was recorded until now, by everybody that has seen it. Raises ConsulError."""
        assert self.recorder
        self.recorder.catch_up()
        return self.recorder.trace(self.facts(), self.evidence())

    def facts(self) -> Cluster:
        """Return what does not change during a run, and what no record can say."""
        by_nova = {"nova", "guests"} if self.openstack.url else set()
        machines = self.machines.values()
        tokens = [agent.token for agent in self.consul.clients.values()]
        passwords = [word for m in machines for word in (m.bmc.device.password, m.settings["ssh_password"])]
        return Cluster(
            compute=tuple(self.machines),
            ha_nodes=self.ha_nodes,
            services={host["id"]: name for name, host in self.openstack.hosts.items()} if by_nova else {},
            secrets=tuple(dict.fromkeys([*passwords, *tokens, self.operator_token])),
            bound_s=PATIENCE_S,
            sources=SOURCES - {"nova", "guests", "faults"} | by_nova,
        )

    def evidence(self) -> list[Record]:
        """Return what BMCs, machines, Nova and the logs have seen themselves."""
        found = [record for name, m in self.machines.items() for record in of_machine(name, m.directory)]
        if self.openstack.url:
            senders = {agent.address: name for name, agent in self.consul.clients.items()}
            found += of_nova(self.openstack_requests(), senders)
            found += of_history(control.ask(self.openstack.url, "history"))
        logs = [self.agent(name).log for name in self.ha_nodes]
        drivers = sorted(self.directory.glob("driver-*"))
        return [*found, *of_files([*logs, *drivers, self.directory / "drivers.log"])]

    def _nothing_held(self) -> bool:
        store = self.store()
        view = read_view(store)
        nodes: list[ComputeNode | HANode] = [*view.compute_nodes.values(), *view.ha_nodes.values()]
        held = [node.name for node in nodes if node.lock_session]
        busy = [e.key for e in store.list(HA_NODES) if e.key.endswith("/in_use") and flag_from(e.value)]
        semaphore = Semaphore.read(store, RECOVERY_SEMAPHORE)
        return not (held or busy or semaphore.holders or semaphore.live)

    # --- starting

    def _start(self) -> None:
        self.openstack.start()
        self.consul.start()
        self.recorder = self.new_recorder()
        self.recorder.start()
        for name in ("ha-node", "operator"):
            self.consul.define_policy(f"nova-ha-{name}", (CONFIGURATION / f"acl/{name}.hcl").read_text())
        self.operator_token = self.consul.token("operator", ["nova-ha-operator"])
        self.start_hosts()
        self._start_agents()
        self._register()
        self.consul.await_members()

    def start_hosts(self) -> None:
        """Start all hosts, with their servers."""
        self._servers: dict[str, list[str]] = {}
        for name in self.ha_nodes:
            self.openstack.add_host(name, reports_itself=True)
        for name, machine in self.machines.items():
            self.openstack.add_host(name, reports_itself=False)
            machine.start()
            numbers = range(1, self.plan.servers + 1)
            self._servers[name] = [self.openstack.add_server(name, f"{name}-server-{n}") for n in numbers]

    def _start_agents(self) -> None:
        self._script_environ = {
            **self.openstack.access,
            "PATH": commands_path(),
            "NOVA_HA_LOG": str(self.directory / "drivers.log"),
            "NOVA_HA_RUN": str(self.directory / "run"),
        }
        for number, name in enumerate(self.ha_nodes, start=1):
            observes = name in self.observers
            address = self._reservation.network.ha_node(number)
            self.consul.client(
                name,
                address,
                files=[self._configuration()] if observes else [],
                settings=self.agent_settings() if observes else {},
                environ=self.script_environ(name, address),
                policies=["nova-ha-ha-node"],
            ).start()

    def agent_settings(self) -> Mapping[str, Any]:
        """Return what an observer's agent loads after the shipped file."""
        return overrides(self.plan)

    def script_environ(self, name: str, address: str) -> Mapping[str, str]:
        """Return what is added to the environment of an HA node's agent, which is at the address."""
        return self._script_environ

    def _register(self) -> None:
        store = self.store()
        for name in self.ha_nodes:
            add_ha_node(store, name)
        for name, text in {"recovery/storage": "shared", **self.plan.options}.items():
            set_option(store, name, text)
        for name, machine in self.machines.items():
            add_compute_node(store, name, NodeSettings(**machine.settings))

    def _configuration(self) -> Path:
        """Return the file that the agents load: the shipped one, or that one without its watches."""
        shipped = CONFIGURATION / "ha-node.hcl"
        if self.plan.watches is Watches.SHIPPED:
            return shipped
        own = self.directory / "ha-node.hcl"
        own.write_text(without_watches(shipped.read_text()))
        return own


def effect_of(request: Mapping[str, Any]) -> str:
    """Return what a request to Nova does, in a word; empty where it was not carried out, or is something else."""
    if request["action"] == "evacuate":
        return "evacuate"
    body = json.dumps(request["body"])
    if "os-services" not in request["path"]:
        return ""
    if "forced_down" in body:
        return "force-down" if "true" in body else "unforce"
    return "disable" if "disabled" in body else "enable"
