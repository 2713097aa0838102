"""The witnesses of a host whose SSH login fails: they may hold the flip, and never count.

They are the look-outs of the HA nodes, and the host's own Consul agent.
"""

from __future__ import annotations

from collections.abc import Mapping

from nova_ha.clock import to_stamp
from nova_ha.cluster import shared_gates
from nova_ha.cluster.gate import Cause, Gate
from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.reading import GateReading
from nova_ha.cluster.view import ClusterView
from nova_ha.cluster.witness import Life, Testimony
from nova_ha.probe.votes import Votes


def testimonies(view: ClusterView, node: ComputeNode) -> Mapping[str, Testimony]:
    """Return what each HA node says of the compute node; none speaks about its own host."""
    return {
        ha.name: ha.testimonies[node.name]
        for ha in view.ha_nodes.values()
        if node.name in ha.testimonies and not ha.is_on(node.name, node.nova_host)
    }


def nova_reports(view: ClusterView, node: ComputeNode) -> GateReading:
    """Closed while a look-out sees its nova-compute report, or is looking still; open where none says anything.

    One that took the node up when the threshold was reached already has nothing to hold: the last look waits for
    the same silence by itself.
    """
    told = testimonies(view, node) if view.policy.monitor_witness == "hold" else {}
    looking = {
        name: one
        for name, one in told.items()
        if one.life is Life.LOOKING and one.number_fails < view.policy.monitor_fail_threshold
    }
    if alive := _of(told, Life.ALIVE):
        return _read(alive, Cause.SEEN_ALIVE)
    if silent := _of(told, Life.SILENT):
        return _read(silent, Cause.SEEN_SILENT)
    return _read(looking, Cause.BEING_WATCHED if looking else Cause.NO_WITNESS)


def agent_alive(view: ClusterView, votes: Votes, node: ComputeNode) -> GateReading:
    """Closed while its own Consul agent lives, unless a quorum saw it take connections; open where it is ignored."""
    alive = node.name in votes.alive
    if alive and view.policy.monitor_witness != "hold":
        return GateReading.of(Gate.AGENT_ALIVE, True, Cause.IGNORED)
    return shared_gates.agent_alive(alive, votes.of(node.name).takes_connections(view.quorum))


def _of(told: Mapping[str, Testimony], life: Life) -> Mapping[str, Testimony]:
    return {name: one for name, one in told.items() if one.life is life}


def _read(told: Mapping[str, Testimony], cause: Cause) -> GateReading:
    is_open = cause in (Cause.SEEN_SILENT, Cause.NO_WITNESS)
    since = to_stamp(min(one.since for one in told.values())) if told else ""
    why = next((told[name].why for name in sorted(told) if told[name].why), "")
    return GateReading.of(Gate.NOVA_REPORTS, is_open, cause, names=", ".join(sorted(told)), since=since, why=why)
