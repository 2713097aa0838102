"""One look at everything that the monitor decides from, and the decision about all nodes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from nova_ha.clock import Clock
from nova_ha.cluster.registry import existing_compute_node
from nova_ha.cluster.schema import WAKE
from nova_ha.cluster.view import ClusterView, read_view
from nova_ha.consul.store import Store
from nova_ha.monitor.assess import assess
from nova_ha.monitor.storm import storm
from nova_ha.monitor.verdict import Flip, Verdict
from nova_ha.probe.votes import Votes, read_votes


@dataclass(frozen=True)
class Look:
    """The state as it was read. `wake_index` was read first: every flip changes that key.

    So a flip that finds it unchanged knows of all flips before it, and the storm guard's count holds; flips
    from different looks, on different nodes, exclude each other.
    """

    wake_index: int
    view: ClusterView
    votes: Votes
    now: datetime


def look(store: Store, clock: Clock) -> Look:
    """Read the state, with consistent reads. Raises ConsulError."""
    now = clock.now()
    wake = store.get(WAKE)
    view = read_view(store)
    return Look(wake.index if wake else 0, view, read_votes(store, view), now)


def decide(seen: Look, only: str | None = None) -> dict[str, Verdict]:
    """Return the verdict for every compute node, or for one. Raises ConfigError where that is not registered.

    Whoever is set failed counts against all from then on, so the silent ones come first: a service of all that is
    away holds none of them.
    """
    counted = storm(seen.view, seen.votes, seen.now)
    nodes = sorted(seen.view.compute_nodes) if only is None else [existing_compute_node(seen.view, only).name]
    verdicts = {}
    for node in sorted(nodes, key=lambda name: name in counted.hanging):
        verdicts[node] = assess(seen.view, seen.votes, node, seen.now, counted)
        if isinstance(verdicts[node], Flip):
            counted = counted.and_failed(node)
    return {node: verdicts[node] for node in nodes}
