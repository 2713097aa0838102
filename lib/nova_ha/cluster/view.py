"""One look at the whole cluster: what every decision is made from."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from nova_ha.cluster.incident import Incident, ServerState
from nova_ha.cluster.node import ComputeNode, HANode, Pause
from nova_ha.cluster.past import Past, last_of_each, past
from nova_ha.cluster.policy import Policy
from nova_ha.cluster.rivals import with_rivals
from nova_ha.cluster.schema import (
    COMPUTE_NODES,
    CONFIG,
    HA_NODES,
    IDENTITY,
    INCIDENTS_CLOSED,
    INCIDENTS_OPEN,
    NOVA_HOST,
    PAUSED,
    RECOVERY_SEMAPHORE,
    RUNTIME_CONFIG,
    WAITS,
    WITNESS,
    compute_node,
    ha_node,
)
from nova_ha.consul.semaphore import Semaphore
from nova_ha.consul.store import Store
from nova_ha.consul.transaction import Entry
from nova_ha.consul.values import BadValue, Problem
from nova_ha.power.device import same_address
from nova_ha.power.identity import known


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
    `semaphore_problem` every claim. `left_behind` has how many servers of a recovered node its last incident did not
    bring back, of each state: it is for the operator alone, and empty where `with_left_behind` has not read it.
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
    left_behind: Mapping[str, Mapping[ServerState, int]] = field(default_factory=dict)

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
    """Read everything that a decision needs. Raises ConsulError; what is malformed becomes a problem.

    Raises NotAllowed where the token must not read the policy.
    """
    compute = {
        name: ComputeNode.from_entries(name, entries)
        for name, entries in _by_node(COMPUTE_NODES, store.list(COMPUTE_NODES)).items()
        if registered(name, entries)
    }
    ha = {
        name: HANode.from_entries(name, entries)
        for name, entries in _by_node(HA_NODES, store.list(HA_NODES)).items()
        if _is_ha_node(name, entries)
    }
    incidents = {
        entry.key.removeprefix(INCIDENTS_OPEN): _open_incident(entry)
        for entry in store.list(INCIDENTS_OPEN)
        # What lies deeper, or is a folder, was put there by hand: it is no node's incident.
        if entry.key != INCIDENTS_OPEN and "/" not in entry.key.removeprefix(INCIDENTS_OPEN)
    }
    closed = tuple(past(store.keys(INCIDENTS_CLOSED)))
    policy, policy_problems = Policy.read(store.whole(CONFIG))
    pause, pause_index, pause_problems = _pause(store.get(PAUSED))
    return ClusterView(
        compute_nodes=with_rivals(compute, ha),
        ha_nodes=ha,
        incidents=incidents,
        closed=closed,
        policy=policy,
        policy_problems=(*policy_problems, *policy.problems_with(len(ha)), *pause_problems),
        semaphore_problem=Semaphore.read(store, RECOVERY_SEMAPHORE).problem,
        pause=pause,
        pause_index=pause_index,
        problems=all_problems(compute, ha),
    )


def with_left_behind(store: Store, view: ClusterView) -> ClusterView:
    """Return the view with what history says of the recovered nodes: a read for each of them. Raises ConsulError."""
    latest = last_of_each(view.closed)
    recovered = [
        name
        for name, node in view.compute_nodes.items()
        if node.failed and node.recovered and name not in view.incidents and name in latest
    ]
    left = {name: count for name in recovered if (count := _left_behind(store, latest[name]))}
    return replace(view, left_behind=left)


def registered(name: str, entries: Sequence[Entry]) -> bool:
    """True where an operator has registered the compute node: what its own token may write alone registers nobody."""
    return any(entry.key != compute_node(name, RUNTIME_CONFIG) for entry in entries)


def _is_ha_node(name: str, entries: Sequence[Entry]) -> bool:
    """True where an operator has registered the HA node: what its own processes say registers nobody anew."""
    said = (ha_node(name, WAITS), ha_node(name, WITNESS))
    return any(entry.key not in said for entry in entries)


def all_problems(compute: Mapping[str, ComputeNode], ha: Mapping[str, HANode]) -> dict[str, tuple[Problem, ...]]:
    """Return each node's problems: its own, and what it shares with another node that must be its own."""
    found: dict[str, list[Problem]] = defaultdict(list)
    own: list[ComputeNode | HANode] = [*compute.values(), *ha.values()]
    for node in own:
        found[node.name].extend(node.problems)
    claims: dict[tuple[str, str], list[tuple[str, str, str]]] = defaultdict(list)
    for what, value, name, key in _unique_values(compute, ha):
        claims[what, _COMPARABLE.get(what, str.lower)(value) or ""].append((name, key, value))
    for (what, same), holders in claims.items():
        names = sorted({name for name, _, _ in holders})
        for name, key, value in holders if same and len(holders) > 1 else ():
            others = ", ".join(n for n in names if n != name) or "an HA node of the same name"
            found[name].append(Problem(key, f"has the {what} {value.lower()!r}, which {others} has too"))
    return {name: tuple(problems) for name, problems in found.items() if problems}


BMC_ADDRESS, BMC_IDENTITY = "BMC address", "BMC identity"
# How two values are the same, other than in letters; what is None is nobody's.
_COMPARABLE: Mapping[str, Callable[[str], str | None]] = {BMC_ADDRESS: same_address, BMC_IDENTITY: known}


def _unique_values(
    compute: Mapping[str, ComputeNode], ha: Mapping[str, HANode]
) -> Iterable[tuple[str, str, str, str]]:
    """Yield (what, value, node, key) for all that no two nodes may share."""
    # What a node's own agent says of itself is not among them: it would take another node out with its own.
    for node in compute.values():
        yield "name", node.name, node.name, node.key("")
        if node.nova_word:
            yield "Nova host", node.nova_word, node.name, node.key(NOVA_HOST)
        bmc = node.bmc or node.incomplete_bmc
        if bmc and bmc.host:
            yield BMC_ADDRESS, bmc.address, node.name, node.key("config/bmc/ip")
        if bmc and bmc.identity:
            yield BMC_IDENTITY, bmc.identity, node.name, node.key(IDENTITY)
    for other in ha.values():
        yield "name", other.name, other.name, other.key("")
        yield "Nova host", other.nova_host, other.name, other.key(NOVA_HOST)


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


def _left_behind(store: Store, last: Past) -> Mapping[ServerState, int]:
    """Return how many servers that past incident failed, and left; none where it cannot be read."""
    entry = store.get(last.key)
    with suppress(BadValue):
        incident = Incident.from_kv(entry.value) if entry else None
        states = [server.state for server in incident.servers.values()] if incident else []
        return Counter(state for state in states if state in (ServerState.FAILED, ServerState.LEFT))
    return {}


def _pause(entry: Entry | None) -> tuple[Pause | None, int, tuple[Problem, ...]]:
    if entry is None:
        return None, 0, ()
    try:
        return Pause.from_kv(entry.value), entry.index, ()
    except BadValue:
        # The key says that everything is to stand still, so it does, even where its value is garbled.
        return Pause("unknown", "the key's value cannot be read", ""), entry.index, ()
