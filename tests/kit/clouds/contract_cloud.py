"""What a cloud must offer so that the contract of Nova can be tried on it: the real stack does, and the simulator."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from nova_ha.compute import Compute, Migration, Server, ServerID, ServiceReading
from nova_ha.compute.states import VMState

Seen = TypeVar("Seen")


class ContractCloud(Protocol):
    """A cloud with at least four compute hosts, to which anything may be done. `patience_s` bounds every wait."""

    hosts: Sequence[str]
    patience_s: float

    def connect(self) -> Compute:
        """Return a client of its Nova, as the product makes it."""

    def boot(self, host: str, count: int = 1) -> list[ServerID]:
        """Return new servers, ACTIVE on the host."""

    def put_into(self, server: ServerID, state: VMState) -> None:
        """Bring an ACTIVE server into STOPPED or PAUSED by the user's own means."""

    def delete(self, server: ServerID) -> None:
        """Delete a server as a user does; returns before it is gone."""

    def kill_compute(self, host: str) -> None:
        """Kill nova-compute; its guests run on."""

    def power_off(self, host: str) -> None:
        """Cut the host's power."""

    def start_compute(self, host: str) -> None:
        """Start nova-compute again; returns when it reports."""

    def fail_spawn(self, host: str, on: bool) -> None:
        """Let every guest fail to start on the host."""

    def slow_spawn(self, host: str, seconds: float) -> None:
        """Let every guest take so long to start on the host; 0 ends that, perhaps not for one that starts already."""

    def guests(self, server: ServerID) -> set[str]:
        """Return the hosts that really have the server's guest."""


class Failed:
    """A host whose power was cut and that was forced down: the state in which a recovery evacuates."""

    def __init__(self, cloud: ContractCloud, nova: Compute, host: str) -> None:
        self.nova = nova
        self.host = host
        cloud.power_off(host)
        self.service_id = service(nova, host).service.id
        nova.force_down(self.service_id, True)


def until(what: str, patience_s: float, look: Callable[[], Seen | None]) -> Seen:
    """Return the first truthy result of `look`; fail when there is none in time."""
    deadline = time.monotonic() + patience_s
    while True:
        if seen := look():
            return seen
        assert time.monotonic() < deadline, f"not in {patience_s:.0f} s: {what}"
        time.sleep(0.1)


def service(nova: Compute, host: str) -> ServiceReading:
    reading = nova.service(host)
    assert reading is not None
    return reading


def server(nova: Compute, server_id: ServerID) -> Server:
    found = nova.server(server_id)
    assert found is not None
    return found


def evacuations_of(nova: Compute, host: str, server_id: ServerID) -> list[Migration]:
    """Return a server's evacuations from the host, newest first."""
    return [migration for migration in nova.evacuations(host) if migration.server == server_id]
