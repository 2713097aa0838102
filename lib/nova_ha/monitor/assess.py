"""The monitor's decision about one node."""

from __future__ import annotations

from datetime import datetime

from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.reading import GateReading
from nova_ha.cluster.together import Together
from nova_ha.cluster.view import ClusterView
from nova_ha.monitor.counting import number_of_fails
from nova_ha.monitor.gates import gates
from nova_ha.monitor.verdict import Count, Flip, Hold, Keep, Verdict
from nova_ha.probe.votes import Votes


def assess(view: ClusterView, votes: Votes, node: str, now: datetime, counted: Together | None = None) -> Verdict:
    """Decide what is to become of the node's `number_fails` and `status/failed`.

    `number_fails` is the number of failed intervals that a quorum of the registered HA nodes agrees on.
    `counted` as for gates().
    """
    found = view.compute_nodes[node]
    if found.failed and not view.problems_of(node):
        return _counted_anew(view, votes, found, now)
    number = number_of_fails(view, votes, found, now)
    if number == 0 and not _has_trouble(view, node) and not found.maintained(now):
        return Count(0)
    readings = gates(view, votes, node, now, counted)
    closed = tuple(reading.closed for reading in readings if not reading.open)
    if number is None or any(refusal.gate.uncountable for refusal in closed):
        return Keep(tuple(refusal for refusal in closed if refusal.gate.uncountable))
    if number < view.policy.monitor_fail_threshold:
        return Count(number, closed)
    return Hold(number, closed) if closed else Flip(number, _approved(readings))


def _counted_anew(view: ClusterView, votes: Votes, node: ComputeNode, now: datetime) -> Keep | Count:
    """Count a failed node again from the first interval on in which a quorum sees it well.

    An incident that waits because its host answered goes on by that count. `failed` is never written again. That it
    is well is counted in a maintenance too: it ends what was granted for the failure.
    """
    if node.left or node.name in votes.left:
        return Keep()  # it is down on purpose
    if _has_trouble(view, node.name):
        return Keep()
    if node.maintained(now):
        return Count(0) if votes.of(node.name).agreed(view.quorum) == 0 else Keep()
    number = number_of_fails(view, votes, node, now)
    begun = node.number_fails < view.policy.monitor_fail_threshold
    return Count(number) if number is not None and (number == 0 or begun) else Keep()


def _has_trouble(view: ClusterView, node: str) -> bool:
    opened = view.incidents.get(node)
    return bool(view.policy_problems or view.problems_of(node) or (opened and opened.problem))


def _approved(readings: list[GateReading]) -> tuple[GateReading, ...]:
    return tuple(reading for reading in readings if reading.approved_by)
