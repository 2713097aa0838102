"""The effects of a run: what reached BMCs and Nova, each with the host that it was about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from kit.audit.incidents import Incident, incidents
from kit.audit.keys import Holding, Keys, compute_node, ha_node, moment_of, object_of, text_of
from kit.audit.timeline import Timeline
from kit.audit.trace import OPERATOR, NovaCall, Trace

# What a command of the operator names its session.
OPERATORS_SESSIONS = ("nova-ha reset",)
# Nova makes the record of an evacuation when it takes the request.
BEGINS_WITHIN = timedelta(seconds=1)


@dataclass(frozen=True)
class Effect:
    """Something that was done to a host, or to one of its servers. `host` is the node's name, or empty.

    `what`: power-off, power-on, force-down, unforce, disable, enable, evacuate, or the action's name.
    """

    at: datetime
    host: str
    what: str
    sender: str
    server: str = ""
    target: str = ""
    status: int = 200
    since: datetime | None = None

    @property
    def earliest(self) -> datetime:
        """The first moment at which it can have been sent."""
        return self.since or self.at


def _lasts(record: Mapping[str, Any], gate: str, moment: datetime) -> bool:
    """True where an approval, or an incident, lets the gate pass at the moment: each permit has its own end."""
    gates, permits = record.get("gates", []), record.get("permits", [])
    ends = [record.get("until")] if isinstance(gates, list) and gate in gates else []
    for permit in permits if isinstance(permits, list) else []:
        if isinstance(permit, dict) and permit.get("gate") == gate:
            ends.append(permit.get("until"))
    moments = [moment_of(end) for end in ends]
    return any(end is not None and moment < end for end in moments)


class Story:
    """A trace with what all invariants ask of it."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.cluster = trace.cluster
        self.keys = Keys(trace)

    @cached_property
    def incidents(self) -> list[Incident]:
        """All incidents, oldest first."""
        return incidents(self.keys)

    def of(self, host: str) -> list[Incident]:
        """Return the host's incidents."""
        return [incident for incident in self.incidents if incident.node == host]

    def incident_at(self, host: str, moment: datetime) -> Incident | None:
        """Return the incident of the host that may have been open at the moment, the newest one."""
        return next((found for found in reversed(self.of(host)) if found.covers(moment)), None)

    @cached_property
    def effects(self) -> list[Effect]:
        """Everything with an effect that was not the operator's, oldest first."""
        power = (
            Effect(row.at, row.host, f"power-{row.command}", row.sender, since=row.since)
            for row in self.trace.commands
            if row.sender != OPERATOR
        )
        nova = (self._nova(call) for call in self.trace.calls if call.method != "GET" and call.sender != OPERATOR)
        return sorted([*power, *(effect for effect in nova if effect)], key=lambda effect: effect.at)

    def effects_on(self, host: str, *what: str) -> Iterator[Effect]:
        """Yield the effects on the host, of these kinds only."""
        return (effect for effect in self.effects if effect.host == host and effect.what in what)

    def power(self, host: str) -> Timeline[bool]:
        """Return whether the machine is really on: at first it is."""
        return Timeline(True, [(row.at, row.on) for row in self.trace.truths if row.host == host])

    def answers(self, host: str) -> Timeline[bool]:
        """Return whether the host really answers: at first it does."""
        return Timeline(True, [(row.at, row.answers) for row in self.trace.answering if row.host == host])

    def holdings(self, host: str) -> list[Holding]:
        """Return the holdings of the host's lock: of a compute node, or of an HA node."""
        key = compute_node if host in self.cluster.compute else ha_node
        return self.keys.holdings(key(host, "internal/.lock"))

    def holding_at(self, host: str, moment: datetime) -> Holding | None:
        """Return the last holding of the host's lock that may have begun by then."""
        return next((held for held in reversed(self.holdings(host)) if held.began <= moment), None)

    def is_the_operators(self, effect: Effect) -> bool:
        """True where a command of the operator held the host's lock when this was sent."""
        held = self.holding_at(effect.host, effect.at)
        return held is not None and held.name.startswith(OPERATORS_SESSIONS)

    def approved(self, gate: str, incident: Incident, effect: Effect) -> bool:
        """True where an operator's approval of the gate was given for this failure, and had not ended at the effect.

        It was there before the effect, after the last incident, and the host was not counted well in between. Where
        Consul was not seen for a while, an approval may have come and gone: then the incident's own word counts.
        """
        host, looked = incident.node, effect.earliest - timedelta(seconds=self.cluster.reaction_s)
        before = [other.ended() for other in self.of(host) if other.opened < incident.opened]
        since = max((moment for moment in before if moment), default=None)
        for change in self.keys.changes(compute_node(host, "config/approval")):
            there = change.earliest <= effect.at and (since is None or change.at >= since)
            given = there and _lasts(object_of(text_of(change)), gate, looked)
            if given and not self._well_between(host, change.at, effect.earliest):
                return True
        blind = [v for v in incident.all_versions if v.change.at - v.change.earliest > timedelta(seconds=2)]
        return any(_lasts(version.record, gate, looked) for version in blind)

    def _well_between(self, host: str, since: datetime, until: datetime) -> bool:
        counts = self.keys.changes(compute_node(host, "internal/number_fails"))
        return any(text_of(c) == "0" and since < c.earliest and c.at < until for c in counts)

    def node_of(self, nova_host: str) -> str:
        """Return the node that Nova knows by this name."""
        named = {name: node for node, name in self.cluster.nova_hosts.items()}
        return named.get(nova_host, nova_host)

    # --- Nova

    def _nova(self, call: NovaCall) -> Effect | None:
        if "os-services" in call.path:
            return self._service(call)
        if not call.action:
            return None
        server = call.path.rstrip("/").split("/")[-2]
        arguments = call.body.get(call.action) if isinstance(call.body, dict) else None
        target = arguments.get("host") if isinstance(arguments, dict) else None
        host = self._source(server, call.action, call.at)
        return Effect(call.at, host, call.action, call.sender, server, self.node_of(target or ""), call.status)

    def _service(self, call: NovaCall) -> Effect:
        body = call.body if isinstance(call.body, dict) else {}
        service = call.path.rstrip("/").split("/")[-1]
        host = self.node_of(self.cluster.services.get(service, service))
        if "forced_down" in body:
            what = "force-down" if body["forced_down"] else "unforce"
        else:
            what = "disable" if body.get("status") == "disabled" else "enable"
        return Effect(call.at, host, what, call.sender, status=call.status)

    def _source(self, server: str, action: str, moment: datetime) -> str:
        """Return the host that a server was on: by Nova's own record of what came of it, by the incident that lists
        it, or where it ran."""
        mine = [row for row in self.trace.migrations if row.server == server]
        made = next((row for row in mine if moment <= row.began < moment + BEGINS_WITHIN), None)
        if made and action == "evacuate":
            return self.node_of(made.source)
        listing = [
            incident for incident in self.incidents if server in incident.servers and incident.opened <= moment
        ]
        covering = [incident for incident in listing if incident.covers(moment)]
        if found := [*listing, *covering]:
            return found[-1].node
        runs = [run for run in self.trace.guests if run.server == server and run.began <= moment]
        return self.node_of(runs[-1].host) if runs else ""
