"""How long each step of a recovery took, from the loss of the host to the archive."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from nova_ha.cluster.incident import Incident, IncidentState
from nova_ha.sandbox.snapshot import Kind, TimelineEvent


@dataclass(frozen=True)
class Milestone:
    """A step's end: seconds since the host was lost, and since the milestone before."""

    what: str
    after_s: float
    took_s: float


STATES = {
    IncidentState.CLAIMED: "an HA node has claimed it",
    IncidentState.FENCING: "power off is sent",
    IncidentState.FENCED: "proved to be off, receipt written",
    IncidentState.FORCED_DOWN: "forced down in Nova, read back",
    IncidentState.EVACUATING: "its servers are listed",
}


def timeline(lost_at: datetime, history: Sequence[TimelineEvent], incident: Incident) -> list[Milestone]:
    """Return the milestones of one node in their order; those that were not reached are left out."""
    moments = sorted(_moments(history, incident), key=lambda moment: moment[0])
    found, before = [], lost_at
    for at, what in moments:
        found.append(Milestone(what, (at - lost_at).total_seconds(), (at - before).total_seconds()))
        before = at
    return found


def _moments(history: Sequence[TimelineEvent], incident: Incident) -> Iterator[tuple[datetime, str]]:
    seen = [event for event in history if event.node == incident.node]
    for kind, what in ((Kind.INTERVAL, "first failed interval counted"), (Kind.FAILED, "status/failed is True")):
        if first := next((event.at for event in seen if event.kind is kind), None):
            yield first, what
    for state, what in STATES.items():
        if reached := next((step.at for step in incident.steps if step.state is state), None):
            yield reached, what
    done = [progress.done_at for progress in incident.servers.values() if progress.done_at]
    if done:
        yield max(done), f"the last of {len(done)} servers runs elsewhere"
    if incident.state is IncidentState.FINISHED:
        yield incident.steps[-1].at, "audited and archived"
