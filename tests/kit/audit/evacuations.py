"""I6: a server is evacuated at most once per incident, and each one of a failed host ends known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from kit.audit.effects import Story
from kit.audit.incidents import FINAL, Incident, Version
from kit.audit.runs_once import goes_on, runs_of
from kit.audit.trace import GuestRun, Migration, Trace
from kit.audit.violation import Violation

ENDED_BADLY = ("error", "failed", "cancelled")


def evacuated_once(trace: Trace) -> list[Violation]:
    """Return every evacuation that was one too many, and every server that got lost."""
    story = Story(trace)
    found = list(_repeated(story))
    for incident in story.incidents:
        if incident.archived and incident.archived.state == "finished":
            at = incident.archived.change.at
            found += [
                Violation("I6", at, incident.node, words) for words in _lost(story, incident, incident.archived)
            ]
    return found


# --- asked once


def _repeated(story: Story) -> Iterator[Violation]:
    of_server: dict[str, list[Migration]] = defaultdict(list)
    for row in story.trace.migrations:
        of_server[row.server].append(row)
    for server, rows in of_server.items():
        for place, later in enumerate(rows):
            for former in rows[:place]:
                if words := _why_not_again(story, former, later):
                    yield Violation("I6", later.began, story.node_of(later.source), f"{server} {words}")


def _why_not_again(story: Story, former: Migration, later: Migration) -> str:
    """Return why there should be no later one; empty where Nova's own record of the former one allows it."""
    destination = story.node_of(former.destination)
    if destination and not story.power(destination).at(later.began):
        return ""
    if former.ended is None or former.ended > later.began:
        return f"was asked to be evacuated again ({later.id}) while {former.id} was still open"
    if former.status not in ENDED_BADLY and _incident_of(story, former) is _incident_of(story, later):
        return f"was evacuated twice in one incident: {former.id} had ended {former.status}, then came {later.id}"
    return ""


def _incident_of(story: Story, row: Migration) -> Incident | None:
    return story.incident_at(story.node_of(row.source), row.began)


# --- ended, and known


def _lost(story: Story, incident: Incident, archived: Version) -> Iterator[str]:
    for server, row in archived.servers.items():
        if row.get("state") not in FINAL:
            yield f"its incident was archived with {server} {row.get('state')}"
        elif row["state"] != "evacuated" and not row.get("reason"):
            yield f"its incident was archived with {server} {row['state']} and no reason"
    if "guests" not in story.cluster.sources:
        return
    runs = runs_of(story.trace)
    for server, rows in runs.items():
        yield from _of_server(story, incident, archived, server, rows)


def _of_server(
    story: Story, incident: Incident, archived: Version, server: str, runs: Sequence[GuestRun]
) -> Iterator[str]:
    known = archived.servers.get(server)
    if known is None:
        if _was_there(story, incident, archived, runs):
            yield f"{server} ran on it when it failed, and its incident says nothing of it"
    elif known.get("state") == "evacuated" and known.get("vm_state") == "active" and not known.get("reason"):
        elsewhere = [
            run for run in runs if story.node_of(run.host) != incident.node and goes_on(run, incident.opened)
        ]
        if not elsewhere:
            yield f"{server} counts as evacuated, and has run nowhere since"


def _was_there(story: Story, incident: Incident, archived: Version, runs: Sequence[GuestRun]) -> bool:
    """True where its last run before the incident was archived was on the host, until that failed."""
    last = [run for run in runs if run.began < archived.change.at][-1:]
    if not last or story.node_of(last[0].host) != incident.node or last[0].began >= incident.opened:
        return False
    off = [
        row.at for row in story.trace.truths if row.host == incident.node and not row.on and row.at >= last[0].began
    ]
    return goes_on(last[0], min([incident.opened, *off])) or last[0].ended in off
