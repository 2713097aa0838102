"""How many compute nodes fail together: one counting, asked before a node is set failed, claimed, and fenced."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from nova_ha.cluster.incident import Incident, IncidentState
from nova_ha.cluster.view import ClusterView
from nova_ha.printable import first_few

NAMES_SHOWN = 8


@dataclass(frozen=True)
class Together:
    """The nodes that count against `monitor/max_failed`, and the limit.

    `nodes` count against every node, each once with the reason. Of those that only fail now the `hanging` ones do
    not count against a `silent` one: a service of all that is away, as a resolver, lets hosts hang, and keeps none
    quiet. The `silent` ones count against all: of a network that comes back its hosts hang one by one.
    """

    nodes: Mapping[str, str]
    limit: int
    most: str  # the limit as the policy has it
    silent: frozenset[str] = frozenset()
    hanging: frozenset[str] = frozenset()

    def too_many_with(self, node: str) -> bool:
        """True where the node is, or would be, one too many."""
        return len({*self.against(node), node}) > self.limit

    def against(self, node: str) -> Mapping[str, str]:
        """Return who counts against the node, with the reason."""
        hanging = {} if node in self.silent else dict.fromkeys(self.hanging, "hangs")
        return {**dict.fromkeys(self.silent, "is silent"), **hanging, **self.nodes}

    def and_failed(self, node: str) -> Together:
        """Return the same once the node is set failed: however it fails, it counts against every other one."""
        return replace(self, nodes={node: "is failed", **self.nodes})

    def words(self, node: str) -> str:
        """Who counts against the node, and the limit, in one line."""
        counted = self.against(node)
        shown = first_few([f"{name} {why}" for name, why in sorted(counted.items())], NAMES_SHOWN)
        return f"{len(counted)} compute nodes count, at most {self.limit} may" + (f": {shown}" if shown else "")


@dataclass(frozen=True)
class FailingNow:
    """Those that fail now: a quorum sees some be `silent`, or hang, and does not agree how the others fail."""

    failing: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()
    hanging: frozenset[str] = frozenset()

    def added_to(self, counted: Together) -> Together:
        """Return the counting with them, each once."""
        either = dict.fromkeys(self.failing - self.silent - self.hanging, "fails")
        return replace(counted, nodes={**either, **counted.nodes}, silent=self.silent, hanging=self.hanging)


NOBODY = FailingNow()


def before_any_is_set_failed(view: ClusterView, now: datetime, failing: FailingNow) -> Together:
    """Return who counts against setting a further node failed.

    Whoever was flipped counts until its incident is older than the window, and whoever fails now counts from
    the first interval on, below the threshold as well: so nodes that reach the threshold one after the other
    are not let through one by one. Nor does a witness that holds one of them make room for another.
    """
    flipped = [name for name, node in view.compute_nodes.items() if node.failed and not node.recovered]
    return failing.added_to(_counted(view, now, view.incidents, flipped))


def before_a_claim(
    view: ClusterView, now: datetime, node: str, latest: datetime | None = None, failing: FailingNow = NOBODY
) -> Together:
    """Return who counts against claiming the node, which is among them.

    Whoever has an incident, or had one; and `failing`, whoever fails now: the monitor counts them before it sets a
    node failed, which of one that has waited since may be long ago.
    """
    return failing.added_to(_counted(view, now, {*view.incidents, node}, latest=latest))


def before_the_fence(
    view: ClusterView, now: datetime, node: str, latest: datetime | None = None, failing: FailingNow = NOBODY
) -> Together:
    """Return who counts against fencing the node, which has been claimed.

    Whoever claims after it counts it. But it may itself not have counted one that was claimed and ended between
    the last look and the claim. Those that were stopped before their fence take no part.
    """
    going_on = [name for name, opened in view.incidents.items() if not _stopped_unfenced(opened.incident)]
    return failing.added_to(_counted(view, now, {*going_on, node}, latest=latest))


def _counted(
    view: ClusterView,
    now: datetime,
    incidents: Iterable[str],
    flipped: Iterable[str] = (),
    latest: datetime | None = None,
) -> Together:
    """Count each node once, for the weightiest reason: the last one here."""
    began = [past.node for past in view.started_within_window(now, latest)]
    nodes = {
        **dict.fromkeys(began, "had an incident"),
        **dict.fromkeys(flipped, "is failed"),
        **dict.fromkeys(incidents, "has an open incident"),
    }
    most = view.policy.monitor_max_failed
    return Together(nodes, most.of(len(view.compute_nodes)), str(most))


def _stopped_unfenced(incident: Incident | None) -> bool:
    return incident is not None and incident.state is IncidentState.NEEDS_OPERATOR and incident.before_the_fence
