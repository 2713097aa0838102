"""The incident's state machine: one table, one function."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from nova_ha.cluster.gate import Closed
from nova_ha.cluster.incident import Incident, IncidentState
from nova_ha.cluster.node import HANode
from nova_ha.cluster.view import ClusterView

S = IncidentState


class Event(enum.Enum):
    """What moves an incident on."""

    POWER_OFF_INTENDED = "power-off intended"
    RECEIPT_WRITTEN = "receipt written"
    FORCED_DOWN_READ_BACK = "forced down, read back"
    SERVERS_LISTED = "servers listed"
    ALL_SERVERS_ENDED = "all servers ended"
    STOPPED = "stopped for the operator"
    GONE_ON = "gone on"
    WITHDRAWN = "withdrawn"


WORKING = (S.CLAIMED, S.FENCING, S.FENCED, S.FORCED_DOWN, S.EVACUATING)

TRANSITIONS: Mapping[tuple[IncidentState, Event], IncidentState] = {
    (S.CLAIMED, Event.POWER_OFF_INTENDED): S.FENCING,
    (S.FENCING, Event.POWER_OFF_INTENDED): S.FENCING,
    # An operator's word can be there before any command was sent.
    (S.CLAIMED, Event.RECEIPT_WRITTEN): S.FENCED,
    (S.FENCING, Event.RECEIPT_WRITTEN): S.FENCED,
    (S.FENCED, Event.FORCED_DOWN_READ_BACK): S.FORCED_DOWN,
    (S.FORCED_DOWN, Event.SERVERS_LISTED): S.EVACUATING,
    (S.EVACUATING, Event.ALL_SERVERS_ENDED): S.FINISHED,
    **{(state, Event.STOPPED): S.NEEDS_OPERATOR for state in WORKING},
    **{(state, Event.WITHDRAWN): S.WITHDRAWN for state in (*WORKING, S.NEEDS_OPERATOR)},
}


class IllegalMove(AssertionError):
    """An event that cannot happen in this state: a mistake in this program, never in its surroundings."""


def advance(incident: Incident, event: Event) -> Incident:
    """Return the incident in the state that the event leads to. Raises IllegalMove.

    A needs-operator incident goes on from the state it had before, or as claimed where it had none.
    """
    if event is Event.GONE_ON and incident.state is S.NEEDS_OPERATOR:
        return replace(incident, state=incident.before or S.CLAIMED, before=None, gate=None, reason="", cause=None)
    try:
        state = TRANSITIONS[incident.state, event]
    except KeyError:
        raise IllegalMove(f"{incident.node}: {event.value} while {incident.state.value}") from None
    return replace(incident, state=state)


def stop(incident: Incident, closed: Closed) -> Incident:
    """Return the incident as it waits for the operator, with the gate that closed."""
    advance(incident, Event.STOPPED)
    return incident.asking(closed)


def works_on(view: ClusterView, ha_node: HANode) -> Iterator[Incident]:
    """Yield the incidents that the HA node is in use for: it works on them, or its driver died over them.

    A driver that gives an incident back gives `in_use` back too: what is set then is a reservation by hand.
    """
    for opened in view.incidents.values():
        incident = opened.incident
        if incident and incident.driver == ha_node.name and incident.session and incident.state in WORKING:
            yield incident


def at_work_on(view: ClusterView, ha_node: HANode) -> Sequence[Incident]:
    """Return the incidents that a living driver of the HA node works on: its lock ends with its session."""
    return [*works_on(view, ha_node)] if ha_node.lock_session else []
