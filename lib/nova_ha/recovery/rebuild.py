"""An operator lets servers that were left come back with a new disk, and what comes of it.

Nothing is done to Nova here: a new incident does it, with a fresh fence, and all proofs that every evacuation needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from nova_ha.clock import Clock
from nova_ha.cluster import shared_gates
from nova_ha.cluster.duty import Duty, duty
from nova_ha.cluster.incident import Incident, IncidentState, ServerProgress, ServerState
from nova_ha.cluster.registry import existing_compute_node
from nova_ha.cluster.view import ClusterView, read_view
from nova_ha.consul.store import Store
from nova_ha.errors import ConfigError, Refused
from nova_ha.printable import first_few
from nova_ha.recovery.archive import last_incident
from nova_ha.recovery.operator import retry

NAMES_SHOWN = 5
LOOK_EVERY_S = 1.0


@dataclass(frozen=True)
class Rebuilding:
    """The servers that may come back with a new disk, by id with their names; `started` is the last incident's."""

    node: str
    servers: Mapping[str, str]
    started: datetime


def planned(store: Store, name: str, wanted: Sequence[str]) -> Rebuilding:
    """Return which servers are meant, by id or by a name that only one has. Raises Refused, ConfigError."""
    view = read_view(store)
    node = existing_compute_node(view, name)
    if not node.failed:
        raise Refused(f"{name} is not failed", remedy="its servers are on it: start them there")
    incident = view.incident(name) or last_incident(store, name)
    # Servers are listed once the host is proved off and forced down, and not before.
    if incident is None or not incident.listed:
        state = incident.progress_state.value if incident else "without an incident"
        raise Refused(f"{name} is {state}: no server of it was left", remedy=f"see `nova-ha status {name}`")
    found = dict(_found(incident, one) for one in wanted)
    return Rebuilding(name, {server: progress.name for server, progress in found.items()}, incident.started)


def rebuild(store: Store, clock: Clock, plan: Rebuilding, *, by: str, why: str = "") -> None:
    """Give the operator's word, for a new incident of the node. Raises as `retry` does."""
    retry(store, clock, plan.node, by=by, why=why, rebuild=tuple(plan.servers))


def followed(
    store: Store, clock: Clock, plan: Rebuilding, tell: Callable[[str], None]
) -> Mapping[str, ServerProgress]:
    """Tell each step of the new incident until it has ended, and return how the servers stand then.

    While nobody works on it that is told too. Where it waits for the operator its reason is the last that is told.
    Raises ConsulError.
    """
    told, idle = 0, ""
    while True:
        view = read_view(store)
        opened, last = view.incident(plan.node), last_incident(store, plan.node)
        new = opened or (last if last and last.started != plan.started else None)
        for step in new.steps[told:] if new else ():
            tell(step.what)
            told += 1
        if new and new.state in (IncidentState.FINISHED, IncidentState.NEEDS_OPERATOR, IncidentState.WITHDRAWN):
            return {server: new.servers[server] for server in plan.servers if server in new.servers}
        before, idle = idle, _why_idle(view, plan.node, clock.now())
        if idle and idle != before:
            tell(idle)
        clock.sleep(LOOK_EVERY_S)


def _why_idle(view: ClusterView, node: str, now: datetime) -> str:
    """Return how the node stands while nobody works on it, empty while somebody does."""
    if view.paused:
        return str(shared_gates.paused(view).closed)
    task = duty(view, node, now)
    return "" if task.duty in (Duty.WORKED_ON, Duty.DONE) else task.words


def _found(incident: Incident, wanted: str) -> tuple[str, ServerProgress]:
    """Return the server with its id. Raises ConfigError where none is meant, or more than one; Refused."""
    named = [(id_, p) for id_, p in incident.servers.items() if wanted in (id_, p.name)]
    left = [id_ for id_, p in incident.servers.items() if p.state is ServerState.LEFT]
    if len(named) != 1:
        count = "several servers" if named else "no server"
        remedy = f"left are {first_few(left, NAMES_SHOWN)}" if left else "none was left"
        raise ConfigError(f"the last incident of {incident.node} has {count} {wanted!r}", remedy=remedy)
    [(server, progress)] = named
    if progress.state is not ServerState.LEFT:
        where = f" to {progress.host}" if progress.host else ""
        why = f"{progress.name} is {progress.state.value}{where}: only a server that was left can be rebuilt"
        raise Refused(why, remedy=f"`nova-ha history {incident.node}` tells of each")
    return server, progress
