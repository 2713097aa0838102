"""All gates of some nodes that are closed now, whoever lets them pass: what an approval may have to name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nova_ha.cli.clients import Clients
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.reading import GateReading, Judged, Then
from nova_ha.errors import HAError

if TYPE_CHECKING:
    from nova_ha.cluster.view import ClusterView

# Each look at a host, its BMC and Nova takes seconds: whoever approves a whole rack does not wait for all of them.
MOST_LOOKED_AT = 5
# That it waits is what it is approved for.
NOT_SHOWN = (Gate.NOT_DUE,)


def closed_gates(clients: Clients, names: Sequence[str]) -> tuple[Mapping[str, Sequence[GateReading]], str]:
    """Return the closed gates of each registered node, and why some could not be told, or nothing.

    Raises ConsulError where the keys cannot be read.
    """
    from nova_ha.cluster.view import read_view

    view = read_view(clients.store())
    known = [name for name in dict.fromkeys(names) if name in view.compute_nodes]
    found: dict[str, Sequence[GateReading]] = {}
    try:
        found.update(_of_the_monitor(clients, view, known))
        if len(known) > MOST_LOOKED_AT:
            return _closed(found), "`nova-ha plan NODE` looks at a host, its BMC and Nova as well"
        for name in known:
            found[name] = [*found.get(name, ()), *_of_the_recovery(clients, view, name)]
    except HAError as error:
        return _closed(found), str(error)
    return _closed(found), ""


def _of_the_monitor(clients: Clients, view: ClusterView, names: Sequence[str]) -> Mapping[str, Sequence[GateReading]]:
    from nova_ha.monitor.gates import gates
    from nova_ha.monitor.storm import storm
    from nova_ha.probe.votes import read_votes

    votes, now = read_votes(clients.store(), view), clients.clock.now()
    counted = storm(view, votes, now)
    watched = [name for name in names if not view.compute_nodes[name].failed]
    return {name: gates(view, votes, name, now, counted) for name in watched}


def _of_the_recovery(clients: Clients, view: ClusterView, name: str) -> Sequence[GateReading]:
    from nova_ha.recovery.findings import look
    from nova_ha.recovery.gates import readings

    node = view.compute_nodes[name]
    return [] if node.lock_session else readings(look(clients.recovery(), node, view), node, view.incident(name))


def _closed(found: Mapping[str, Sequence[GateReading]]) -> Mapping[str, Sequence[GateReading]]:
    """Return those that are closed, each once, as both parts ask some of them."""
    closed: dict[str, dict[Gate, GateReading]] = {name: {} for name in found}
    for name, readings in found.items():
        for reading in readings:
            if reading.judged is Judged.CLOSED and reading.gate not in NOT_SHOWN and not _still_to_be_seen(reading):
                closed[name].setdefault(reading.gate, reading)
    return {name: list(readings.values()) for name, readings in closed.items()}


def _still_to_be_seen(reading: GateReading) -> bool:
    """True where one look cannot tell, and Nova's stamps, which decide nothing, show no report of late either."""
    age_s = reading.seen.get("age_s")
    return reading.then is Then.LOOK_AGAIN and (age_s is None or age_s >= reading.seen["missing_s"])
