"""A real Consul on loopback for what needs no cloud: a server, and an agent for each observer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from nova_ha.cluster.node import RuntimeConfig
from nova_ha.cluster.registry import NodeSettings, add_ha_node, set_option
from nova_ha.cluster.schema import BMC_CHECK, SERVICE, SSH_CHECK, compute_node
from nova_ha.consul.store import Store, connect
from nova_ha.consul.transaction import Operation, put
from nova_ha.consul.values import MAX_OPERATIONS, flag_to
from nova_ha.sandbox.consul import Datacenter
from nova_ha.sandbox.directory import SandboxDirectory
from nova_ha.sandbox.network import Network, Reservation
from nova_ha.sandbox.processes import marked, own_environment
from nova_ha.sandbox.provide import PROJECT

# As in consul.d/ha-node.hcl, but that nothing runs by itself: the bench says when.
_CHECKS = [
    {"id": check, "name": check, "ttl": "24h", "status": "warning", "output_max_size": 65536}
    for check in (SSH_CHECK, BMC_CHECK)
]
_OBSERVER = {
    "check_update_interval": "0s",
    "check_output_max_size": 65536,
    "enable_local_script_checks": True,
    "service": {"id": SERVICE, "name": SERVICE, "checks": _CHECKS},
}


class Bench:
    """Consul with the HA nodes `ha-1`.., while it is entered; nothing of it is left afterwards."""

    def __init__(self, observers: int = 1, watches: Sequence[Mapping[str, Any]] = ()) -> None:
        self._directory = SandboxDirectory()
        self._reservation = Reservation()
        self._settings = {**_OBSERVER, "watches": list(watches)}
        self.directory: Path = self._directory.path
        self.network: Network = self._reservation.network
        self.names = tuple(f"ha-{number}" for number in range(1, observers + 1))
        self.consul = Datacenter(self.directory, self.network)

    def __enter__(self) -> Bench:
        try:
            self.consul.start()
            set_option(connect(self.consul.servers[0].access), "recovery/storage", "shared")
            for name in self.names:
                add_ha_node(connect(self.consul.servers[0].access), name)
            for number, name in enumerate(self.names, start=1):
                self.consul.client(name, self.network.ha_node(number), settings=self._settings).start()
            self.consul.await_members()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End every process of it and remove its folder."""
        self._directory.remove()
        self._reservation.release()

    def environ(self, name: str = "ha-1") -> dict[str, str]:
        """Return the environment of a command on that HA node, marked so that nothing of it can be left."""
        access = self.consul.clients[name].access
        return marked({**own_environment(), **access, "PYTHONPATH": str(PROJECT)}, self.directory)

    def store(self, name: str = "ha-1") -> Store:
        """Return the KV store as that HA node has it."""
        return connect(self.consul.clients[name].access)

    def address(self, net: int, number: int) -> str:
        """Return one of a thousand addresses; `net` is 1 for hosts, 2 for BMCs."""
        return f"{self.network.prefix}.{100 + 10 * net + number // 250}.{number % 250 + 1}"


def register(store: Store, nodes: Mapping[str, NodeSettings]) -> None:
    """Write the keys of many new compute nodes as `nova-ha node add` does, without its look at all others."""
    operations = [operation for name, settings in nodes.items() for operation in _keys(name, settings)]
    for start in range(0, len(operations), MAX_OPERATIONS):
        store.commit(operations[start : start + MAX_OPERATIONS])


def _keys(name: str, settings: NodeSettings) -> Iterable[Operation]:
    values = {
        "general/": b"",
        "status/failed": flag_to(False),
        "status/recovered": flag_to(False),
        "internal/number_fails": b"0",
        "internal/runtime_config": RuntimeConfig(nova_host=name).to_kv(),
        "config/nova_host": name.encode(),
        **settings.values(),
    }
    return [put(compute_node(name, leaf), value) for leaf, value in values.items()]
