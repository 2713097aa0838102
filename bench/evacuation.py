"""Fifty servers of one host: from the proof that it is off until the last of them runs, against a plain loop."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nova_ha.cluster.incident import Incident, IncidentState
from nova_ha.cluster.policy import Policy
from nova_ha.compute import ServerID
from nova_ha.compute.client import connect
from nova_ha.compute.nova import Nova
from nova_ha.errors import HAError
from nova_ha.sandbox import control
from nova_ha.sandbox.cloud import Sandbox
from nova_ha.sandbox.waiting import until

from bench.figure import Figure
from bench.striking import Struck, await_incident

ROW = "evacuation"
SERVERS = 50
MOST_RATIO = 1.2
POLL_S = 0.05
WITHIN_S = 180


@dataclass(frozen=True)
class Pace:
    """How long the simulated Nova takes for a rebuild, in words, and beyond what it takes by itself."""

    name: str
    words: str
    slower_s: float

    @property
    def source(self) -> str:
        """A host for the plain loop, which is no node of ours."""
        return f"plain-source-{self.name}"

    @property
    def target(self) -> str:
        """Where the plain loop evacuates it to."""
        return f"plain-target-{self.name}"


# A Nova 34 on two processors took 55 s for 50 servers, 5 at a time.
PACES = (Pace("simulator", "1.5 s for each", 0.0), Pace("real", "5.5 s for each, as a real Nova", 4.0))


def plain_loop(sandbox: Sandbox, pace: Pace) -> float:
    """Evacuate a host as fast as evacuate calls can; return the seconds from the first to the last arrival."""
    nova = connect(sandbox.access)
    for host in (pace.source, pace.target):
        sandbox.openstack.add_host(host, reports_itself=True)
    slow_down(sandbox, [pace.target], pace)
    servers = [sandbox.openstack.add_server(pace.source, f"{pace.source}-{number}") for number in range(SERVERS)]
    control.tell(sandbox.openstack.url, "power", {"host": pace.source, "on": False})
    service = nova.service(pace.source)
    if service is None:
        raise HAError(f"the simulated Nova does not know {pace.source}")
    nova.force_down(service.service.id, True)
    started = time.monotonic()
    until(PlainLoop(nova, pace, servers).turn, f"{pace.source} to be evacuated", WITHIN_S, POLL_S)
    return time.monotonic() - started


class PlainLoop:
    """Asks for one server after the other, so many at a time; nothing is recorded, and nothing may go wrong."""

    def __init__(self, nova: Nova, pace: Pace, servers: Sequence[str]) -> None:
        self._nova = nova
        self._pace = pace
        self._waiting = list(servers)
        self._count = len(servers)

    def turn(self) -> bool:
        """Ask for as many as may be asked for; True when all have arrived."""
        arrived = sum(migration.status.arrived for migration in self._nova.evacuations(self._pace.source))
        under_way = self._count - len(self._waiting) - arrived
        for _ in range(min(Policy().recovery_concurrency - under_way, len(self._waiting))):
            self._nova.evacuate(ServerID(self._waiting.pop(0)), self._pace.target)
        return arrived == self._count


def slow_down(sandbox: Sandbox, hosts: Sequence[str], pace: Pace) -> None:
    """Let rebuilds on the hosts take their time."""
    if pace.slower_s:
        control.tell(sandbox.openstack.url, "faults", {"slow_spawn": dict.fromkeys(hosts, pace.slower_s)})


def fill(sandbox: Sandbox, host: str, servers: int) -> None:
    """Let so many servers run on the host."""
    for number in range(sandbox.plan.servers + 1, servers + 1):
        sandbox.openstack.add_server(host, f"{host}-server-{number}")


def figures(sandbox: Sandbox, struck: Struck, pace: Pace, plain_s: float) -> Iterator[Figure]:
    """Wait until the host with its servers is recovered, and compare."""
    incident = await_incident(sandbox, struck.node, "finished", lambda i: i.state is IncidentState.FINISHED, WITHIN_S)
    ours_s = _fenced_to_last(incident)
    whole_s = (incident.steps[-1].at - struck.at).total_seconds()
    at_once = Policy().recovery_concurrency
    what = f"power-off to the last of {SERVERS} servers running, {at_once} at a time, {pace.words}"
    note = f"{ours_s:.1f} s; a plain loop of evacuate calls {plain_s:.1f} s; host dead to archived {whole_s:.1f} s"
    yield Figure(ROW, what, ours_s / plain_s, "x", MOST_RATIO, note=note, digits=2)


def _fenced_to_last(incident: Incident) -> float:
    fenced = next(step.at for step in incident.steps if step.state is IncidentState.FENCED)
    arrived = [progress.done_at for progress in incident.servers.values() if progress.done_at is not None]
    if len(arrived) < SERVERS:
        raise HAError(f"{SERVERS - len(arrived)} of {SERVERS} servers were not evacuated")
    return (max(arrived) - fenced).total_seconds()
