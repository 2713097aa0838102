"""What can be seen of the cloud at one moment, and how far each host has come in this round."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from nova_ha.clock import SystemClock
from nova_ha.cluster.gate import Cause, Closed, Gate
from nova_ha.cluster.incident import Incident, IncidentState, ServerState
from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.past import Past
from nova_ha.consul.store import Store
from nova_ha.monitor.look import Look, decide, look
from nova_ha.monitor.verdict import Hold
from nova_ha.probe.observation import Report

from soak.plan import Moment

STATES = {
    IncidentState.CLAIMED: Moment.CLAIMED,
    IncidentState.FENCING: Moment.FENCING,
    IncidentState.FENCED: Moment.FENCED,
    IncidentState.FORCED_DOWN: Moment.FORCED_DOWN,
    IncidentState.EVACUATING: Moment.EVACUATING,
}


@dataclass(frozen=True)
class Seen:
    """One compute host at one moment. `ended` are its incidents of this round that are in history, oldest first."""

    node: ComputeNode
    incident: Incident | None
    ended: Sequence[Incident]
    held_at: Closed | None
    well: bool

    @property
    def asks_at(self) -> Gate | None:
        """The gate at which its incident waits for the operator, with nobody at work on it."""
        waits = self.incident is not None and self.incident.state is IncidentState.NEEDS_OPERATOR
        return self.incident.gate if self.incident and waits and not self.node.lock_session else None

    @property
    def refused_by(self) -> Gate | None:
        """The gate that stops it: its incident's, or the one that keeps the monitor from setting it failed."""
        return self.asks_at or (self.held_at.gate if self.held_at and not self.being_watched else None)

    @property
    def being_watched(self) -> bool:
        """True while the monitor holds it for some seconds: look-outs see whether its nova-compute reports."""
        return self.held_at is not None and self.held_at.cause is Cause.BEING_WATCHED

    @property
    def finished(self) -> bool:
        """True when its last incident of this round has ended as finished, and none is open or due."""
        done = bool(self.ended) and self.ended[-1].state is IncidentState.FINISHED
        return done and self.incident is None and self.node.failed and self.node.recovered

    @property
    def settled(self) -> bool:
        """True where nothing more happens by itself: finished, asking, held by the monitor, or well."""
        if self.incident is not None or self.node.failed:
            return self.finished or self.asks_at is not None
        return self.refused_by is not None or self.untouched

    @property
    def untouched(self) -> bool:
        """True where it is watched, and nobody counts it."""
        return self.well and not self.node.failed and self.incident is None and not self.node.number_fails

    @property
    def moment(self) -> Moment:
        """How far it has come."""
        if self.finished or self.refused_by:
            return Moment.SETTLED
        if self.incident is not None:
            return STATES.get(self.incident.progress_state, Moment.CLAIMED)
        if self.node.failed:
            return Moment.FAILED
        return Moment.COUNTED if self.node.number_fails else Moment.WITH

    def in_words(self) -> str:
        """Return how it stands, in a line."""
        if self.incident is not None:
            return " ".join(self._incident_words(self.incident))
        if self.finished:
            return f"recovered: {server_words(self.ended[-1])}"
        if self.node.failed:
            return f"failed, {'archived' if self.node.recovered else 'to be claimed'}"
        if self.held_at:
            return f"held by {self.held_at.gate.value}"
        return f"counted {self.node.number_fails}" if self.node.number_fails else "watched"

    def _incident_words(self, incident: Incident) -> Iterator[str]:
        yield incident.progress_state.value
        if incident.state is IncidentState.NEEDS_OPERATOR and incident.gate:
            yield f"waits at {incident.gate.value}"
        elif self.node.lock_session:
            yield f"by {incident.driver}"
        else:
            yield f"by nobody ({incident.driver} has gone)"
        if incident.servers:
            yield f"({server_words(incident)})"


def server_words(incident: Incident) -> str:
    """Return how many of its servers stand how."""
    states = [progress.state for progress in incident.servers.values()]
    return (
        ", ".join(f"{states.count(state)} {state.value}" for state in ServerState if state in states) or "no server"
    )


@dataclass
class Scene:
    """Looks at the cloud. `begin` forgets what was before: incidents that ended earlier are of no interest.

    `observed` says whether, at the last look, a quorum of the observers had something to say at all: where the
    machine is so busy that their checks do not end in time, nobody can decide anything.
    """

    observed: bool = False
    paused: bool = False
    _past: set[Past] = field(default_factory=set)
    _ended: dict[str, list[Incident]] = field(default_factory=dict)

    def begin(self, store: Store) -> None:
        """Take what is in history now as past. Raises ConsulError."""
        self._past = set(look(store, SystemClock()).view.closed)
        self._ended = {}

    def look(self, store: Store) -> Mapping[str, Seen]:
        """Return how every compute host stands. Raises ConsulError."""
        found = look(store, SystemClock())
        self._read_ended(store, found)
        self.paused = found.view.paused
        self.observed = sum(isinstance(r, Report) for r in found.votes.reports.values()) >= found.view.quorum
        verdicts = decide(found)
        return {
            name: Seen(
                node,
                found.view.incident(name),
                tuple(self._ended.get(name, ())),
                next(iter(verdict.closed), None) if isinstance(verdict := verdicts[name], Hold) else None,
                _seen_well(found, name),
            )
            for name, node in found.view.compute_nodes.items()
        }

    def _read_ended(self, store: Store, found: Look) -> None:
        for past in sorted(set(found.view.closed) - self._past, key=lambda past: past.started):
            entry = store.get(past.key)
            if entry:
                self._past.add(past)
                self._ended.setdefault(past.node, []).append(Incident.from_kv(entry.value))


def _seen_well(found: Look, name: str) -> bool:
    """True where every observer that votes sees it well, and one does."""
    streaks = set(found.votes.of(name).streaks.values())
    return streaks <= {0, None} and 0 in streaks
