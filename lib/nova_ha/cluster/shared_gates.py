"""The gates that both parts ask of the cluster's own records: each is judged, and worded, in one way."""

from __future__ import annotations

from datetime import datetime

from nova_ha.cluster.gate import Cause, Gate
from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.reading import GateReading
from nova_ha.cluster.view import ClusterView


def policy(view: ClusterView) -> GateReading:
    """Closed where the policy has a mistake."""
    return GateReading.of(Gate.POLICY, not view.policy_problems, mistakes=view.policy_problems)


def unreadable(view: ClusterView, node: str) -> GateReading:
    """Closed where the node's keys, or its open incident, cannot be read."""
    bad = view.all_problems_of(node)
    return GateReading.of(Gate.UNREADABLE, not bad, problems=bad)


def paused(view: ClusterView) -> GateReading:
    """Closed while the operator lets everything stand still."""
    by, why = (view.pause.by, view.pause.why) if view.pause else ("unknown", "")
    return GateReading.of(Gate.PAUSED, not view.paused, by=by, why=why)


def maintenance(node: ComputeNode, now: datetime) -> GateReading:
    """Closed while the node's maintenance lasts."""
    planned = node.maintenance
    if planned is None:
        return GateReading.of(Gate.MAINTENANCE, True)
    lasts = node.maintained(now)
    cause = None if lasts else Cause.ENDED
    return GateReading.of(Gate.MAINTENANCE, not lasts, cause, until=planned.until, by=planned.by, why=planned.why)


def no_quorum(view: ClusterView, voted: int, agreed: int | None, votes: str) -> GateReading:
    """Closed where so few have `voted` that they agree on nothing, not even on that it is well."""
    registered, needed = len(view.ha_nodes), view.quorum
    is_open = agreed is not None
    return GateReading.of(Gate.NO_QUORUM, is_open, voted=voted, registered=registered, needed=needed, votes=votes)
