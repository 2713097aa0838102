"""A host hangs, at Nova's own timing: how long until its servers run elsewhere, whenever it last reported."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from nova_ha.cluster.incident import Incident, IncidentState
from nova_ha.compute.client import connect
from nova_ha.compute.nova import Nova
from nova_ha.errors import HAError
from nova_ha.sandbox.cloud import Sandbox
from nova_ha.sandbox.waiting import until

from bench.figure import Figure
from bench.striking import await_incident, strike

ROW = "outage"
# So long after a report of its nova-compute, which reports every 10 s.
PHASES_S = (0.5, 2.5, 4.5, 6.5, 8.5)
MOST_S = 33
WITHIN_S = 90


def figures(sandbox: Sandbox) -> Iterator[Figure]:
    """Let one host after the other hang, each at another time after its nova-compute's last report."""
    nova = connect(sandbox.access)
    found = [_outage(sandbox, nova, *drawn) for drawn in zip(sandbox.compute_names, PHASES_S, strict=False)]
    seconds = [outage.seconds for outage in found]
    shown = ", ".join(f"{taken:.1f}" for taken in seconds)
    worst = max(found, key=lambda outage: outage.seconds)
    note = f"worst of {len(seconds)} phases of the report: {shown}; median {statistics.median(seconds):.1f} s; "
    what = f"host hangs to its {sandbox.plan.servers} servers elsewhere"
    yield Figure(ROW, what, worst.seconds, "s", MOST_S, note=f"{note}the worst: {worst.in_words()}")


@dataclass(frozen=True)
class Outage:
    """One host's way from its last breath to its last server elsewhere."""

    began: datetime
    failed: datetime
    incident: Incident

    @property
    def seconds(self) -> float:
        """How long all of it took."""
        return (max(self.arrived) - self.began).total_seconds()

    @property
    def arrived(self) -> list[datetime]:
        """When each server ran elsewhere."""
        return [progress.done_at for progress in self.incident.servers.values() if progress.done_at]

    def in_words(self) -> str:
        """Return after how many seconds each step was taken."""
        steps = self.incident.steps
        sent = next(step.at for step in steps if step.what.startswith("sending power off"))
        proved = next(step.at for step in steps if step.state is IncidentState.FENCED)
        moments = {"failed": self.failed, "claimed": steps[0].at, "power-off sent": sent, "proved": proved}
        return ", ".join(f"{word} {(at - self.began).total_seconds():.1f}" for word, at in moments.items())


def _outage(sandbox: Sandbox, nova: Nova, host: str, phase_s: float) -> Outage:
    await_report(nova, host)
    time.sleep(phase_s)
    [struck] = strike(sandbox, [host])
    incident = await_incident(sandbox, host, "finished", lambda i: i.state is IncidentState.FINISHED, WITHIN_S)
    outage = Outage(struck.at, struck.failed_at, incident)
    if len(outage.arrived) < sandbox.plan.servers:
        raise HAError(f"{sandbox.plan.servers - len(outage.arrived)} servers of {host} were not evacuated")
    return outage


def await_report(nova: Nova, host: str) -> None:
    """Wait until the host's nova-compute reports."""

    def stamp() -> object:
        reading = nova.service(host)
        return reading and reading.service.updated_at

    before = stamp()
    until(lambda: stamp() != before, f"{host} to report", within_s=30, every_s=0.1)
