"""The monitor's gates, each read on its own: what `explain` and the timer print, and what a flip needs open."""

from __future__ import annotations

from datetime import datetime

from nova_ha.cluster import shared_gates
from nova_ha.cluster.gate import Cause, Gate
from nova_ha.cluster.reading import GateReading, with_approval
from nova_ha.cluster.together import Together
from nova_ha.cluster.view import ClusterView
from nova_ha.monitor.storm import storm
from nova_ha.monitor.witnesses import agent_alive, nova_reports
from nova_ha.probe.votes import Votes


def gates(
    view: ClusterView, votes: Votes, node: str, now: datetime, counted: Together | None = None
) -> list[GateReading]:
    """Return all gates of the monitor for the node, open and closed, each with its evidence.

    `counted` is storm(view, votes, now) where the caller has it already: it is the same for all nodes.
    """
    found, told = view.compute_nodes[node], votes.of(node)
    readings = [
        shared_gates.policy(view),
        shared_gates.unreadable(view, node),
        shared_gates.paused(view),
        shared_gates.maintenance(found, now),
        shared_gates.no_quorum(view, len(told.votes), told.agreed(view.quorum), told.in_words()),
        shared_gates.left(found, votes.left),
        _withdrawn(view, node),
        nova_reports(view, found),
        agent_alive(view, votes, found),
        _max_failed(counted or storm(view, votes, now), node),
    ]
    return [with_approval(reading, found, now) for reading in readings]


def _withdrawn(view: ClusterView, node: str) -> GateReading:
    # status/failed was set back while its incident was open: setting it again would undo that.
    withdrawn = node in view.incidents and not view.compute_nodes[node].failed
    return GateReading.of(Gate.WITHDRAWN, not withdrawn, Cause.FAILED_RESET if withdrawn else None, node=node)


def _max_failed(counted: Together, node: str) -> GateReading:
    together = Cause.FAIL_TOGETHER
    return GateReading.of(Gate.MAX_FAILED, not counted.too_many_with(node), together, counted=counted.words(node))
