"""The monitor's gates, each read on its own: what `explain` and `plan` print, and what a flip needs open."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from nova_ha.clock import to_stamp
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.view import ClusterView
from nova_ha.monitor.storm import Storm, storm
from nova_ha.monitor.verdict import GateReading
from nova_ha.probe.votes import Votes


def gates(
    view: ClusterView, votes: Votes, node: str, now: datetime, counted: Storm | None = None
) -> list[GateReading]:
    """Return all gates of the monitor for the node, open and closed, each with its evidence.

    `counted` is storm(view, votes, now) where the caller has it already: it is the same for all nodes.
    """
    found = view.compute_nodes[node]
    readings = [
        _policy(view),
        _unreadable(view, node),
        _paused(view),
        _maintenance(found, now),
        _no_quorum(view, votes, node),
        _left(votes, found),
        _withdrawn(view, node),
        _max_failed(counted or storm(view, votes, now), node),
    ]
    return [_with_approval(reading, found, now) for reading in readings]


def lets_pass(node: ComputeNode, gate: Gate, now: datetime) -> bool:
    """True while an operator's approval lets the gate pass for this node."""
    approval = node.approval
    return approval is not None and gate.approvable and approval.lets_pass(gate, now)


def _with_approval(reading: GateReading, node: ComputeNode, now: datetime) -> GateReading:
    if reading.open or node.approval is None or not lets_pass(node, reading.gate, now):
        return reading
    by = node.approval.by
    words = f"{reading.evidence}; {by} lets it pass until {to_stamp(node.approval.until)}"
    return replace(reading, open=True, evidence=words, approved_by=by)


def _policy(view: ClusterView) -> GateReading:
    mistakes = "; ".join(map(str, view.policy_problems))
    words = f"{mistakes}: see `nova-ha config check`" if mistakes else "the policy is sound"
    return GateReading(Gate.POLICY, not mistakes, words)


def _unreadable(view: ClusterView, node: str) -> GateReading:
    opened = view.incidents.get(node)
    bad = [*view.problems_of(node), *([opened.problem] if opened and opened.problem else [])]
    return GateReading(Gate.UNREADABLE, not bad, "; ".join(map(str, bad)) or "all keys can be read")


def _paused(view: ClusterView) -> GateReading:
    if not view.paused:
        return GateReading(Gate.PAUSED, True, "not paused")
    by, why = (view.pause.by, view.pause.why) if view.pause else ("unknown", "")
    words = f"paused by {by}{f' ({why})' if why else ''}: `nova-ha resume` ends it"
    return GateReading(Gate.PAUSED, False, words)


def _maintenance(node: ComputeNode, now: datetime) -> GateReading:
    planned = node.maintenance
    if planned is None:
        return GateReading(Gate.MAINTENANCE, True, "no maintenance")
    why = f" ({planned.why})" if planned.why else ""
    if node.maintained(now):
        words = f"until {to_stamp(planned.until)} by {planned.by}{why}"
        return GateReading(Gate.MAINTENANCE, False, words)
    return GateReading(Gate.MAINTENANCE, True, f"ended {to_stamp(planned.until)}, was by {planned.by}{why}")


def _no_quorum(view: ClusterView, votes: Votes, node: str) -> GateReading:
    told = votes.of(node)
    words = f"{len(told.votes)} of {len(view.ha_nodes)} HA nodes vote, {view.quorum} needed: {told.in_words()}"
    return GateReading(Gate.NO_QUORUM, told.agreed(view.quorum) is not None, words)


def _left(votes: Votes, node: ComputeNode) -> GateReading:
    left = node.left or node.name in votes.left
    words = "its Consul agent has left, as for a planned shutdown" if left else "its Consul agent has not left"
    return GateReading(Gate.LEFT, not left, words)


def _withdrawn(view: ClusterView, node: str) -> GateReading:
    # status/failed was set back while its incident was open: setting it again would undo that.
    withdrawn = node in view.incidents and not view.compute_nodes[node].failed
    words = f"status/failed was reset, but its incident is open: `nova-ha node reset {node}` ends it"
    return GateReading(Gate.WITHDRAWN, not withdrawn, words if withdrawn else "no incident was withdrawn")


def _max_failed(counted: Storm, node: str) -> GateReading:
    return GateReading(Gate.MAX_FAILED, not counted.closed_for(node), counted.words)
