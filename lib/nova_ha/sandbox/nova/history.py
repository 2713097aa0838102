"""What has happened in the simulated cloud: where each guest ran, from when to when, and every evacuation.

Kept until it is told to forget, also of servers that are forgotten meanwhile: for whoever judges afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from nova_ha.sandbox.nova.state import Cloud, Rebuild

OPEN = ("accepted", "pre-migrating")


@dataclass(frozen=True)
class Run:
    """A guest ran on a host from `began` until `ended`; None: it does. `disk` is the one that it had there."""

    server: str
    host: str
    began: datetime
    ended: datetime | None = None
    disk: str = ""


@dataclass(frozen=True)
class Moved:
    """An evacuation with how, and when, it first ended; `ended` None: it is open."""

    id: str
    server: str
    source: str
    destination: str
    began: datetime
    status: str
    ended: datetime | None = None


class History:
    """Looks at the cloud, under its lock, whenever something may have changed."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._running: dict[tuple[str, str], Run] = {}
        self._ran: list[Run] = []
        self._moved: dict[str, Moved] = {}

    def look(self) -> None:
        """Note what has changed since the last look: what ended first, then what began."""
        guests = self._cloud.guests().items()
        running = {(server, host) for server, hosts in guests for host, runs in hosts.items() if runs}
        for place in self._running.keys() - running:
            self._ran.append(replace(self._running.pop(place), ended=self._cloud.now()))
        for server, host in running - self._running.keys():
            disk = self._cloud.servers[server].disk if server in self._cloud.servers else ""
            self._running[server, host] = Run(server, host, self._cloud.now(), disk=disk)
        for evacuation in self._cloud.evacuations:
            self._look_at(evacuation)

    def _look_at(self, evacuation: Rebuild) -> None:
        known = self._moved.get(evacuation.uuid)
        if known is None or known.ended is None:
            ended = None if evacuation.status in OPEN else evacuation.updated
            self._moved[evacuation.uuid] = Moved(
                evacuation.uuid,
                evacuation.server_id,
                evacuation.source,
                evacuation.destination or "",
                evacuation.created,
                evacuation.status,
                ended,
            )

    def forget(self) -> None:
        """Forget what is over."""
        self._ran = []
        self._moved = {}

    def to_json(self) -> dict[str, Any]:
        """Return all of it, oldest first, with stamps to the microsecond."""
        self.look()
        runs = sorted([*self._ran, *self._running.values()], key=lambda run: run.began)
        moved = sorted(self._moved.values(), key=lambda row: row.began)
        return {"runs": [_row(run) for run in runs], "evacuations": [_row(row) for row in moved]}


def _row(record: Run | Moved) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in vars(record).items()}
