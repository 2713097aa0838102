"""Which nodes' BMCs are at one address, by whatever spelling, name, port or driver. Nothing is decided on it."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping

from nova_ha.cluster.node import ComputeNode
from nova_ha.power.device import FenceDevice, is_ip, reached_at

# All names together: a resolver that is away must not hold up what asks.
RESOLVING_S = 5.0

Resolve = Callable[[str], frozenset[str]]


def sharing(nodes: Mapping[str, ComputeNode], resolve: Resolve | None = None) -> Iterator[tuple[str, str, str]]:
    """Yield (node, another node, address) for each two whose BMCs are at one address, in both directions."""
    devices = {name: bmc for name, node in nodes.items() if (bmc := _device(node))}
    addresses = _addresses({bmc.host for bmc in devices.values()}, resolve or resolved)
    for name, bmc in devices.items():
        for other, its in devices.items():
            if name != other and addresses[bmc.host] & addresses[its.host]:
                yield name, other, f"{bmc.driver} {bmc.address}, {its.driver} {its.address}"


def resolved(name: str) -> frozenset[str]:
    """Return the addresses of a name; none where it does not resolve."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return frozenset()
    return frozenset(reached_at(str(entry[4][0])) for entry in found)


def _device(node: ComputeNode) -> FenceDevice | None:
    device = node.bmc or node.incomplete_bmc
    return device if device and device.host else None


def _addresses(hosts: set[str], resolve: Resolve) -> Mapping[str, frozenset[str]]:
    """Return each host's addresses; a name that is not resolved in time stands for itself."""
    found = {host: frozenset({reached_at(host)}) for host in hosts}
    names = [host for host in hosts if not is_ip(host)]
    answers: queue.SimpleQueue[tuple[str, frozenset[str]]] = queue.SimpleQueue()
    for name in names:
        # Daemons, since a look-up cannot be ended: the process may end before it.
        threading.Thread(target=lambda name=name: answers.put((name, resolve(name))), daemon=True).start()
    until = time.monotonic() + RESOLVING_S
    for _ in names:
        try:
            name, addresses = answers.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            break
        found[name] |= addresses
    return found
