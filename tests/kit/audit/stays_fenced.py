"""I7: a fenced host is not powered on, un-forced-down or evacuated to while its incident is open."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from kit.audit.effects import Effect, Story
from kit.audit.incidents import Incident
from kit.audit.trace import Trace
from kit.audit.violation import Violation

UNDONE = {
    "power-on": "it was powered on by us",
    "unforce": "its force-down was undone by us",
    "enable": "its nova-compute was enabled by us",
}


def stays_fenced(trace: Trace) -> list[Violation]:
    """Return everything of ours that put a fenced host back to work while its incident was open."""
    story = Story(trace)
    return [violation for incident in story.incidents for violation in _undone(story, incident)]


def _undone(story: Story, incident: Incident) -> Iterator[Violation]:
    since = _fenced_at(incident)
    if since is None:
        return
    until = incident.ended() or story.trace.ended
    for effect in story.effects:
        words = _words(story, effect, incident.node)
        if words and since <= effect.at <= until and not story.is_the_operators(effect):
            yield Violation("I7", effect.at, incident.node, f"{words} while its incident was open")


def _fenced_at(incident: Incident) -> datetime | None:
    return next((version.change.at for version in incident.all_versions if version.receipt), None)


def _words(story: Story, effect: Effect, host: str) -> str:
    if effect.what == "evacuate" and effect.target == host:
        return f"{effect.server} was evacuated to it"
    return UNDONE.get(effect.what, "") if effect.host == host else ""
