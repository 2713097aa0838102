"""The storm guard: how many compute nodes fail together, and how many of them are believed."""

from __future__ import annotations

from datetime import datetime

from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.together import Together, before_any_is_set_failed
from nova_ha.cluster.view import ClusterView
from nova_ha.probe.votes import Votes


def storm(view: ClusterView, votes: Votes, now: datetime) -> Together:
    """Return who counts now: each node once, whatever it counts for.

    A host whose failing is expected (maintenance, its agent has left) does not count, unless it was flipped.
    """
    failing = [name for name, node in view.compute_nodes.items() if _fails_unexpectedly(view, votes, node, now)]
    return before_any_is_set_failed(view, now, failing)


def _fails_unexpectedly(view: ClusterView, votes: Votes, node: ComputeNode, now: datetime) -> bool:
    if node.failed or node.maintained(now) or node.left or node.name in votes.left:
        return False
    return bool(votes.of(node.name).agreed(view.quorum))
