"""How long a recovery takes, step by step, beside a plain loop of evacuate calls on the same cloud."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from nova_ha.cluster.incident import Incident, IncidentState
from nova_ha.cluster.policy import Policy
from nova_ha.compute import ServerID
from nova_ha.compute.nova import Nova
from nova_ha.compute.states import VMState

from kit.clouds.contract_cloud import until

CONCURRENCY = Policy().recovery_concurrency
POLL_S = 0.5
HEADS = ("servers", "dead to claimed", "fenced", "forced down", "evacuated", "archived", "plain loop", "ratio")


@dataclass(frozen=True)
class Pace:
    """What one recovery took, in seconds: until claimed, fenced, forced down, all servers running, archived."""

    servers: int
    claimed_s: float
    fenced_s: float
    forced_down_s: float
    evacuated_s: float
    archived_s: float
    plain_s: float

    @property
    def ratio(self) -> float:
        """Power-off confirmed to the last server running, over the time of the plain loop."""
        return (self.forced_down_s + self.evacuated_s) / self.plain_s

    @property
    def cells(self) -> Sequence[str]:
        """One row of the table."""
        steps = [self.claimed_s, self.fenced_s, self.forced_down_s, self.evacuated_s, self.archived_s, self.plain_s]
        return [str(self.servers), *(f"{took:.1f}" for took in steps), f"{self.ratio:.2f}"]


def table(paces: Sequence[Pace]) -> Sequence[str]:
    """Return the lines of a table of all that was measured, in seconds."""
    rows = [HEADS, *(pace.cells for pace in paces)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    told = f"seconds, {CONCURRENCY} servers at a time; the ratio is (forced down + evacuated) / plain loop"
    return [told, *("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)]


def pace_of(incident: Incident, died_at: datetime, plain_s: float) -> Pace:
    """Return what the recovery took; all of its servers must have been evacuated."""
    at = {step.state: step.at for step in reversed(incident.steps)}
    last = max(progress.done_at for progress in incident.servers.values() if progress.done_at)
    stamps = [
        died_at,
        at[IncidentState.CLAIMED],
        at[IncidentState.FENCED],
        at[IncidentState.FORCED_DOWN],
        last,
        at[IncidentState.FINISHED],
    ]
    spans = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(stamps)]
    claimed, fenced, forced_down, evacuated, archived = spans
    return Pace(len(incident.servers), claimed, fenced, forced_down, evacuated, archived, plain_s)


def plain_loop(nova: Nova, source: str, target: str, servers: Sequence[str], within_s: float) -> float:
    """Force the dead host down and evacuate its servers as fast as Nova goes; return the seconds until all run."""
    started = time.monotonic()
    reading = nova.service(source)
    assert reading is not None
    nova.force_down(reading.service.id, True)
    loop = PlainLoop(nova, source, target, servers)
    until(f"{source} to be evacuated", within_s, loop.turn)
    return time.monotonic() - started


class PlainLoop:
    """Asks for one server after the other, so many at a time; nothing is recorded, and nothing may go wrong."""

    def __init__(self, nova: Nova, source: str, target: str, servers: Sequence[str]) -> None:
        self._nova, self._source, self._target = nova, source, target
        self._waiting, self._under_way = list(servers), set[str]()

    def turn(self) -> bool:
        """Ask for as many as may be asked for; True when all run on the target."""
        done = {str(record.server) for record in self._nova.evacuations(self._source) if record.status.arrived}
        self._under_way -= {server for server in self._under_way & done if self._runs(server)}
        while self._waiting and len(self._under_way) < CONCURRENCY:
            server = self._waiting.pop(0)
            self._nova.evacuate(ServerID(server), self._target)
            self._under_way.add(server)
        time.sleep(POLL_S)
        return not self._waiting and not self._under_way

    def _runs(self, server: str) -> bool:
        found = self._nova.server(ServerID(server))
        assert found is not None
        return found.host == self._target and found.vm_state is VMState.ACTIVE
