"""What `number_fails` counts."""

from __future__ import annotations

from datetime import datetime

from nova_ha.cluster.gate import Gate
from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.view import ClusterView
from nova_ha.probe.votes import Votes


def number_of_fails(view: ClusterView, votes: Votes, node: ComputeNode, now: datetime) -> int | None:
    """Return the failed intervals that count, or None where fewer observers than the quorum have voted.

    In a maintenance nothing counts; when it ends by itself, counting starts at 1, since the observers' streaks
    have grown meanwhile.
    """
    agreed = votes.of(node.name).agreed(view.quorum)
    planned = node.maintenance
    if agreed is None or planned is None or node.lets_pass(Gate.MAINTENANCE, now):
        return agreed
    if node.maintained(now):
        return 0
    since_s = (now - planned.until).total_seconds()
    return min(agreed, 1 + int(since_s // max(1, votes.interval_s)))
