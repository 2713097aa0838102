"""Who fails now, and how, as a quorum of the observers sees it: what every counting of a storm begins with."""

from __future__ import annotations

from datetime import datetime

from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.together import FailingNow
from nova_ha.cluster.view import ClusterView
from nova_ha.probe.sighting import Grade
from nova_ha.probe.votes import Votes


def failing_now(view: ClusterView, votes: Votes, now: datetime, judged: str = "") -> FailingNow:
    """Return the nodes that fail now. One hangs, or is silent, where a quorum has seen that.

    A host whose failing is expected (maintenance, its agent has left) is not among them, nor one that is failed: for
    that it counts by itself; but one that nobody has claimed, and that was well in between, fails anew. The `judged`
    node is, however it fails, since who hangs does not count against who is silent.
    """
    failing = {
        name for name, node in view.compute_nodes.items() if name == judged or _unexpectedly(view, votes, node, now)
    }
    grades = {name: votes.of(name).grade(view.quorum) for name in failing}
    silent, hanging = (
        frozenset(name for name, grade in grades.items() if grade is which) for which in (Grade.SILENT, Grade.HANGS)
    )
    return FailingNow(frozenset(failing), silent, hanging)


def _unexpectedly(view: ClusterView, votes: Votes, node: ComputeNode, now: datetime) -> bool:
    counts_by_itself = node.failed and (node.recovered or not node.counted_anew)
    if counts_by_itself or node.maintained(now) or node.left or node.name in votes.left:
        return False
    return bool(votes.of(node.name).agreed(view.quorum))
