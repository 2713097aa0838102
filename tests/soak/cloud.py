"""The cloud of the soak: a whole one that lives through many rounds, with servers that come and go."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

from kit.audit import Cluster, Trace, write_trace
from kit.audit.trace import GuestRun, Migration, Output, Record
from kit.clouds.divided import DividedCloud, DividedMachine
from kit.clouds.plan import WholePlan, overrides
from kit.machines.machine import RealMachine
from nova_ha.clock import SystemClock, from_stamp
from nova_ha.cluster.schema import INCIDENTS_CLOSED
from nova_ha.consul.store import Store, connect
from nova_ha.consul.transaction import delete
from nova_ha.errors import ConsulError, HAError, NovaError
from nova_ha.sandbox import control
from nova_ha.sandbox.network import Network
from nova_ha.sandbox.nova.state import Timing
from nova_ha.sandbox.processes import find, signal_one

from soak.plan import HA_NODES, HOSTS, ServerPlan

# What the soak asks of Consul while it may be away.
LOOK_TIMEOUT_S = 2.0
USUAL_SERVERS = 2
# Past the window of the policy.
LONG_AGO = timedelta(seconds=150)
# A recovery's command line: from a watch, and by hand.
RECOVERY = ("nova-ha-handle-recovery", "handle\0recovery")
LOOK_OUT = "nova-ha-look-out"
# What one step of a recovery may take beside hosts that fail otherwise, on a machine that is very busy.
STEP_S = 90.0
COMMANDS = "commands"
VAST = {"name": "vast", "size": {"VCPU": 100_000}}

PLAN = WholePlan(
    compute=len(HOSTS),
    servers=USUAL_SERVERS,
    observers=len(HA_NODES),
    consul_servers=3,
    timer_s=10,
    bmc_s=60,
    timing=Timing(),  # the field's
    policy={
        # The shortest that are allowed, so that one round does not count against the next for long.
        "monitor/window": "60",
        "recovery/server_timeout": "40",
        "fence/attempts": "2",
        "fence/timeout": "10",
        # Six hosts: two at once in a round, and two of the round before.
        "monitor/max_failed": "4",
    },
)


class SoakMachine(DividedMachine):
    """A host whose sshd drops logins as OpenSSH does where nobody has changed it."""

    sshd_settings: ClassVar[Mapping[str, str]] = {"MaxStartups": "10:30:100"}


class SoakCloud(DividedCloud):
    """A whole cloud whose hosts fail, are repaired and are filled with servers again, as often as one likes."""

    def __init__(self) -> None:
        super().__init__(PLAN)
        self._asked = 0
        self._past: frozenset[str] = frozenset()
        self._recording_since = SystemClock().now()

    def __enter__(self) -> SoakCloud:
        super().__enter__()
        control.tell(self.openstack.url, "flavors", VAST)
        return self

    def new_machine(self, name: str, number: int, network: Network) -> RealMachine:
        return SoakMachine(self.wires, name, number, network, self.openstack.url, self.directory)

    def facts(self) -> Cluster:
        """Return them; every fault is recorded, with its reach."""
        known = super().facts()
        return replace(known, step_s=STEP_S, sources=known.sources | {"faults"})

    # --- where things are done

    def at(self, name: str) -> AbstractContextManager[None]:
        """Let what is started meanwhile be on that machine."""
        return self.wires.at(name)

    def looking(self) -> Store:
        """Return the KV store for somebody who looks often, and does not wait long."""
        server = self.consul.servers[self._asked % len(self.consul.servers)]
        access = {"CONSUL_HTTP_ADDR": server.http_address, "CONSUL_HTTP_TOKEN": self.operator_token}
        return connect(access, call_timeout_s=LOOK_TIMEOUT_S)

    def look_elsewhere(self) -> None:
        """Ask another of Consul's servers from now on."""
        self._asked += 1

    # --- the record of a round

    def begin_recording(self) -> None:
        """Record from now on, when all is well, and forget what was before."""
        if self.recorder:
            self.recorder.leave_off()
        control.ask(self.openstack.url, "history", method="DELETE")
        self._past = frozenset(self._recent_incidents())
        self._recording_since = SystemClock().now()
        self.recorder = self.new_recorder()
        self.recorder.start()

    def _recent_incidents(self) -> Iterator[str]:
        """Yield the keys of the incidents that may count within the window still; remove those before."""
        store, since = self.looking(), SystemClock().now() - LONG_AGO
        for key in store.keys(INCIDENTS_CLOSED):
            stamp = key.rpartition("/")[2]
            if stamp and from_stamp(stamp) < since:
                store.commit([delete(key)])
            else:
                yield key

    def trace(self) -> Trace:
        """Return what was recorded since. Incidents of earlier rounds are no part of it."""
        whole = super().trace()
        return replace(whole, kv=tuple(change for change in whole.kv if change.key not in self._past))

    def evidence(self) -> list[Record]:
        """Return what the parts have seen since. What goes on since before, as guests that run, is part of it."""
        goes_on = (Output, GuestRun, Migration)
        since = self._recording_since
        return [record for record in super().evidence() if isinstance(record, goes_on) or record.at >= since]

    # --- handlers

    def drivers(self, ha_node: str) -> Sequence[int]:
        """Return the process ids of all recoveries, whoever has started them, that work as this HA node."""
        return self._of(ha_node, *RECOVERY)

    def _of(self, ha_node: str, *words: str) -> Sequence[int]:
        address = f"CONSUL_HTTP_ADDR={self.agent(ha_node).http_address}".encode()
        found = [number for word in words for number in find(self.directory, word)]
        return [number for number in found if address in _environ(number)]

    def signal_drivers(self, ha_node: str, what: signal.Signals) -> int:
        """Send a signal to the HA node's recoveries; return how many there were."""
        return sum(signal_one(number, self.directory, what) for number in self.drivers(ha_node))

    def signal_look_outs(self, ha_node: str, what: signal.Signals) -> int:
        """Send a signal to the HA node's look-out; return how many there were."""
        return sum(signal_one(number, self.directory, what) for number in self._of(ha_node, LOOK_OUT))

    def set_interval(self, ha_node: str, seconds: int) -> None:
        """Let an observer sweep at another interval from now on, as an operator who reloads its agent."""
        file = self.agent(ha_node).directory / "sandbox.json"
        settings = json.loads(file.read_text())
        file.write_text(json.dumps({**settings, **overrides(replace(self.plan, interval_s=seconds))}))
        with suppress(ConsulError):  # one that does not run reads the file when it starts
            self.agent(ha_node).ask("/v1/agent/reload", method="PUT", token=self.consul.management_token)

    # --- servers

    def lodge(self, machine: RealMachine, server: str) -> None:
        """Count a server that is elsewhere among the host's, so that it goes with them."""
        self._servers[machine.name].append(server)

    def fill(self, machine: RealMachine, more: Sequence[ServerPlan] = ()) -> None:
        """Give a host its usual servers where it has none, and these."""
        have = self._servers[machine.name]
        usual = [] if have else [ServerPlan()] * USUAL_SERVERS
        for plan in (*usual, *more):
            flavor = {"flavor": VAST["name"]} if plan.vast else {}
            name = f"{machine.name}-{plan.vm_state}{'-vast' if plan.vast else ''}"
            server = self.openstack.add_server(machine.name, name, vm_state=plan.vm_state, **flavor)
            have.append(server)
            if plan.slow_s:
                self.slow_spawn(plan.slow_s, server)

    def empty(self, machine: RealMachine) -> None:
        """Delete a host's servers, wherever they are by now."""
        for server in self._servers[machine.name]:
            control.ask(self.openstack.url, f"servers/{server}", method="DELETE")
        self._servers[machine.name] = []

    def power_of_nova_host(self, name: str, on: bool) -> None:
        """Cut the power of an HA node's own nova-compute with its guests, or give it back."""
        control.tell(self.openstack.url, "power", {"host": name, "on": on})

    def fail_spawn(self, *names: str) -> None:
        """Let nothing be spawned for these servers, or on these hosts."""
        control.tell(self.openstack.url, "faults", {"fail_spawn": list(names)})

    def forget_tokens(self) -> None:
        """Let Keystone forget every token."""
        control.tell(self.openstack.url, "faults", {"forget_tokens": True})

    # --- logs

    @property
    def logs(self) -> Sequence[Path]:
        """All logs that grow as long as the cloud runs."""
        agents = [agent.log for agent in (*self.consul.servers, *self.consul.clients.values())]
        hosts = [file for machine in self.machines.values() for file in machine.directory.glob("**/*log")]
        return [file for file in (*agents, self.directory / "drivers.log", *hosts) if file.exists()]

    def empty_logs(self) -> None:
        """Let all logs begin anew; whoever writes them appends. No command runs any more."""
        for file in self.logs:
            os.truncate(file, 0)
        for file in (self.directory / COMMANDS).glob("*"):
            file.unlink()

    def keep(self, folder: Path) -> None:
        """Copy what there is to see of the cloud into a folder: logs, and what Consul and Nova have."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for file in self.logs:
            shutil.copy(file, folder / "-".join(file.relative_to(self.directory).parts))
        with suppress(ConsulError):
            entries = self.looking().list("ha_cluster/")
            shown = {e.key: e.value.decode(errors="replace") for e in entries if not e.key.endswith("/password")}
            (folder / "kv.json").write_text(json.dumps(shown, indent=1))
        with suppress(HAError):
            write_trace(self.trace(), folder / "trace")
        with suppress(NovaError):
            (folder / "nova.json").write_text(json.dumps(self.seen_by_nova(), indent=1))

    def seen_by_nova(self) -> Mapping[str, Any]:
        """Return all that the simulated Nova knows and was asked for."""
        return {
            "hosts": self.openstack.hosts,
            "guests": self.openstack.guests,
            "overlaps": self.openstack.overlaps,
            "requests": self.openstack_requests(),
        }


def _environ(number: int) -> Sequence[bytes]:
    with suppress(OSError):
        return Path("/proc", str(number), "environ").read_bytes().split(b"\0")
    return []
