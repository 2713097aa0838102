"""Incidents that have ended, as the next one needs them."""

from __future__ import annotations

from contextlib import suppress

from nova_ha.cluster.incident import Incident
from nova_ha.cluster.past import key_of, latest_first
from nova_ha.cluster.schema import closed_incident
from nova_ha.consul.store import Store
from nova_ha.consul.transaction import Operation, cas
from nova_ha.consul.values import BadValue


def into_history(store: Store, incident: Incident) -> Operation:
    """Return the write of the record of an incident that ends. Raises ConsulError.

    It goes over the one that is there already, under whichever form of its key, as where a backup has brought the
    open incident back.
    """
    key = key_of(incident.node, incident.started, store.keys(closed_incident(incident.node, "")))
    present = store.get(key)
    return cas(key, incident.to_kv(), present.index if present else 0)


def last_incident(store: Store, node: str) -> Incident | None:
    """Return the node's last incident that had come as far as its servers; None where none can be read.

    One that was stopped before knows nothing of what an earlier one has asked for. Raises ConsulError.
    """
    for key in latest_first(store.keys(closed_incident(node, ""))):
        entry = store.get(key)
        with suppress(BadValue):
            incident = Incident.from_kv(entry.value) if entry else None
            if incident and incident.listed:
                return incident
    return None
