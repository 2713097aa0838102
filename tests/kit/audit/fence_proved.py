"""I1: evacuate is never called for a host whose OFF was not read back (or confirmed by a human) after it failed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from kit.audit.effects import Effect, Story
from kit.audit.incidents import Incident
from kit.audit.keys import moment_of
from kit.audit.trace import PowerReading, Trace
from kit.audit.violation import Violation

# The power is read again before each batch and at least so often: what changes in between cannot be known.
POWER_IS_READ_EVERY = timedelta(seconds=10)


def fence_proved(trace: Trace) -> list[Violation]:
    """Return every evacuate that was sent without proof that its host was off, or while it was on."""
    story = Story(trace)
    asked = [effect for effect in story.effects if effect.what == "evacuate"]
    return [
        Violation("I1", effect.at, effect.host, words) for effect in asked for words in _without_proof(story, effect)
    ]


def _without_proof(story: Story, effect: Effect) -> Iterator[str]:
    incident = story.incident_at(effect.host, effect.at)
    what = f"{effect.server} was asked to be evacuated"
    if incident is None:
        yield f"{what}, and {effect.host or 'its host'} had no incident"
        return
    receipts = [version.receipt for version in incident.may_have_been(effect.at) if version.receipt]
    if not receipts:
        yield f"{what}, and the incident had no receipt of a fence"
    if any(_vouched(receipt, effect.at) for receipt in receipts):
        return
    yield from (f"{what}, {why}" for why in _not_off(story, effect, incident))


def _vouched(receipt: Mapping[str, Any], moment: datetime) -> bool:
    """True where a human's word that it is off was in force."""
    until = moment_of(receipt.get("until"))
    return receipt.get("method") == "operator" and until is not None and moment < until


def _not_off(story: Story, effect: Effect, incident: Incident) -> Iterator[str]:
    if "power" not in story.cluster.sources:
        return
    needed = int(story.keys.number("fence/confirmations", effect.at))
    rows = [r for r in story.trace.readings if r.host == effect.host and incident.opened <= r.at <= effect.at]
    sent = [row for row in story.trace.commands if row.host == effect.host and incident.opened <= row.at <= effect.at]
    if not sent:
        yield "and no power-off was sent to it since it failed"
    if (most := _longest_off(rows)) < needed:
        yield f"and its BMC had read off {most} times in a row since it failed, {needed} are needed"
    if any(row.on and row.at < effect.at - POWER_IS_READ_EVERY for row in _after_the_proof(rows, needed)):
        yield "and its BMC had read on again since it was proved off"
    power = story.power(effect.host)
    since = power.since(effect.at)
    if power.at(effect.at) and (since is None or since < effect.at - POWER_IS_READ_EVERY):
        yield "and the machine was really on"


def _longest_off(rows: list[PowerReading]) -> int:
    longest = run = 0
    for row in rows:
        run = run if row.on is None else 0 if row.on else run + 1
        longest = max(longest, run)
    return longest


def _after_the_proof(rows: list[PowerReading], needed: int) -> list[PowerReading]:
    """Return the readings after the last that completed a proof."""
    run, proved = 0, len(rows)
    for place, row in enumerate(rows):
        run = run if row.on is None else 0 if row.on else run + 1
        proved = place + 1 if run == needed else proved
    return rows[proved:]
