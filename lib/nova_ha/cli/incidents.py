"""The incidents of the history and the open ones, read from the KV store."""

from __future__ import annotations

from collections.abc import Iterable

from nova_ha.cluster.incident import Incident
from nova_ha.cluster.past import last_of_each
from nova_ha.cluster.schema import INCIDENTS_CLOSED, closed_incident
from nova_ha.cluster.view import ClusterView
from nova_ha.consul.store import Store
from nova_ha.consul.transaction import Entry
from nova_ha.consul.values import BadValue, Problem


def past_incidents(store: Store, node: str | None = None) -> tuple[list[Incident], list[Problem]]:
    """Return the closed incidents (of one node), oldest first, and those that cannot be read. Raises ConsulError."""
    entries = store.list(closed_incident(node, "") if node else INCIDENTS_CLOSED)
    return _read(entry for entry in entries if not entry.key.endswith("/"))


def latest_incidents(store: Store, view: ClusterView) -> list[Incident]:
    """Return the last closed incident of each node, without reading the whole history."""
    latest = sorted(last_of_each(view.closed).items())
    found = [store.get(last.key) for _, last in latest]
    return _read(entry for entry in found if entry)[0]


def open_incidents(view: ClusterView, node: str | None = None) -> tuple[list[Incident], list[Problem]]:
    """Return the open incidents (of one node), and those that cannot be read."""
    chosen = [found for name, found in view.incidents.items() if node in (None, name)]
    return [f.incident for f in chosen if f.incident], [f.problem for f in chosen if f.problem]


def _read(entries: Iterable[Entry]) -> tuple[list[Incident], list[Problem]]:
    incidents: list[Incident] = []
    problems: list[Problem] = []
    for entry in entries:
        try:
            incidents.append(Incident.from_kv(entry.value))
        except BadValue as bad:
            problems.append(Problem(entry.key, str(bad)))
    return sorted(incidents, key=lambda incident: incident.started), problems
