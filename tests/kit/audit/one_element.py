"""I12: one element (a host, its BMC, its keys) never delays or blinds what is done for another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from kit.audit.effects import Story
from kit.audit.incidents import Incident, Version
from kit.audit.keys import HA_NODES, ROOT, compute_node, ha_node, is_true, moment_of, object_of, text_of
from kit.audit.trace import ALONE, FAILURE, SHARED, Injected, Trace
from kit.audit.violation import Violation

# The steps that end without waiting for anything but the host, its BMC and Nova: how long servers take is their own.
STATES = {"fenced": "proved off", "forced-down": "forced down", "evacuating": "evacuating"}
# These gates count what was before, of which a trace need not tell.
LOOK_BACK = ("repeat", "max-failed")


@dataclass(frozen=True)
class Step:
    """One step of a host's recovery: from `began` on it may take `step_s`. `ended` is None where it never did.

    `failed` is when the host failed, and `in_turn` True where it may have to wait for a place.
    """

    host: str
    failed: datetime
    words: str
    began: datetime
    ended: datetime | None
    in_turn: bool = False


def one_element(trace: Trace) -> list[Violation]:
    """Return every step of a recovery that was late, or refused, where only other hosts can have been the cause.

    The measurable form of the invariant: a host fails in a plain way, and all that is wrong beside it is at single
    other hosts. Then it is set failed, claimed, proved off, forced down and evacuating, each within `step_s` of the
    step before, and waits for no operator. A step is not judged where something shared was at fault, or had been up
    to `bound_s` before; where the host itself, its BMC or its keys had another fault, or it answered again; nor where
    what was recorded says why it may take longer: a pause, its maintenance, more hosts silent than the storm limit,
    an incident of it within the window, or as many recoveries at work as `recovery/limit` or the HA nodes allow.
    """
    if "faults" not in trace.cluster.sources:
        return []
    story = Story(trace)
    return [
        violation
        for fault in trace.injected
        if fault.reach == FAILURE and fault.subject in trace.cluster.compute
        for violation in [*_late(story, fault), *_refused(story, fault)]
    ]


def _late(story: Story, failure: Injected) -> Iterator[Violation]:
    allowed_s = story.cluster.step_s
    for step in _steps(story, failure):
        until = step.began + timedelta(seconds=allowed_s)
        if until < (step.ended or story.trace.ended) and (others := _only_others(story, step, until)):
            words = f"it was not {step.words} within {allowed_s:g} s, and nothing had another fault but {others}"
            yield Violation("I12", until, step.host, words)


def _refused(story: Story, failure: Injected) -> Iterator[Violation]:
    incident = _incident_of(story, failure)
    for version in _asks(incident)[:1] if incident else []:
        gate, at = str(version.record.get("gate")), version.change.at
        step = Step(failure.subject, failure.at, "", failure.at, at)
        if gate not in LOOK_BACK and (others := _only_others(story, step, at)):
            words = f"it waits for the operator at {gate}, and nothing had another fault but {others}"
            yield Violation("I12", at, step.host, words)


def _steps(story: Story, failure: Injected) -> Iterator[Step]:
    host, began = failure.subject, failure.at
    flips = [row.at for row in story.keys.changes(compute_node(host, "status/failed")) if is_true(text_of(row))]
    incident = _incident_of(story, failure)
    moments: list[tuple[str, datetime | None]] = [
        ("set failed", next((at for at in flips if at >= began), None)),
        ("claimed", incident.opened if incident else None),
        *((words, _reached(incident, state)) for state, words in STATES.items()),
    ]
    for words, ended in moments:
        if ended is None and incident and (incident.ended() or _asks(incident)):
            return  # it ended before it came so far, or asks an operator, which is judged by itself
        yield Step(host, failure.at, words, began, ended, in_turn=words == "claimed")
        if ended is None:
            return
        began = ended


def _incident_of(story: Story, failure: Injected) -> Incident | None:
    return next((found for found in story.of(failure.subject) if found.opened >= failure.at), None)


def _reached(incident: Incident | None, state: str) -> datetime | None:
    """Return when it was seen to have come so far, or farther: two writes may be seen as one."""
    so_far = [*STATES][[*STATES].index(state) :]
    versions = incident.all_versions if incident else []
    return next((version.change.at for version in versions if version.state in so_far), None)


def _asks(incident: Incident) -> list[Version]:
    return [version for version in incident.versions if version.state == "needs-operator"]


# --- whose fault it can be


def _only_others(story: Story, step: Step, until: datetime) -> str:
    """Return the other hosts that had a fault in that time; empty where there are none, or not they alone."""
    long_ago = step.began - timedelta(seconds=story.cluster.bound_s)
    faults = [fault for fault in story.trace.injected if _in_force(story, fault, long_ago, until)]
    own = [fault for fault in faults if fault.subject == step.host and fault.reach == ALONE]
    if own or any(fault.reach == SHARED for fault in faults) or _explained(story, step, until):
        return ""
    single = {fault.subject for fault in faults if _in_force(story, fault, step.began, until)}
    return ", ".join(sorted(single - {step.host}))


def _in_force(story: Story, fault: Injected, began: datetime, until: datetime) -> bool:
    return fault.at <= until and (fault.ended or story.trace.ended) >= began


def _explained(story: Story, step: Step, until: datetime) -> bool:
    """True where what was recorded says why it may take longer than alone."""
    window = timedelta(seconds=story.keys.number("monitor/window", step.began))
    before = [found.ended() or until for found in story.of(step.host) if found.opened < step.failed]
    moments = [step.began, *(row.at for row in story.trace.kv if step.began < row.at <= until)]
    return (
        any(story.answers(step.host).during(step.began, until)[1:])
        or any(ended > step.failed - window for ended in before)
        or _too_many(story, step.failed - window, until)
        or any(_stopped(story, step.host, moment) for moment in moments)
        or (step.in_turn and any(_all_busy(story, moment) for moment in moments))
    )


def _too_many(story: Story, began: datetime, until: datetime) -> bool:
    silent = [name for name in story.cluster.compute if not all(story.answers(name).during(began, until))]
    return len(silent) > story.keys.storm_limit(until)


def _stopped(story: Story, host: str, moment: datetime) -> bool:
    maintenance = object_of(story.keys.value(compute_node(host, "config/maintenance"), moment))
    ends = moment_of(maintenance.get("until"))
    return story.keys.value(f"{ROOT}paused", moment) is not None or (ends is not None and moment < ends)


def _all_busy(story: Story, moment: datetime) -> bool:
    nodes = story.keys.registered(HA_NODES, moment)
    busy = [name for name in nodes if is_true(story.keys.value(ha_node(name, "status/in_use"), moment))]
    return len(busy) >= min(len(nodes), int(story.keys.number("recovery/limit", moment)))
