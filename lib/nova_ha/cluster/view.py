"""One look at the whole cluster: what every decision is made from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from nova_ha.cluster.incident import Incident, ServerState
from nova_ha.cluster.node import ComputeNode, HANode, Pause
from nova_ha.cluster.past import Past, last_of_each, past
from nova_ha.cluster.policy import Policy
from nova_ha.cluster.schema import (
    COMPUTE_NODES,
    CONFIG,
    HA_NODES,
    INCIDENTS_CLOSED,
    INCIDENTS_OPEN,
    PAUSED,
    RECOVERY_SEMAPHORE,
)
from nova_ha.consul.semaphore import Semaphore
from nova_ha.consul.store import Store
from nova_ha.consul.transaction import Entry
from nova_ha.consul.values import BadValue, Problem


@dataclass(frozen=True)
class OpenIncident:
    """An open incident with its ModifyIndex; `problem` instead of the incident where it cannot be read."""

    index: int
    incident: Incident | None
    problem: Problem | None = None


@dataclass(frozen=True)
class ClusterView:
    """The KV store as values. Every ModifyIndex is kept, so that a write can prove what was read.

    `problems` has for each node what takes it out of automatic action: its own bad keys, and names, addresses
    or identities that it shares with another one. `policy_problems` stop every automatic action,
    `semaphore_problem` every claim. `left_behind` has how many servers of a recovered node its last incident failed.
    """

    compute_nodes: Mapping[str, ComputeNode]
    ha_nodes: Mapping[str, HANode]
    incidents: Mapping[str, OpenIncident] = field(default_factory=dict)
    closed: Sequence[Past] = ()
    policy: Policy = field(default_factory=Policy)
    policy_problems: tuple[Problem, ...] = ()
    semaphore_problem: Problem | None = None
    pause: Pause | None = None
    pause_index: int = 0
    problems: Mapping[str, tuple[Problem, ...]] = field(default_factory=dict)
    left_behind: Mapping[str, int] = field(default_factory=dict)

    @property
    def quorum(self) -> int:
        """The votes needed."""
        return self.policy.monitor_quorum.of(len(self.ha_nodes))

    @property
    def paused(self) -> bool:
        """True while `paused` exists, whatever is in it."""
        return self.pause_index != 0

    def problems_of(self, node: str) -> tuple[Problem, ...]:
        """Return what takes the node out of automatic action."""
        return tuple(self.problems.get(node, ()))

    def all_problems_of(self, node: str) -> tuple[Problem, ...]:
        """Return what takes the node out of automatic action, and why its open incident cannot be read."""
        opened = self.incidents.get(node)
        return (*self.problems_of(node), *((opened.problem,) if opened and opened.problem else ()))

    def incident(self, node: str) -> Incident | None:
        """Return the node's open incident where there is one that can be read."""
        found = self.incidents.get(node)
        return found.incident if found else None

    def started_within_window(self, now: datetime, latest: datetime | None = None) -> Sequence[Past]:
        """Return the past incidents that started within `monitor/window`; `latest` is now by a clock that is ahead.

        One that began in a future further off was written by a wrong clock, and would count until that date.
        """
        window = timedelta(seconds=self.policy.monitor_window)
        return [one for one in self.closed if now - window <= one.started <= (latest or now) + window]


