"""The rehearsal cloud as a whole: Consul with its HA nodes, Nova, compute hosts with servers and BMCs."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from nova_ha.cluster.registry import NodeSettings, add_compute_node, add_ha_node, set_option
from nova_ha.consul.store import Store, connect
from nova_ha.sandbox.consul import CONFIGURATION, Datacenter, commands_path
from nova_ha.sandbox.directory import SandboxDirectory
from nova_ha.sandbox.machine import Machine
from nova_ha.sandbox.network import Reservation
from nova_ha.sandbox.nova.state import Timing
from nova_ha.sandbox.openstack import OpenStack
from nova_ha.sandbox.processes import find, own_environment, signal_one

COMMAND_TIMEOUT_S = 120
HA_NODE_POLICY, OPERATOR_POLICY = "nova-ha-ha-node", "nova-ha-operator"


@dataclass(frozen=True)
class CloudPlan:
    """How large the cloud is. `servers` is per compute host; `interval_s` is that of the SSH sweep.

    Its Nova has the field's `timing`, as its policy has.
    """

    compute: int = 4
    ha: int = 3
    servers: int = 3
    interval_s: int = 5
    consul_servers: int = 1
    timing: Timing = field(default_factory=Timing)


class Sandbox:
    """A rehearsal cloud that runs while it is entered; nothing of it is left afterwards.

    SIGTERM and SIGHUP end it like Ctrl-C does. Where this process is killed, the next sandbox cleans up.
    """

    def __init__(self, plan: CloudPlan | None = None, directory: Path | None = None) -> None:
        self.plan = plan or CloudPlan()
        self._directory = SandboxDirectory(directory)
        self._reservation = Reservation()
        self._former_signals: dict[int, Any] = {}
        self.directory = self._directory.path
        network = self._reservation.network
        self.openstack = OpenStack(network.nova, self.directory, self.plan.timing)
        self.consul = Datacenter(self.directory, network, servers=self.plan.consul_servers, acl=True)
        self.machines = {
            name: Machine(name, number, network, self.openstack.url, self.directory)
            for number, name in enumerate(self.compute_names, start=1)
        }

    @property
    def compute_names(self) -> tuple[str, ...]:
        """The names of the compute nodes."""
        return tuple(f"compute-{number}" for number in range(1, self.plan.compute + 1))

    @property
    def ha_names(self) -> tuple[str, ...]:
        """The names of the HA nodes."""
        return tuple(f"ha-{number}" for number in range(1, self.plan.ha + 1))

    def __enter__(self) -> Sandbox:
        self._end_on_signals()
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def start(self) -> None:
        """Start everything, and wait until every HA node is alive with all nodes registered."""
        self._start_cloud()
        self.consul.start()
        for policy, file in ((HA_NODE_POLICY, "ha-node"), (OPERATOR_POLICY, "operator")):
            self.consul.define_policy(policy, (CONFIGURATION / f"acl/{file}.hcl").read_text())
        self.operator_token = self.consul.token("operator", [OPERATOR_POLICY])
        self._register()
        self._start_ha_nodes()
        self.consul.await_members()

    def close(self) -> None:
        """End every process of it and remove its folder. Idempotent."""
        self._directory.remove()
        self._reservation.release()
        for number, former in self._former_signals.items():
            signal.signal(number, former)
        self._former_signals.clear()

    # --- for the operator

    @property
    def access(self) -> dict[str, str]:
        """The environment of an operator's commands: Consul with an operator's token, and OpenStack."""
        name = self.ha_names[0]
        agent = self.consul.clients.get(name) or self.consul.servers[0]
        consul = {"CONSUL_HTTP_ADDR": agent.http_address, "CONSUL_HTTP_TOKEN": self.operator_token}
        return {**consul, **self.openstack.access}

    def store(self, call_timeout_s: float = 5.0) -> Store:
        """Return the KV store with the operator's rights."""
        return connect(self.access, call_timeout_s=call_timeout_s)

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `nova-ha` as the operator, and return its end with its output."""
        argv = [str(Path(sys.executable).parent / "nova-ha"), *words]
        environ = {**own_environment(), **self.access}
        return subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S)

    def driver_logs(self) -> Mapping[str, str]:
        """Return what the drivers of each HA node have logged; those that logged nothing are left out."""
        logs = {name: self._driver_log(name) for name in self.ha_names}
        return {name: log.read_text() for name, log in logs.items() if log.exists()}

    # --- for the saboteur

    def kill_drivers(self) -> int:
        """SIGKILL every recovery handler that runs, and return how many there were."""
        drivers = find(self.directory, "nova-ha-handle-recovery")
        return sum(signal_one(driver, self.directory, signal.SIGKILL) for driver in drivers)

    # --- starting

    def _start_cloud(self) -> None:
        self.openstack.start()
        for name in self.ha_names:
            self.openstack.add_host(name, reports_itself=True)
        for name, machine in self.machines.items():
            self.openstack.add_host(name, reports_itself=False)
            machine.start()
            for number in range(1, self.plan.servers + 1):
                self.openstack.add_server(name, f"{name}-server-{number}")

    def _register(self) -> None:
        store = self.store()
        set_option(store, "recovery/storage", "shared")
        for name in self.ha_names:
            add_ha_node(store, name)
        for name, machine in self.machines.items():
            machine.await_boot()
            add_compute_node(store, name, NodeSettings(**machine.settings))

    def _start_ha_nodes(self) -> None:
        for number, name in enumerate(self.ha_names, start=1):
            environ = {
                **self.openstack.access,
                "PATH": commands_path(),
                "NOVA_HA_LOG": str(self._driver_log(name)),
                "NOVA_HA_RUN": str(self.directory / "run"),
            }
            address = self._reservation.network.ha_node(number)
            self.consul.client(
                name,
                address,
                files=[CONFIGURATION / "ha-node.hcl"],
                settings=_every(self.plan.interval_s),
                environ=environ,
                policies=[HA_NODE_POLICY],
            ).start()

    def _driver_log(self, ha_node: str) -> Path:
        return self.directory / f"{ha_node}.drivers.log"

    def _end_on_signals(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGHUP):
                self._former_signals[number] = signal.signal(number, _leave)


def _leave(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


def _every(interval_s: int) -> Mapping[str, Any]:
    """Return the settings that let the SSH sweep run in another interval; the other checks stay as shipped."""
    if interval_s == CloudPlan.interval_s:
        return {}
    check = {
        "id": "nova-ha-ssh",
        "name": "SSH of all compute nodes",
        "args": ["nova-ha-check-ssh", "--paced", "--interval", str(interval_s)],
        "interval": "1s",
        "timeout": f"{2 * interval_s}s",
        "status": "warning",
        "output_max_size": 65536,
    }
    return {"service": {"id": "nova-ha", "name": "nova-ha", "checks": [check]}}
