"""Which HA node looks first at a failed host: the others come later, and only where nobody has claimed it by then.

All at once, they would ask its BMC for sessions that it may not have, and each other's processors for time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.schema import LOCK
from nova_ha.cluster.view import ClusterView
from nova_ha.recovery.driver_clients import DriverClients, Halted

# So long after the one before it an HA node looks, whether that one lives or not.
NEXT_AFTER_S = 1.0
PAUSE_S = 0.25


def in_rank(view: ClusterView, node: ComputeNode) -> Sequence[str]:
    """Return the HA nodes that may act for the node, the first one first, by a hash of both names.

    Each compute node has an order of its own, so that many that fail together are shared out. An HA node that works
    on another one, is reserved, or runs on the node's host is left out.
    """
    able = [ha.name for ha in view.ha_nodes.values() if not ha.in_use and not ha.is_on(node.name, node.nova_host)]
    return sorted(able, key=lambda name: hashlib.sha256(f"{node.name} {name}".encode()).digest())


def first_in_rank(view: ClusterView, alive: Collection[str], node: ComputeNode) -> str | None:
    """Return the HA node that acts first for the node, of those whose agent lives."""
    return next((name for name in in_rank(view, node) if name in alive), None)


def rank(view: ClusterView, me: str, node: ComputeNode) -> int:
    """Return how many HA nodes come before this one for the node, whether they live or not; all where it has none."""
    order = in_rank(view, node)
    return order.index(me) if me in order else len(order)


def await_turn(clients: DriverClients, view: ClusterView, node: str, due_s: float) -> bool:
    """Leave the node to those that come before us; return whether nobody has taken it.

    `due_s` is when this process saw that it is due, by the monotonic clock. Raises ConsulError, Halted.
    """
    found = view.compute_nodes[node]
    until = due_s + NEXT_AFTER_S * rank(view, clients.me, found)
    while (left := until - clients.clock.monotonic()) > 0:
        if clients.stopping():
            raise Halted(f"{node}: asked to end before the last look")
        clients.clock.sleep(min(left, PAUSE_S))
        entry = clients.store.get(found.key(LOCK))
        if entry and entry.session:
            return False
    return True
