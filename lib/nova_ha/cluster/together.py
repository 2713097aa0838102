"""How many compute nodes fail together: one counting, asked before a node is set failed, claimed, and fenced."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from nova_ha.cluster.incident import Incident, IncidentState
from nova_ha.cluster.view import ClusterView
from nova_ha.printable import first_few

NAMES_SHOWN = 8


@dataclass(frozen=True)
class Together:
    """The nodes that count against `monitor/max_failed`, each once with the reason, and the limit."""

    nodes: Mapping[str, str]
    limit: int
    most: str  # the limit as the policy has it

    def too_many_with(self, node: str) -> bool:
        """True where the node is, or would be, one too many."""
        return len({*self.nodes, node}) > self.limit

    @property
    def words(self) -> str:
        """Who counts, and the limit, in one line."""
        shown = first_few([f"{node} {why}" for node, why in sorted(self.nodes.items())], NAMES_SHOWN)
        return f"{len(self.nodes)} compute nodes count, at most {self.limit} may" + (f": {shown}" if shown else "")


def before_any_is_set_failed(view: ClusterView, now: datetime, failing: Collection[str]) -> Together:
    """Return who counts against setting a further node failed; `failing` are those that a quorum sees fail now.

    Whoever was flipped counts until its incident is older than the window, and whoever fails now counts from
    the first interval on, below the threshold as well: so nodes that reach the threshold one after the other
    are not let through one by one.
    """
    flipped = [name for name, node in view.compute_nodes.items() if node.failed and not node.recovered]
    return _counted(view, now, view.incidents, flipped, failing)


def before_a_claim(view: ClusterView, now: datetime, node: str, latest: datetime | None = None) -> Together:
    """Return who counts against claiming the node, which is among them: whoever has an incident, or had one."""
    return _counted(view, now, {*view.incidents, node}, latest=latest)


def before_the_fence(view: ClusterView, now: datetime, node: str, latest: datetime | None = None) -> Together:
    """Return who counts against fencing the node, which has been claimed.

    Whoever claims after it counts it. But it may itself not have counted one that was claimed and ended between
    the last look and the claim. Those that were stopped before their fence take no part.
    """
    going_on = [name for name, opened in view.incidents.items() if not _stopped_unfenced(opened.incident)]
    return _counted(view, now, {*going_on, node}, latest=latest)


def _counted(
    view: ClusterView,
    now: datetime,
    incidents: Iterable[str],
    flipped: Iterable[str] = (),
    failing: Iterable[str] = (),
    latest: datetime | None = None,
) -> Together:
    """Count each node once, for the weightiest reason: the last one here."""
    began = [past.node for past in view.started_within_window(now, latest)]
    nodes = {
        **dict.fromkeys(failing, "fails"),
        **dict.fromkeys(began, "had an incident"),
        **dict.fromkeys(flipped, "is failed"),
        **dict.fromkeys(incidents, "has an open incident"),
    }
    most = view.policy.monitor_max_failed
    return Together(nodes, most.of(len(view.compute_nodes)), str(most))


def _stopped_unfenced(incident: Incident | None) -> bool:
    return incident is not None and incident.state is IncidentState.NEEDS_OPERATOR and incident.before_the_fence
