"""A registered cluster in a FakeStore."""

from __future__ import annotations

from collections.abc import Iterable

from nova_ha.cluster.node import IdentityWord, RuntimeConfig
from nova_ha.cluster.schema import compute_node, ha_node

from kit.fakes.store import FakeStore
from kit.fakes.values import NOW


def register(store: FakeStore, nodes: Iterable[str], ha: Iterable[str] = ("ha-1", "ha-2", "ha-3")) -> None:
    """Write what `node add` and `ha-node add` write for these nodes."""
    for number, node in enumerate(nodes):
        values: dict[str, bytes | str] = {
            "status/failed": "False",
            "status/recovered": "False",
            "internal/number_fails": "0",
            "internal/runtime_config": RuntimeConfig(nova_host=node).to_kv(),
            "config/nova_host": node,
            "config/bmc/ip": f"10.0.{number // 250}.{number % 250 + 1}",
            "config/bmc/user": "admin",
            "config/bmc/password": "bmc-secret",
            "config/bmc/identity": f"guid-{node}",
            "config/ssh/user": "probe",
            "config/ssh/password": "ssh-secret",
            "general/": "",
        }
        for leaf, value in values.items():
            store.put(compute_node(node, leaf), value)
    for node in ha:
        store.put(ha_node(node, "status/in_use"), "False")
        store.put(ha_node(node, "general/"), "")
    store.put("ha_cluster/config/recovery/storage", "shared")


def vouch_for_bmc(store: FakeStore, node: str, why: str = "seen by me") -> None:
    """Write what `node set NODE --bmc-identity none --why` writes, by ann."""
    word = IdentityWord("ann", why, NOW)
    store.put(compute_node(node, "config/bmc/identity"), "none")
    store.put(compute_node(node, "config/bmc/identity_word"), word.to_kv())


def fails_of(store: FakeStore, node: str) -> int:
    """Return what `number_fails` says."""
    return int(store.value(compute_node(node, "internal/number_fails")) or 0)


def is_failed(store: FakeStore, node: str) -> bool:
    """Return what `status/failed` says."""
    return store.value(compute_node(node, "status/failed")) == "True"
