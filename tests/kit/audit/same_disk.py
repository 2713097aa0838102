"""I11: no server is called evacuated whose root disk did not come back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from kit.audit.effects import Story
from kit.audit.incidents import Incident
from kit.audit.trace import GuestRun, Trace
from kit.audit.violation import Violation


def same_disk(trace: Trace) -> list[Violation]:
    """Return every server that counts as evacuated, and ran with another disk afterwards than before.

    What has not been recorded of a disk is an empty text: nothing can be said of it.
    """
    story = Story(trace)
    return [violation for incident in story.incidents for violation in _of(story, incident)]


def _of(story: Story, incident: Incident) -> Iterator[Violation]:
    if incident.archived is None:
        return
    for server, row in incident.archived.servers.items():
        before, after = _disks(story, incident, server)
        if row.get("state") == "evacuated" and before and after and before != after:
            words = f"{server} counts as evacuated, and came back with another disk: {after}, it was {before}"
            yield Violation("I11", incident.archived.change.at, incident.node, words)


def _disks(story: Story, incident: Incident, server: str) -> tuple[str, str]:
    """Return the disk that it ran with last on the host, and the first one since the incident began elsewhere."""
    runs = [run for run in story.trace.guests if run.server == server and run.disk]
    ended = incident.ended()
    here = [r.disk for r in runs if story.node_of(r.host) == incident.node and r.began < incident.opened]
    since = [r.disk for r in runs if _arrived(story, incident, r, ended)]
    return (here or [""])[-1], (since or [""])[0]


def _arrived(story: Story, incident: Incident, run: GuestRun, ended: datetime | None) -> bool:
    elsewhere = story.node_of(run.host) != incident.node
    return elsewhere and incident.opened <= run.began and (ended is None or run.began <= ended)
