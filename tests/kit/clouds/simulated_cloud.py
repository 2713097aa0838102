"""The simulator as a cloud for the contract."""

from __future__ import annotations

import os
from collections.abc import Mapping

from nova_ha.compute import Compute, ServerID
from nova_ha.compute.client import connect
from nova_ha.compute.states import VMState
from nova_ha.sandbox.nova.simulator import NovaSimulator
from nova_ha.sandbox.nova.state import Timing

from kit.clouds.contract_cloud import until

ADDRESS = "127.12.0.1"
LONGEST_SPAWN_S = 4.0


def credentials(url: str, user: str = "admin") -> Mapping[str, str]:
    """Return the OS_* variables for one of the simulator's users."""
    return {
        "PATH": os.environ["PATH"],
        "OS_AUTH_URL": f"{url}/identity/v3",
        "OS_USERNAME": user,
        "OS_PASSWORD": "secret",
        "OS_PROJECT_NAME": user,
        "OS_USER_DOMAIN_ID": "default",
        "OS_PROJECT_DOMAIN_ID": "default",
    }


class SimulatedCloud:
    """A `ContractCloud` in this process. Its slow spawns are shorter than the contract asks for, and have an end.

    A host that stopped to report is up for long enough to be asked about it, and to do what needs it up.
    """

    hosts = ("compute-1", "compute-2", "compute-3", "compute-4")
    patience_s = 60.0

    def __init__(self) -> None:
        timing = Timing(service_down_time_s=5.0, report_interval_s=0.2, rebuild_s=0.1, handover_s=0.1, start_s=0.2)
        self.simulator = NovaSimulator(timing)
        self._control = self.simulator.control
        for host in self.hosts:
            self.simulator.add_host(host)
        self._control.add_flavor("tiny", {"ha": "yes"})
        self._image = self._control.add_image("tiny", {"ha_image": "yes"}, ["gold"]).id
        self.url = self.simulator.start(ADDRESS)

    def connect(self) -> Compute:
        return connect(credentials(self.url))

    def boot(self, host: str, count: int = 1) -> list[ServerID]:
        made = [self.simulator.add_server(host, f"vm-{n}", image_id=self._image) for n in range(count)]
        return [ServerID(server.id) for server in made]

    def put_into(self, server: ServerID, state: VMState) -> None:
        record = self.simulator.cloud.servers[server]
        record.vm_state = state.value
        self.simulator.cloud.set_guest(record.host, server, running=state is not VMState.STOPPED)

    def delete(self, server: ServerID) -> None:
        self.connect()._client.servers.delete(server)  # type: ignore[attr-defined]

    def kill_compute(self, host: str) -> None:
        self._control.run_compute(host, False)

    def power_off(self, host: str) -> None:
        with self.simulator.cloud.lock:
            self._control.power(host, False)

    def start_compute(self, host: str) -> None:
        with self.simulator.cloud.lock:
            before = self.simulator.cloud.hosts[host].reported_at
            self._control.power(host, True)
            self._control.run_compute(host, True)
        until("reporting", self.patience_s, lambda: self.simulator.cloud.hosts[host].reported_at != before or None)

    def fail_spawn(self, host: str, on: bool) -> None:
        self.simulator.cloud.fail_spawn = {host} if on else set()

    def slow_spawn(self, host: str, seconds: float) -> None:
        self.simulator.cloud.slow_spawn[host] = min(seconds / 10, LONGEST_SPAWN_S)

    def guests(self, server: ServerID) -> set[str]:
        with self.simulator.cloud.lock:
            return set(self.simulator.cloud.guests_of(server))