def read_view(store: Store) -> ClusterView:
    """Read everything that a decision needs. Raises ConsulError; what is malformed becomes a problem."""
    compute = {
        name: ComputeNode.from_entries(name, entries)
        for name, entries in _by_node(COMPUTE_NODES, store.list(COMPUTE_NODES)).items()
    }
    ha = {
        name: HANode.from_entries(name, entries) for name, entries in _by_node(HA_NODES, store.list(HA_NODES)).items()
    }
    incidents = {
        entry.key.removeprefix(INCIDENTS_OPEN): _open_incident(entry)
        for entry in store.list(INCIDENTS_OPEN)
        # What lies deeper, or is a folder, was put there by hand: it is no node's incident.
        if entry.key != INCIDENTS_OPEN and "/" not in entry.key.removeprefix(INCIDENTS_OPEN)
    }
    closed = tuple(past(store.keys(INCIDENTS_CLOSED)))
    latest = last_of_each(closed)
    recovered = [name for name, node in compute.items() if node.failed and node.recovered and name not in incidents]
    policy, policy_problems = Policy.read(store.list(CONFIG))
    pause, pause_index, pause_problems = _pause(store.get(PAUSED))
    return ClusterView(
        compute_nodes=compute,
        ha_nodes=ha,
        incidents=incidents,
        closed=closed,
        policy=policy,
        policy_problems=(*policy_problems, *policy.problems_with(len(ha)), *pause_problems),
        semaphore_problem=Semaphore.read(store, RECOVERY_SEMAPHORE).problem,
        pause=pause,
        pause_index=pause_index,
        problems=all_problems(compute, ha),
        left_behind={
            name: count for name in recovered if name in latest and (count := _left_behind(store, latest[name]))
        },
    )


def all_problems(compute: Mapping[str, ComputeNode], ha: Mapping[str, HANode]) -> dict[str, tuple[Problem, ...]]:
    """Return each node's problems: its own, and what it shares with another node that must be its own."""
    found: dict[str, list[Problem]] = defaultdict(list)
    own: list[ComputeNode | HANode] = [*compute.values(), *ha.values()]
    for node in own:
        found[node.name].extend(node.problems)
    claims: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for what, value, name, key in _unique_values(compute, ha):
        claims[what, value.lower()].append((name, key))
    for (what, value), holders in claims.items():
        names = sorted({name for name, _ in holders})
        for name, key in holders if len(names) > 1 or len(holders) > 1 else ():
            others = ", ".join(n for n in names if n != name) or "an HA node of the same name"
            found[name].append(Problem(key, f"has the {what} {value!r}, which {others} has too"))
    return {name: tuple(problems) for name, problems in found.items() if problems}


def _unique_values(
    compute: Mapping[str, ComputeNode], ha: Mapping[str, HANode]
) -> Iterable[tuple[str, str, str, str]]:
    """Yield (what, value, node, key) for all that no two nodes may share."""
    for node in compute.values():
        yield "name", node.name, node.name, node.key("")
        if node.nova_host:
            yield "Nova host", node.nova_host, node.name, node.key("internal/runtime_config")
        bmc = node.bmc or node.incomplete_bmc
        if bmc and bmc.ip:
            yield "BMC address", f"{bmc.ip}:{bmc.port}", node.name, node.key("config/bmc/ip")
        if bmc and bmc.identity:
            yield "BMC identity", bmc.identity, node.name, node.key("config/bmc/identity")
    for other in ha.values():
        yield "name", other.name, other.name, other.key("")
        yield "Nova host", other.nova_host, other.name, other.key("config/nova_host")


def _by_node(prefix: str, entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    groups: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        name, slash, _ = entry.key.removeprefix(prefix).partition("/")
        if name and slash:
            groups[name].append(entry)
    return groups


def _open_incident(entry: Entry) -> OpenIncident:
    try:
        incident = Incident.from_kv(entry.value)
    except BadValue as bad:
        return OpenIncident(entry.index, None, Problem(entry.key, str(bad)))
    if incident.node != entry.key.removeprefix(INCIDENTS_OPEN):
        return OpenIncident(entry.index, None, Problem(entry.key, f"is about another node, {incident.node!r}"))
    return OpenIncident(entry.index, incident)


def _left_behind(store: Store, last: Past) -> int:
    """Return how many servers that past incident failed; 0 where it cannot be read."""
    entry = store.get(last.key)
    with suppress(BadValue):
        incident = Incident.from_kv(entry.value) if entry else None
        return sum(server.state is ServerState.FAILED for server in incident.servers.values()) if incident else 0
    return 0


def _pause(entry: Entry | None) -> tuple[Pause | None, int, tuple[Problem, ...]]:
    if entry is None:
        return None, 0, ()
    try:
        return Pause.from_kv(entry.value), entry.index, ()
    except BadValue:
        # The key says that everything is to stand still, so it does, even where its value is garbled.
        return Pause("unknown", "the key's value cannot be read", ""), entry.index, ()
