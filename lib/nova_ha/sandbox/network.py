"""Loopback addresses for the sandbox: every machine has one, with the standard ports where it can."""

from __future__ import annotations

import random
import socket
from dataclasses import dataclass

from nova_ha.errors import HAError

CONSUL_RPC, CONSUL_HTTP, CONSUL_HTTPS = 8300, 8500, 8501


@dataclass(frozen=True)
class Network:
    """A /16 of 127.0.0.0/8, all of which is local on Linux. Numbers start at 1."""

    prefix: str

    def server(self, number: int) -> str:
        """The address of a Consul server."""
        return f"{self.prefix}.0.{number}"

    def ha_node(self, number: int) -> str:
        """The address of an HA node, and of its Consul agent."""
        return f"{self.prefix}.1.{number}"

    def host(self, number: int) -> str:
        """The address of a compute host."""
        return f"{self.prefix}.2.{number}"

    def bmc(self, number: int) -> str:
        """The address of a compute host's BMC."""
        return f"{self.prefix}.3.{number}"

    @property
    def nova(self) -> str:
        """The address of the Nova API."""
        return f"{self.prefix}.4.1"


class Reservation:
    """Holds a network for this process, so that two sandboxes that run at once get different ones."""

    def __init__(self) -> None:
        self._lock, self.network = _reserve()

    def release(self) -> None:
        """Give the network back. Idempotent."""
        self._lock.close()


def _reserve() -> tuple[socket.socket, Network]:
    for number in random.sample(range(64, 250), k=100):
        network = Network(f"127.{number}")
        lock = _bound(f"{network.prefix}.255.254", CONSUL_RPC)
        if lock is None:
            continue
        if _unused(network):
            return lock, network
        lock.close()
    raise HAError("no loopback network is free for a sandbox", remedy="end other sandboxes")


def _unused(network: Network) -> bool:
    trials = [_bound(network.server(1), port) for port in (CONSUL_RPC, CONSUL_HTTP)]
    for trial in trials:
        if trial is not None:
            trial.close()
    return None not in trials


def _bound(address: str, port: int) -> socket.socket | None:
    trial = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        trial.bind((address, port))
        trial.listen()
    except OSError:
        trial.close()
        return None
    return trial
