"""What `explain` shows: every gate of the monitor, with its evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nova_ha.cli.clients import Clients

if TYPE_CHECKING:
    from nova_ha.cluster.node import ComputeNode
    from nova_ha.cluster.view import ClusterView
    from nova_ha.monitor.verdict import Verdict


def explanation(clients: Clients, name: str) -> dict[str, Any]:
    """Return what there is to say, for JSON. Raises ConfigError where the node is not registered."""
    from nova_ha.cli.views.permits import permits_values, permits_words
    from nova_ha.cli.views.remedies import remedy_in
    from nova_ha.cluster.duty import duty
    from nova_ha.cluster.reading import permits_of
    from nova_ha.cluster.registry import existing_compute_node
    from nova_ha.cluster.view import read_view, with_left_behind
    from nova_ha.monitor.assess import assess
    from nova_ha.monitor.gates import gates
    from nova_ha.probe.votes import read_votes

    store, now = clients.store(), clients.clock.now()
    view = with_left_behind(store, read_view(store))
    node = existing_compute_node(view, name)
    votes = read_votes(store, view)
    readings = gates(view, votes, name, now)
    verdict = assess(view, votes, name, now)
    shown = permits_words(permits_of(node, view.incident(name)), now)
    return {
        "node": name,
        "failed": node.failed,
        "number_fails": node.number_fails,
        "words": f"{name}: {duty(view, name, now).words}. {in_words(view, node, verdict)}{shown and f'. {shown}'}",
        "votes": votes.of(name).in_words(),
        "permits": permits_values(permits_of(node, view.incident(name)), now),
        "gates": [
            {
                "gate": reading.gate.value,
                "open": reading.open,
                "evidence": reading.evidence,
                "approved_by": reading.approved_by,
                "approved_until": reading.approved_until,
                "remedy": "" if reading.open else remedy_in(view, reading.gate, name),
            }
            for reading in readings
        ],
    }


def in_words(view: ClusterView, node: ComputeNode, verdict: Verdict) -> str:
    """Return what the monitor makes of the node, as a sentence."""
    from nova_ha.monitor.verdict import Count, Flip, Hold

    threshold = view.policy.monitor_fail_threshold
    closed = ", ".join(refusal.gate.value for refusal in getattr(verdict, "closed", ()))
    match verdict:
        case Flip(number):
            return f"{number} of {threshold} failed intervals and no gate is closed: it is set failed"
        case Hold(number):
            return f"{number} of {threshold} failed intervals, but it is not set failed: {closed}"
        case Count(0):
            return "No quorum sees it fail"
        case Count(number) if node.failed:
            return f"It is failed, and is counted anew: {number} of {threshold} failed intervals"
        case Count(number):
            return f"{number} of {threshold} failed intervals: it is not set failed yet"
        case _:
            return f"It is not counted: {closed}" if closed else "A node that is failed is not counted any more"
