"""I8: every failed host ends as recovered or as a loud, named refusal within a bound, and nothing stays held."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from kit.audit.effects import Story
from kit.audit.incidents import WORKING, Incident
from kit.audit.keys import COMPUTE_NODES, HA_NODES, compute_node, is_true, text_of
from kit.audit.trace import KVChange, Trace
from kit.audit.violation import Violation

# The names by which the product may say why it waits.
GATES = (
    *("paused", "maintenance", "no-quorum", "left", "max-failed", "unreadable", "policy"),
    *("nova-away", "no-target", "ha-node-busy", "limit", "locked", "lock-delay", "not-due"),
    *("answers", "nova-reports", "disabled-by-other", "runtime-config", "no-bmc", "bmc-identity", "bmc-unreachable"),
    *("no-identity", "own-host", "repeat", "approval", "not-off", "not-silent", "port-refuses", "powered-on"),
    *("power-unknown", "service-up", "disk-locked", "receipt-expired", "withdrawn", "nova-fails", "left-behind"),
    *("too-many-servers", "agent-alive", "shared-first"),
)
# These are closed by what others do: that has come to its end within the bound, so none of them names a refusal.
OF_OTHERS = frozenset({"ha-node-busy", "limit", "locked", "lock-delay", "not-due", "shared-first"})
# Before a colon: some are words of a sentence too, as in "left to ha-2".
_NAMED = re.compile(rf"(?<![\w-])({'|'.join(gate for gate in GATES if gate not in OF_OTHERS)}):")


def ends_named(trace: Trace) -> list[Violation]:
    """Return every failed host that has no end in time, and everything that nobody holds any more."""
    story = Story(trace)
    found = [
        Violation("I8", trace.ended, node, words) for node in trace.cluster.compute for words in _endless(story, node)
    ]
    return found + [Violation("I8", trace.ended, "", words) for words in _left(story)]


# --- the hosts


def _endless(story: Story, node: str) -> Iterator[str]:
    since = _failed_since(story, node)
    bound = timedelta(seconds=story.cluster.bound_s)
    faults = [fault.ended or story.trace.ended for fault in story.trace.injected]
    quiet = max([since or story.trace.ended, *faults])
    if since is None or story.trace.ended - quiet < bound or _waits_named(story, node):
        return
    if words := _not_ended(story, node, since):
        yield f"{words}, {(story.trace.ended - quiet).total_seconds():.0f} s after it failed and the last fault ended"


def _failed_since(story: Story, node: str) -> datetime | None:
    """Return since when the host has failed, in the end; None where it has not."""
    failed = story.keys.flags(compute_node(node, "status/failed"))
    if failed.last:
        return failed.since(story.trace.ended)
    answers = story.answers(node)
    if story.cluster.monitored and "answering" in story.cluster.sources and not answers.last:
        return answers.since(story.trace.ended)
    return None


def _waits_named(story: Story, node: str) -> bool:
    """True where the product says by name why nothing is done for it."""
    said = [output.text for output in story.trace.outputs if output.name == f"explain {node}"]
    return bool(said) and _NAMED.search(said[-1]) is not None


def _not_ended(story: Story, node: str, since: datetime) -> str:
    """Return what is missing; empty where it was recovered or waits for the operator at a gate with its reason."""
    last = next(iter(story.of(node)[-1:]), None)
    if not story.keys.flags(compute_node(node, "status/failed")).last:
        return "it does not answer, and was never set failed"
    if last is None or _is_past(last, since):
        return "it has failed, and there is no incident"
    if last.ended():
        return "" if last.archived else "its incident is gone, and not in history"
    version = last.versions[-1]
    if version.state != "needs-operator":
        return f"its incident is still {version.state or 'unreadable'}"
    named = version.record.get("gate") in GATES and version.record.get("reason")
    return "" if named else "it waits for the operator, without a gate and a reason"


def _is_past(incident: Incident, since: datetime) -> bool:
    ended = incident.ended()
    return ended is not None and ended < since


# --- what is held


def _left(story: Story) -> Iterator[str]:
    """A place of the semaphore is held by its contender's key: a holder without one is dead, and counts nowhere."""
    last = story.keys.last()
    working = _working_sessions(story)
    for key, change in last.items():
        if key.endswith("/internal/witness"):
            continue  # it goes with its look-out's session, which works on nothing
        if change.session and change.session not in working:
            yield f"{key} is still held by session {change.session}, and nobody works"
        elif key.endswith("/internal/.lock") and not change.session:
            yield f"{key} was let go and not deleted"
    drivers = {str(incident.versions[-1].record.get("driver")) for incident in _unfinished(story)}
    for key, change in last.items():
        node = key.removeprefix(HA_NODES).split("/")[0]
        in_use = key.startswith(HA_NODES) and key.endswith("/status/in_use") and is_true(text_of(change))
        if in_use and node not in drivers and not _reserved(story, node, change):
            yield f"{key} is still True, and {node} works on nothing"


def _reserved(story: Story, node: str, in_use: KVChange) -> bool:
    """True where somebody set it by hand: a claim takes the HA node's lock in the same transaction."""
    locked = story.keys.changes(f"{HA_NODES}{node}/internal/.lock")
    return in_use.index not in {change.index for change in locked if change.session}


def _unfinished(story: Story) -> list[Incident]:
    """Return the incidents that are open in the end, and wait for no operator.

    One of them whose driver has died keeps its HA node in use, until another one takes it over. That this comes to
    its end is asked of the host; where somebody has reset `failed`, nobody goes on, and only a reset ends it.
    """
    open_still = [incident for incident in story.incidents if incident.versions and incident.ended() is None]
    return [incident for incident in open_still if incident.versions[-1].state in WORKING]


def _worked_on(story: Story) -> list[Incident]:
    """Return the incidents that are being worked on in the end: their session lives and holds the node's lock."""
    last = story.keys.last()
    found = []
    for incident in _unfinished(story):
        lock = last.get(f"{COMPUTE_NODES}{incident.node}/internal/.lock")
        session = str(incident.versions[-1].record.get("session", ""))
        if lock and lock.session == session and story.keys.session_lives(session):
            found.append(incident)
    return found


def _working_sessions(story: Story) -> set[str]:
    return {str(incident.versions[-1].record["session"]) for incident in _worked_on(story)}
