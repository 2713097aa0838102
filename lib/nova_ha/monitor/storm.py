"""The storm guard: how many compute nodes fail together, and how many of them are believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.view import ClusterView
from nova_ha.probe.votes import Votes

NAMES_SHOWN = 8


@dataclass(frozen=True)
class Storm:
    """The nodes that count against `monitor/max_failed`, with the reason for each, and the limit."""

    nodes: Mapping[str, str]
    limit: int

    def closed_for(self, node: str) -> bool:
        """True when the node would be one too many."""
        return len({*self.nodes, node}) > self.limit

    @property
    def words(self) -> str:
        """Who counts, and the limit, in one line."""
        shown = [f"{node} {why}" for node, why in sorted(self.nodes.items())][:NAMES_SHOWN]
        more = f" and {len(self.nodes) - NAMES_SHOWN} more" if len(self.nodes) > NAMES_SHOWN else ""
        listed = f": {', '.join(shown)}{more}" if shown else ""
        return f"{len(self.nodes)} compute nodes count, at most {self.limit} may{listed}"


def storm(view: ClusterView, votes: Votes, now: datetime) -> Storm:
    """Return who counts now: each node once, whatever it counts for.

    Whoever was flipped counts until its incident is older than the window, and whoever fails now counts from
    the first interval on, below the threshold as well: so nodes that reach the threshold one after the other
    are not let through one by one. A host whose failing is expected (maintenance, its agent has left) does
    not count, unless it was flipped.
    """
    within = {past.node for past in view.started_within_window(now)}
    reasons = {node: _reason(view, votes, found, within, now) for node, found in view.compute_nodes.items()}
    gone = {node: "has an open incident" for node in view.incidents if node not in view.compute_nodes}
    past = {node: "had an incident" for node in within if node not in view.compute_nodes}
    counted = {node: why for node, why in reasons.items() if why}
    return Storm({**past, **gone, **counted}, view.policy.monitor_max_failed.of(len(view.compute_nodes)))


def _reason(view: ClusterView, votes: Votes, node: ComputeNode, within: set[str], now: datetime) -> str:
    if node.name in view.incidents:
        return "has an open incident"
    if node.failed and not node.recovered:
        return "is failed"
    if node.name in within:
        return "had an incident"
    if node.failed or node.maintained(now) or node.left or node.name in votes.left:
        return ""
    return "fails" if votes.of(node.name).agreed(view.quorum) else ""
