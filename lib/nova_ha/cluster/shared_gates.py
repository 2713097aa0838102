"""The gates that both parts ask of the cluster's own records: each is judged, and worded, in one way."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from nova_ha.cluster.gate import Cause, Gate
from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.reading import GateReading
from nova_ha.cluster.schema import NOVA_HOST, RUNTIME_CONFIG
from nova_ha.cluster.view import ClusterView


def policy(view: ClusterView) -> GateReading:
    """Closed where the policy has a mistake."""
    return GateReading.of(Gate.POLICY, not view.policy_problems, mistakes=view.policy_problems)


def unreadable(view: ClusterView, node: str) -> GateReading:
    """Closed where the node's keys, or its open incident, cannot be read."""
    bad = view.all_problems_of(node)
    return GateReading.of(Gate.UNREADABLE, not bad, problems=bad)


def paused(view: ClusterView) -> GateReading:
    """Closed while the operator lets everything stand still."""
    by, why = (view.pause.by, view.pause.why) if view.pause else ("unknown", "")
    return GateReading.of(Gate.PAUSED, not view.paused, by=by, why=why)


def maintenance(node: ComputeNode, now: datetime) -> GateReading:
    """Closed while the node's maintenance lasts."""
    planned = node.maintenance
    if planned is None:
        return GateReading.of(Gate.MAINTENANCE, True)
    lasts = node.maintained(now)
    cause = None if lasts else Cause.ENDED
    return GateReading.of(Gate.MAINTENANCE, not lasts, cause, until=planned.until, by=planned.by, why=planned.why)


def no_quorum(view: ClusterView, voted: int, agreed: int | None, votes: str) -> GateReading:
    """Closed where so few have `voted` that they agree on nothing, not even on that it is well."""
    registered, needed = len(view.ha_nodes), view.quorum
    is_open = agreed is not None
    return GateReading.of(Gate.NO_QUORUM, is_open, voted=voted, registered=registered, needed=needed, votes=votes)


def agent_alive(alive: bool, taken: bool) -> GateReading:
    """Closed while the host's own Consul agent lives, unless the host has `taken` an SSH connection.

    Gossip lives in memory, so the agent of a host whose disk has died goes on; no host that is off has one.
    """
    return GateReading.of(Gate.AGENT_ALIVE, taken or not alive, Cause.TAKES_CONNECTIONS if alive and taken else None)


def left(node: ComputeNode, members: Collection[str]) -> GateReading:
    """Closed where its Consul agent has left on purpose: by `members`, those that have, or as somebody has noted."""
    return GateReading.of(Gate.LEFT, not (node.left or node.name in members))


def doubted_name(node: ComputeNode) -> GateReading | None:
    """Closed where Nova's name of the node is not believed; None where it is."""
    return _doubted(node, node.name_doubt, node.rivals) if node.name_doubt else None


def name_mending(node: ComputeNode) -> str:
    """Return the command that lets an operator say which name is right."""
    if node.nova_word or node.name_doubt is Cause.NAME_MISSING:
        return f"`nova-ha node set {node.name} --nova-host HOST`"
    return f"`nova-ha node migrate-keys {node.name}`"


def name_of_another(node: ComputeNode, hosts: Collection[str]) -> GateReading:
    """Closed: Nova knows other hosts by whose names the node may be meant too."""
    return _doubted(node, Cause.NAME_OF_ANOTHER, hosts)


def _doubted(node: ComputeNode, cause: Cause, others: Collection[str]) -> GateReading:
    return GateReading.of(
        Gate.RUNTIME_CONFIG,
        False,
        cause,
        key=node.key(RUNTIME_CONFIG),
        said=node.runtime.nova_host if node.runtime else "",
        word_key=node.key(NOVA_HOST),
        word=node.nova_word or "",
        others=tuple(others),
    )
