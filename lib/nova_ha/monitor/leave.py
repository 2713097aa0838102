"""Compute nodes whose Consul agent has left on purpose, remembered in the KV store for as long as they fail.

An agent that is restarted, or has just joined, does not know the members that had left before (seen in Consul 1.8.7):
what one observer's agent knows when a node begins to fail must hold for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nova_ha.cluster.schema import LEFT
from nova_ha.consul.transaction import Operation, cas, delete_cas
from nova_ha.consul.values import flag_to
from nova_ha.monitor.look import Look
from nova_ha.monitor.verdict import Verdict


def leaves_noted(seen: Look, verdicts: Mapping[str, Verdict]) -> Mapping[str, Sequence[Operation]]:
    """Return what is to be written about each node: that it has left, or that this is over."""
    found: dict[str, Sequence[Operation]] = {}
    for name in verdicts:
        node, agreed = seen.view.compute_nodes[name], seen.votes.of(name).agreed(seen.view.quorum)
        if name in seen.votes.left and agreed and not node.left:
            found[name] = [cas(node.key(LEFT), flag_to(True), node.index(LEFT))]
        # Not by the verdict: in a maintenance it counts nothing, whatever is seen.
        elif node.left and (name in seen.votes.alive or agreed == 0):
            found[name] = [delete_cas(node.key(LEFT), node.index(LEFT))]
    return found
