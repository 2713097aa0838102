"""The end of an incident: audit, archive, notify."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

from nova_ha.cluster.incident import Incident, ServerState
from nova_ha.recovery.driver import Driver
from nova_ha.recovery.moving import on_their_way_here
from nova_ha.recovery.servers import before_it_starts, queued
from nova_ha.recovery.transitions import Event, advance

log = logging.getLogger(__name__)


def finish(driver: Driver) -> None:
    """Audit what Nova has left, and move the incident to history with everything given back."""
    audit: list[str] = []
    driver.patiently(lambda: audit.extend(_audit(driver)), "auditing")
    incident = driver.incident
    for line in dict.fromkeys(audit):
        log.error("host=%s step=finished %s", driver.node.name, line)
        incident = incident.noting(driver.clients.clock.now(), driver.clients.me, line)
    summary = in_words(incident)
    done = advance(incident, Event.ALL_SERVERS_ENDED).noting(driver.clients.clock.now(), driver.clients.me, summary)
    driver.archive(done)
    log.info("host=%s step=finished %s", driver.node.name, summary)


def in_words(incident: Incident) -> str:
    """Return how the servers ended: `50 evacuated, 2 failed`."""
    counts = Counter(progress.state for progress in incident.servers.values())
    words = [f"{counts[state]} {state.value}" for state in ServerState if counts[state]]
    return ", ".join(words) or "no server was on the host"


def _audit(driver: Driver) -> Sequence[str]:
    """Return what should not be: servers still on the host, or on their way to it, migrations still open, tasks
    that wait for the host.

    Raises NovaError.
    """
    host, lines = driver.incident.nova_host, []
    for server in driver.compute.servers(host):
        progress = driver.incident.servers.get(server.id)
        why = progress.reason if progress else "it appeared after the host was fenced"
        lines.append(f"audit: {server.name} is still on {host}: {why or 'no reason known'}")
    for record in driver.compute.evacuations(host):
        if record.status.open:
            lines.append(f"audit: migration {record.uuid} of {record.server} is still {record.status.value}")
    if waiting := queued(driver.incident):
        lines.append(f"audit: {before_it_starts(host, waiting)}")
    return [*lines, *(f"audit: {line}" for line in on_their_way_here(driver.compute, host))]
