"""Builders: a node, an incident, a view, with only what a test is about written out."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from nova_ha.clock import to_key
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import Incident, IncidentState
from nova_ha.cluster.node import Approval, ComputeNode, HANode, Maintenance, RuntimeConfig, SSHConfig
from nova_ha.cluster.past import Past
from nova_ha.cluster.policy import Policy, Storage
from nova_ha.cluster.schema import HostName, closed_incident
from nova_ha.cluster.view import ClusterView, OpenIncident
from nova_ha.consul.values import Problem

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)


def a_past(node: str, started: datetime) -> Past:
    """What the history's keys say of one incident."""
    return Past(node, started, closed_incident(node, to_key(started)))


def started_key(incident: Incident) -> str:
    """The last part of its key in history."""
    return to_key(incident.started)


def a_node(name: str = "c1", **fields: Any) -> ComputeNode:
    """A registered compute node, well unless the fields say otherwise."""
    return ComputeNode(
        **{"name": HostName(name), "ssh": SSHConfig(name), "runtime": RuntimeConfig(nova_host=name), **fields}
    )


def an_incident(node: str = "c1", state: IncidentState = IncidentState.FENCING, **fields: Any) -> Incident:
    """An open incident of the node, driven by ha-1."""
    values = {"started": NOW - timedelta(minutes=5), "driver": "ha-1", **fields}
    return Incident(node=node, state=state, **values)


def a_waiting_incident(node: str = "c1", gate: Gate = Gate.ANSWERS, **fields: Any) -> Incident:
    """An incident that waits for the operator because of the gate."""
    return an_incident(node, IncidentState.NEEDS_OPERATOR, gate=gate, reason="so it was seen", **fields)


def an_approval(*gates: Gate, ends_in_s: float = 3600) -> Approval:
    """An operator's approval of these gates; already expired where `ends_in_s` is negative."""
    return Approval("ann", "looked at it", NOW + timedelta(seconds=ends_in_s), gates)


def a_maintenance(ends_in_s: float = 3600) -> Maintenance:
    """A maintenance by bob; already over where `ends_in_s` is negative."""
    return Maintenance(until=NOW + timedelta(seconds=ends_in_s), by="bob", why="new disks")


def a_view(
    nodes: Iterable[ComputeNode] = (),
    incidents: Iterable[Incident] = (),
    *,
    ha: Iterable[str] = ("ha-1", "ha-2", "ha-3"),
    unreadable: Iterable[str] = (),
    local: Collection[str] = (),
    **fields: Any,
) -> ClusterView:
    """A view of these nodes and open incidents; `unreadable` names nodes whose open incident cannot be read.

    `local` are the HA nodes that are out of the shared storage.
    """
    opened = {incident.node: OpenIncident(7, incident) for incident in incidents}
    for node in unreadable:
        opened[node] = OpenIncident(7, None, Problem(f"ha_cluster/incidents/open/{node}", "is not JSON"))
    return ClusterView(
        compute_nodes={node.name: node for node in nodes},
        ha_nodes={name: HANode(HostName(name), nova_host=name, local_storage=name in local) for name in ha},
        incidents=opened,
        **{"policy": Policy(recovery_storage=Storage.SHARED), **fields},
    )
