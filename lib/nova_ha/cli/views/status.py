"""What `status` shows, as values: headlines, a row for each compute node, a row for each HA node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nova_ha.cli.output import ago
from nova_ha.cli.overview import Overview, observing
from nova_ha.cli.views.permits import permits_values, permits_words
from nova_ha.cli.views.remedies import mending
from nova_ha.cli.views.standing import Condition, Standing, standings
from nova_ha.cluster.incident import ServerState
from nova_ha.cluster.node import HANode
from nova_ha.cluster.permit import Permit
from nova_ha.cluster.reading import permits_of
from nova_ha.cluster.release import mixed
from nova_ha.power import UNFENCEABLE

NODE_HEADS = ("compute node", "state", "since", "what", "what helps")
HA_HEADS = ("HA node", "observes", "in use")

COLOURS = {
    Condition.WELL: "green",
    Condition.RECOVERED: "green",
    Condition.MAINTENANCE: "cyan",
    Condition.UNKNOWN: "yellow",
    Condition.FAILING: "yellow",
    Condition.ODD: "yellow",
    Condition.RECOVERING: "magenta",
    Condition.FAILED: "red",
    Condition.NEEDS_OPERATOR: "bold red",
    Condition.UNREADABLE: "bold red",
}
# The most urgent first; nodes of the same urgency by name.
URGENCY = tuple(reversed(COLOURS))


@dataclass(frozen=True)
class Board:
    """Everything that `status` shows; `headlines` are (colour, text)."""

    headlines: Sequence[tuple[str, str]]
    standings: Sequence[Standing]
    node_rows: Sequence[Sequence[str]]
    ha_rows: Sequence[Sequence[str]]


def board(look: Overview) -> Board:
    """Return what there is to show."""
    found = sorted(standings(look.view, look.votes, look.at), key=lambda s: (URGENCY.index(s.condition), s.node))
    return Board(
        headlines=_headlines(look, found),
        standings=found,
        node_rows=[_row(look, standing) for standing in found],
        ha_rows=[_ha_row(look, node) for node in look.view.ha_nodes.values()],
    )


def _headlines(look: Overview, found: Sequence[Standing]) -> list[tuple[str, str]]:
    lines = [("", summary(found))]
    if look.view.paused:
        pause = look.view.pause
        words = f" by {pause.by} since {pause.since}: {pause.why}" if pause else ""
        lines.append(("bold yellow", f"PAUSED{words}. Nothing acts until `nova-ha resume`"))
    lines += [
        ("bold red", f"POLICY {problem}. Nothing acts until {mending(problem)}")
        for problem in look.view.policy_problems
    ]
    if problem := look.view.semaphore_problem:
        lines.append(("bold red", f"NO RECOVERY {problem}. Nothing is claimed until {mending(problem)}"))
    if look.trouble:
        lines.append(("yellow", f"The observers cannot be read: {look.trouble}"))
    if releases := mixed(look.votes.releases if look.votes else {}):
        words = f"MIXED RELEASES {releases}. Each HA node acts by its own rules until all run the same"
        lines.append(("yellow", words))
    if not look.view.ha_nodes:
        lines.append(("bold red", "No HA node is registered: nobody observes. `nova-ha ha-node add NAME`"))
    lines += _unseen(look)
    return lines


def _unseen(look: Overview) -> list[tuple[str, str]]:
    if look.votes is None or not look.view.ha_nodes:
        return []
    alive = sum(observing(look.votes, node)[0] is True for node in look.view.ha_nodes.values())
    if alive >= look.view.quorum:
        return []
    return [
        ("bold red", f"NO QUORUM {alive} of {len(look.view.ha_nodes)} HA nodes observe, {look.view.quorum} needed")
    ]


def summary(found: Sequence[Standing]) -> str:
    """Return `3 compute nodes: 2 well, 1 failed`."""
    if not found:
        return "No compute node is registered. `nova-ha node add NAME --bmc-ip IP ...`"
    counts = Counter(standing.condition for standing in found)
    parts = ", ".join(f"{counts[condition]} {condition.value}" for condition in COLOURS if counts[condition])
    return f"{len(found)} compute node{'s' if len(found) > 1 else ''}: {parts}"


def _row(look: Overview, standing: Standing) -> tuple[str, ...]:
    permits = permits_words(_permits(look, standing.node), look.at)
    words = [standing.words, _progress(look, standing.node), permits, _fence_words(look, standing.node)]
    since = ago(standing.since, look.at) if standing.since else ""
    return (
        standing.node,
        standing.condition.value,
        since,
        "; ".join(filter(None, words)),
        standing.remedy,
    )


def _permits(look: Overview, name: str) -> Sequence[Permit]:
    node, incident = look.view.compute_nodes.get(name), look.view.incident(name)
    return permits_of(node, incident) if node else incident.permits if incident else ()


def _progress(look: Overview, node: str) -> str:
    incident = look.view.incident(node)
    if incident is None or not incident.servers:
        return ""
    states = Counter(server.state for server in incident.servers.values())
    others = [s for s in (ServerState.REBUILT, ServerState.LEFT, ServerState.FAILED) if states[s]]
    ended = "".join(f", {states[state]} {state.value}" for state in others)
    return f"{states[ServerState.EVACUATED]} of {len(incident.servers)} servers evacuated{ended}"


def _fence_words(look: Overview, node: str) -> str:
    seen = (look.unfenceable or {}).get(node)
    # What only some HA nodes meet is said with their names: it is a fault of the way there.
    if not seen:
        return ""
    said = {observer: why.removeprefix(UNFENCEABLE) for observer, why in sorted(seen.items())}
    return UNFENCEABLE + ", ".join(f"{why} ({observer})" for observer, why in said.items())


def _ha_row(look: Overview, node: HANode) -> tuple[str, ...]:
    words = observing(look.votes, node)[1]
    problems = "; ".join(map(str, look.view.problems_of(node.name)))
    return (node.name, f"out of automatic action: {problems}" if problems else words, in_use_words(look, node))


def in_use_words(look: Overview, node: HANode) -> str:
    """Return what the HA node is in use for."""
    driven = [
        name
        for name, found in look.view.incidents.items()
        if found.incident and found.incident.driver == node.name and found.incident.before is None
    ]
    if node.in_use:
        return "recovers " + ", ".join(sorted(driven)) if driven else "reserved by hand (status/in_use is True)"
    return "no"


def as_values(look: Overview) -> dict[str, Any]:
    """Return the same for JSON."""
    pause = look.view.pause
    return {
        "at": look.at,
        "paused": {"by": pause.by, "why": pause.why, "since": pause.since} if pause else None,
        "policy_problems": [str(problem) for problem in look.view.policy_problems],
        "quorum": look.view.quorum,
        "trouble": look.trouble,
        "mixed": bool(mixed(look.votes.releases)) if look.votes else None,
        "compute_nodes": [_node_values(look, standing) for standing in board(look).standings],
        "ha_nodes": [ha_values(look, node) for node in look.view.ha_nodes.values()],
    }


def _node_values(look: Overview, standing: Standing) -> dict[str, Any]:
    node, incident = look.view.compute_nodes.get(standing.node), look.view.incident(standing.node)
    return {
        "name": standing.node,
        "state": standing.condition.value,
        "since": standing.since,
        "reason": standing.words,
        "remedy": standing.remedy,
        "failed": node.failed if node else None,
        "recovered": node.recovered if node else None,
        "number_fails": node.number_fails if node else None,
        "streaks": dict(look.votes.of(standing.node).streaks) if look.votes else None,
        "grades": look.votes.of(standing.node).grades if look.votes else None,
        "permits": permits_values(_permits(look, standing.node), look.at),
        "cannot_be_fenced": dict((look.unfenceable or {}).get(standing.node, {})),
        "incident": {
            "started": incident.started,
            "state": incident.state.value,
            "driver": incident.driver,
            "gate": incident.gate.value if incident.gate else None,
            "servers": dict(Counter(server.state.value for server in incident.servers.values())),
        }
        if incident
        else None,
    }


def ha_values(look: Overview, node: HANode) -> dict[str, Any]:
    alive, words = observing(look.votes, node)
    return {
        "name": node.name,
        "nova_host": node.nova_host,
        "observes": alive,
        "words": words,
        "release": look.votes.releases.get(node.name) if look.votes else None,
        "storage": "local" if node.local_storage else None,
        "in_use": node.in_use,
        "in_use_for": in_use_words(look, node),
        "problems": [str(problem) for problem in look.view.problems_of(node.name)],
    }
