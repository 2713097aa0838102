"""Figures in Prometheus' text format (version 0.0.4): values from values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nova_ha.cli.overview import Overview, observing
from nova_ha.cli.views.history import spent, took
from nova_ha.cli.views.standing import Condition, standings
from nova_ha.cluster.incident import Incident, IncidentState, ServerState
from nova_ha.printable import printable


@dataclass(frozen=True)
class Sample:
    """One line: the labels with their values, and the figure."""

    value: float
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Figure:
    """One gauge with all its samples."""

    name: str
    help: str
    samples: Sequence[Sample]


def text(figures: Sequence[Figure]) -> str:
    """Return the figures as Prometheus reads them."""
    return "".join(f"{line}\n" for figure in figures for line in _lines(figure))


def figures(look: Overview, latest: Sequence[Incident]) -> list[Figure]:
    """Return everything that is exposed. `latest` has the last closed incident of each node."""
    return [*_nodes(look), *_ha_nodes(look), *_cluster(look), *_recoveries(look, latest)]


def _nodes(look: Overview) -> Iterator[Figure]:
    nodes = list(look.view.compute_nodes.values())
    found = standings(look.view, look.votes, look.at)
    yield _flags("nova_ha_node_failed", "status/failed of the compute node.", [(n.name, n.failed) for n in nodes])
    yield _flags("nova_ha_node_recovered", "status/recovered of it.", [(n.name, n.recovered) for n in nodes])
    yield _by_node("nova_ha_node_number_fails", "Failed intervals.", [(n.name, n.number_fails) for n in nodes])
    yield _flags("nova_ha_node_maintenance", "In maintenance.", [(n.name, n.maintained(look.at)) for n in nodes])
    yield _by_node(
        "nova_ha_node_problems",
        "Bad keys that take it out of automatic action.",
        [(n.name, len(look.view.problems_of(n.name))) for n in nodes],
    )
    yield _by_node(
        "nova_ha_node_unfenceable",
        "HA nodes that cannot use its BMC.",
        [(n.name, len((look.unfenceable or {}).get(n.name, {}))) for n in nodes],
    )
    yield Figure(
        "nova_ha_node_state",
        "1 for the state that `nova-ha status` shows, 0 for the others.",
        [
            Sample(s.condition is condition, (("node", s.node), ("state", condition.value)))
            for s in found
            for condition in Condition
        ],
    )
    yield Figure(
        "nova_ha_node_streak", "Failed intervals in a row, by observer; none without a vote.", _streaks(look)
    )


def _streaks(look: Overview) -> list[Sample]:
    if look.votes is None:
        return []
    return [
        Sample(streak, (("node", node), ("observer", observer)))
        for node in look.view.compute_nodes
        for observer, streak in look.votes.of(node).streaks.items()
        if streak is not None
    ]


def _ha_nodes(look: Overview) -> Iterator[Figure]:
    nodes = list(look.view.ha_nodes.values())
    yield _flags("nova_ha_ha_node_in_use", "status/in_use of the HA node.", [(n.name, n.in_use) for n in nodes])
    if look.votes is not None:
        alive = [(n.name, observing(look.votes, n)[0] is True) for n in nodes]
        yield _flags("nova_ha_ha_node_observing", "Its sweep is alive, so that it votes.", alive)
        yield _single("nova_ha_observers", "HA nodes that observe.", sum(is_alive for _, is_alive in alive))
    yield _single("nova_ha_quorum", "Votes needed.", look.view.quorum)


def _cluster(look: Overview) -> Iterator[Figure]:
    view = look.view
    states = [found.incident.state.value if found.incident else "unreadable" for found in view.incidents.values()]
    known = [state.value for state in IncidentState if state is not IncidentState.FINISHED]
    yield _single("nova_ha_paused", "1 while everything is paused.", view.paused)
    yield _single("nova_ha_policy_ok", "1 where the policy has no mistake.", not view.policy_problems)
    yield _single("nova_ha_compute_nodes", "Registered compute nodes.", len(view.compute_nodes))
    yield Figure(
        "nova_ha_incidents_open",
        "Open incidents, by state.",
        [Sample(states.count(state), (("state", state),)) for state in (*known, "unreadable")],
    )
    yield _single("nova_ha_incidents_closed", "Incidents in the history.", len(view.closed))


def _recoveries(look: Overview, latest: Sequence[Incident]) -> Iterator[Figure]:
    def of(incident: Incident, *labels: tuple[str, str]) -> tuple[tuple[str, str], ...]:
        return (("node", incident.node), *labels)

    yield Figure(
        "nova_ha_last_recovery_seconds",
        "Seconds of the node's last closed incident, by step.",
        [
            Sample(seconds, of(incident, ("step", state.value)))
            for incident in latest
            for state, seconds in spent(incident, look.at).items()
        ],
    )
    yield Figure(
        "nova_ha_last_recovery_total_seconds",
        "Seconds of it from the claim to the end.",
        [Sample(took(incident, look.at), of(incident)) for incident in latest],
    )
    yield Figure(
        "nova_ha_last_recovery_start_time_seconds",
        "When it began, in seconds since 1970.",
        [Sample(incident.started.timestamp(), of(incident)) for incident in latest],
    )
    yield Figure(
        "nova_ha_last_recovery_servers",
        "Servers of it, by how they ended.",
        [
            Sample(sum(s.state is state for s in incident.servers.values()), of(incident, ("state", state.value)))
            for incident in latest
            for state in ServerState
            if state.final
        ],
    )


def _flags(name: str, help: str, values: Sequence[tuple[str, bool]]) -> Figure:
    return _by_node(name, help, [(node, int(value)) for node, value in values])


def _by_node(name: str, help: str, values: Sequence[tuple[str, int]]) -> Figure:
    return Figure(name, help, [Sample(value, (("node", node),)) for node, value in values])


def _single(name: str, help: str, value: float) -> Figure:
    return Figure(name, help, [Sample(value)])


def _lines(figure: Figure) -> Iterator[str]:
    yield f"# HELP {figure.name} {figure.help}"
    yield f"# TYPE {figure.name} gauge"
    for sample in figure.samples:
        labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in sample.labels)
        yield f"{figure.name}{f'{{{labels}}}' if labels else ''} {_number(sample.value)}"


def _escaped(value: str) -> str:
    return printable(value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n"))


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else f"{value:.3f}"
