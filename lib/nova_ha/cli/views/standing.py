"""How each node stands, in the operator's words: values from values."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from nova_ha.cli.views.remedies import remedy, remedy_in
from nova_ha.cluster.duty import Duty, Task, duties
from nova_ha.cluster.gate import Closed, Gate
from nova_ha.cluster.incident import Incident, ServerState
from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.shared_gates import doubted_name, name_mending
from nova_ha.cluster.view import ClusterView
from nova_ha.monitor.assess import assess
from nova_ha.monitor.storm import storm
from nova_ha.monitor.verdict import Hold
from nova_ha.probe.votes import NodeVotes, NoVote, Votes


class Condition(enum.Enum):
    """How a compute node stands, in one word."""

    WELL = "well"
    FAILING = "failing"
    UNKNOWN = "unknown"
    MAINTENANCE = "maintenance"
    FAILED = "failed"
    RECOVERING = "recovering"
    RECOVERED = "recovered"
    NEEDS_OPERATOR = "needs-operator"
    ODD = "odd"
    UNREADABLE = "unreadable"


CONDITIONS: Mapping[Duty, Condition] = {
    Duty.NOTHING: Condition.WELL,
    Duty.DONE: Condition.RECOVERED,
    Duty.LEFT_BEHIND: Condition.RECOVERED,
    Duty.CLAIM: Condition.FAILED,
    Duty.RESUME: Condition.RECOVERING,
    Duty.TRY_AGAIN: Condition.NEEDS_OPERATOR,
    Duty.WORKED_ON: Condition.RECOVERING,
    Duty.WAITS_FOR_OPERATOR: Condition.NEEDS_OPERATOR,
    Duty.ODD: Condition.ODD,
    Duty.UNREADABLE: Condition.UNREADABLE,
}


@dataclass(frozen=True)
class Standing:
    """How a compute node stands: a word, the reason in one line, and what helps (empty for nothing)."""

    node: str
    condition: Condition
    words: str = ""
    remedy: str = ""
    since: datetime | None = None


def standings(view: ClusterView, votes: Votes | None, now: datetime) -> list[Standing]:
    """Return how every node stands that is registered or has an open incident, by name."""
    held = _held(view, votes, now) if votes else {}
    return [
        _standing(view, node, task, votes.of(node) if votes else None, held.get(node), now)
        for node, task in duties(view, now).items()
    ]


def _held(view: ClusterView, votes: Votes, now: datetime) -> Mapping[str, Closed]:
    """Return, for each node at the threshold, the gate that keeps it from being set failed."""
    threshold = view.policy.monitor_fail_threshold
    reached = [name for name, node in view.compute_nodes.items() if node.number_fails >= threshold]
    counted = storm(view, votes, now) if reached else None
    verdicts = {name: assess(view, votes, name, now, counted) for name in reached}
    return {name: verdict.closed[0] for name, verdict in verdicts.items() if isinstance(verdict, Hold)}


def _standing(
    view: ClusterView, node: str, task: Task, seen: NodeVotes | None, held: Closed | None, now: datetime
) -> Standing:
    found, incident = view.compute_nodes.get(node), view.incident(node)
    condition = CONDITIONS[task.duty]
    since = _since(incident)
    if condition is Condition.UNREADABLE:
        return Standing(node, condition, task.words, remedy_in(view, Gate.UNREADABLE, node), since)
    if condition is Condition.NEEDS_OPERATOR:
        gate = incident.gate if incident else None
        withdrawn = found is not None and not found.failed
        return Standing(node, condition, task.words, remedy(Gate.WITHDRAWN if withdrawn else gate, node), since)
    if found is None or condition is not Condition.WELL:
        return Standing(
            node, condition, _with_maintenance(task.words, found, now), _way(view, node, task.duty), since
        )
    return _watched(view, found, seen, held, now)


def _watched(
    view: ClusterView, node: ComputeNode, seen: NodeVotes | None, held: Closed | None, now: datetime
) -> Standing:
    """Return how a node stands that has not failed."""
    if node.maintained(now):
        return Standing(node.name, Condition.MAINTENANCE, _maintenance(node))
    words = seen.in_words() if seen and view.ha_nodes else ""
    if node.number_fails:
        of = f"{node.number_fails} of {view.policy.monitor_fail_threshold} failed intervals"
        what = f"{of}, not set failed by {held}" if held else ": ".join(filter(None, (of, words)))
        return Standing(node.name, Condition.FAILING, what, remedy(held.gate, node.name) if held else "")
    if seen is None or not view.ha_nodes:
        return Standing(node.name, Condition.UNKNOWN, "nobody observes it", remedy(Gate.NO_QUORUM, node.name))
    agreed = seen.agreed(view.quorum)
    if agreed is None:
        what = f"no quorum of {view.quorum}: {words}"
        return Standing(node.name, Condition.UNKNOWN, what, _way_to_see(seen, node.name))
    if seen.lets_nobody_in(view.quorum):
        return Standing(node.name, Condition.UNKNOWN, words, _way_to_log_in(node.name))
    if doubted := doubted_name(node):
        return Standing(node.name, Condition.WELL, f"not to be recovered: {doubted.closed}", name_mending(node))
    return Standing(node.name, Condition.WELL, words if agreed or seen.reasons else "")


def _way_to_see(seen: NodeVotes, node: str) -> str:
    """Return what helps where there is no quorum: the node's own credentials, or the observers."""
    return _way_to_log_in(node) if NoVote.UNKNOWN in seen.without.values() else remedy(Gate.NO_QUORUM, node)


def _way_to_log_in(node: str) -> str:
    return f"`nova-ha check ssh {node}` shows it; mend it with `nova-ha node set {node}`"


def _with_maintenance(words: str, node: ComputeNode | None, now: datetime) -> str:
    return f"{words}; maintenance {_maintenance(node)}" if node and node.maintained(now) else words


def _maintenance(node: ComputeNode) -> str:
    note = node.maintenance
    assert note is not None
    return f"until {note.until:%Y-%m-%d %H:%M} UTC by {note.by}{': ' if note.why else ''}{note.why}"


def _way(view: ClusterView, node: str, duty: Duty) -> str:
    """Return what helps a node that has failed and is not waiting for the operator."""
    if duty is Duty.LEFT_BEHIND and ServerState.FAILED in view.left_behind.get(node, {}):
        return remedy(Gate.LEFT_BEHIND, node)
    if duty is Duty.LEFT_BEHIND:
        # With the host their disks come back too.
        return (
            f"`nova-ha node reset {node}` once the host is repaired; or `nova-ha node rebuild-server {node} SERVER`"
        )
    if CONDITIONS[duty] in (Condition.FAILED, Condition.RECOVERING):
        if view.paused:
            return remedy(Gate.PAUSED, node)
        return remedy(Gate.POLICY, node) if view.policy_problems else ""
    return f"`nova-ha node reset {node}` once the host is repaired" if duty is Duty.DONE else ""


def _since(incident: Incident | None) -> datetime | None:
    if incident is None:
        return None
    current = [step.at for step in incident.steps if step.state is incident.state]
    return min(current) if current else incident.started
