"""What a sweep starts from: the nodes, what the last sweep printed, and when a streak is long enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.policy import Policy
from nova_ha.cluster.schema import COMPUTE_NODES, CONFIG, PAUSED, compute_node, is_name
from nova_ha.consul.store import Store
from nova_ha.consul.transaction import Entry
from nova_ha.probe.observation import NoData, Report
from nova_ha.probe.sighting import Sighting, unknown


@dataclass(frozen=True)
class Inputs:
    """The compute nodes by name, the previous report of this check, and the policy's `fail_threshold`."""

    nodes: Mapping[str, ComputeNode]
    previous: Report | NoData
    fail_threshold: int


def read_inputs(store: Store, check_id: str) -> Inputs:
    """Read all of it. Raises ConsulError."""
    # A token without rights is given empty lists, and is refused only a single key.
    store.get(PAUSED)
    policy, _ = Policy.read(store.whole(CONFIG))
    return Inputs(
        nodes=_by_name(store.list(COMPUTE_NODES)),
        previous=previous_report(store, check_id),
        fail_threshold=policy.monitor_fail_threshold,
    )


def read_named(store: Store, names: Sequence[str]) -> Mapping[str, ComputeNode | None]:
    """Read these nodes; None where there is no such node. Raises ConsulError."""
    store.get(PAUSED)
    return {name: _by_name(store.list(compute_node(name))).get(name) for name in dict.fromkeys(names)}


def previous_report(store: Store, check_id: str) -> Report | NoData:
    """Return what the local agent has of this check's last run."""
    checks = store.fetch("/v1/agent/checks")
    check = checks.get(check_id) if isinstance(checks, dict) else None
    return Report.from_output(str(check.get("Output", ""))) if isinstance(check, dict) else NoData("no such check")


def problem_in(node: ComputeNode, section: str) -> Sighting | None:
    """Return the sighting of a node whose keys under `config/{section}/`, or whose name, cannot be used."""
    for problem in node.problems:
        if problem.key == node.key("") or problem.key.startswith(node.key(f"config/{section}/")):
            return unknown(str(problem))
    return None


def _by_name(entries: Sequence[Entry]) -> Mapping[str, ComputeNode]:
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        name, slash, _ = entry.key.removeprefix(COMPUTE_NODES).partition("/")
        if slash and is_name(name):
            groups.setdefault(name, []).append(entry)
    return {name: ComputeNode.from_entries(name, group) for name, group in groups.items()}
