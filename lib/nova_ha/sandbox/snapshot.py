"""One look at a node of the rehearsal, and what has happened between two of them."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from nova_ha.cluster.gate import Closed
from nova_ha.cluster.incident import Incident, IncidentState
from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.schema import closed_incident
from nova_ha.cluster.view import ClusterView, read_view
from nova_ha.consul.store import Store
from nova_ha.monitor.assess import assess
from nova_ha.monitor.verdict import Hold
from nova_ha.probe.votes import NodeVotes, Votes, read_votes


class Kind(enum.Enum):
    """What an event is about."""

    STRIKE = "fault"
    INTERVAL = "interval"
    FAILED = "failed"
    STEP = "step"
    SERVER = "server"
    REFUSED = "refused"
    FINISHED = "finished"
    OPERATOR = "operator"


@dataclass(frozen=True)
class TimelineEvent:
    """Something that happened to a node, when, and in words."""

    at: datetime
    node: str
    kind: Kind
    words: str


@dataclass(frozen=True)
class Snapshot:
    """A node at `at`. `incident` is the open one, or the last one in history, with `archived`.

    `held` is the gate that keeps the monitor from setting `failed` at the threshold, `waits_at` those at which HA
    nodes have noted that its recovery, which nobody has claimed, waits.
    """

    at: datetime
    node: ComputeNode
    votes: NodeVotes
    threshold: int
    incident: Incident | None = None
    archived: bool = False
    held: Closed | None = None
    waits_at: Collection[str] = ()

    @property
    def finished(self) -> bool:
        """True when the recovery has ended, and is archived as finished."""
        return self.archived and self.incident is not None and self.incident.state is IncidentState.FINISHED

    @property
    def refused(self) -> bool:
        """True while the incident waits for the operator."""
        return not self.archived and bool(self.incident and self.incident.state is IncidentState.NEEDS_OPERATOR)


def look(store: Store, nodes: Iterable[str], now: datetime) -> dict[str, Snapshot]:
    """Read the nodes. Raises ConsulError."""
    view = read_view(store)
    votes = read_votes(store, view)
    return {name: _snapshot(store, view, votes, name, now) for name in nodes}


def _snapshot(store: Store, view: ClusterView, votes: Votes, name: str, now: datetime) -> Snapshot:
    incident = view.incident(name)
    verdict = assess(view, votes, name, now)
    past = None if incident else last_of(store, name)
    return Snapshot(
        at=now,
        node=view.compute_nodes[name],
        votes=votes.of(name),
        threshold=view.policy.monitor_fail_threshold,
        incident=incident or past,
        archived=past is not None,
        held=verdict.closed[0] if isinstance(verdict, Hold) else None,
        waits_at={ha.waits[name].partition(":")[0] for ha in view.ha_nodes.values() if name in ha.waits},
    )


def last_of(store: Store, name: str) -> Incident | None:
    """Return the node's last incident in history. Raises ConsulError, and BadValue where one cannot be read."""
    found = [Incident.from_kv(entry.value) for entry in store.list(closed_incident(name, ""))]
    return max(found, key=lambda incident: incident.started, default=None)


def events(before: Snapshot, after: Snapshot) -> Iterator[TimelineEvent]:
    """Yield what happened to the node between the two, in order."""
    name, counted = after.node.name, after.node.number_fails
    if counted > before.node.number_fails:
        words = f"failed interval {counted} of {after.threshold}: {after.votes.in_words()}"
        yield TimelineEvent(after.at, name, Kind.INTERVAL, words)
    if after.held and not before.held:
        yield TimelineEvent(after.at, name, Kind.REFUSED, f"not flipped, {after.held}")
    if after.node.failed and not before.node.failed:
        yield TimelineEvent(after.at, name, Kind.FAILED, "status/failed is True")
    if after.waits_at and not before.waits_at:
        yield TimelineEvent(after.at, name, Kind.REFUSED, f"not claimed, {', '.join(sorted(after.waits_at))}")
    yield from _story(name, before.incident, after.incident)
    if after.refused and not before.refused and after.incident:
        gate = after.incident.gate.value if after.incident.gate else "stopped"
        yield TimelineEvent(after.at, name, Kind.REFUSED, f"needs the operator, {gate}: {after.incident.reason}")
    if after.finished and not before.finished and after.incident:
        yield TimelineEvent(after.incident.steps[-1].at, name, Kind.FINISHED, "archived; everything given back")


def _story(name: str, before: Incident | None, after: Incident | None) -> Iterator[TimelineEvent]:
    """Yield the incident's new steps, by their time; those about one server as such."""
    if after is None:
        return
    told = len(before.steps) if before and after.goes_on_from(before) else 0
    servers = tuple(f"{progress.name}: " for progress in after.servers.values())
    for step in after.steps[told:]:
        if step.what.startswith(servers):
            yield TimelineEvent(step.at, name, Kind.SERVER, step.what)
        else:
            yield TimelineEvent(step.at, name, Kind.STEP, f"{step.state.value}, {step.by}: {step.what}")
