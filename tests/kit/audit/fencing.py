"""I3, I4, I5: how many hosts are fenced, on whose word, and which never."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from kit.audit.effects import Effect, Story
from kit.audit.incidents import Incident
from kit.audit.keys import HA_NODES, compute_node, is_true, moment_of, object_of, text_of
from kit.audit.timeline import Timeline
from kit.audit.trace import Injected, Report, Trace
from kit.audit.violation import Violation


def storm(trace: Trace) -> list[Violation]:
    """I3: return every fence that was one too many for the window, and that no approval let pass."""
    story = Story(trace)
    fenced = [(incident, effect) for incident in story.incidents if (effect := _fence_of(story, incident))]
    found = []
    for incident, effect in fenced:
        together = {other.node for other, _ in fenced if _counts_for(story, other, incident)}
        limit = story.keys.storm_limit(incident.opened)
        if len(together) > limit and not story.approved("max-failed", incident, effect):
            words = f"it was fenced, with {len(together)} hosts together in the window, and {limit} are allowed"
            found.append(Violation("I3", effect.at, incident.node, f"{words}: {', '.join(sorted(together))}"))
    return [*found, *_without_incident(story)]


def _fence_of(story: Story, incident: Incident) -> Effect | None:
    """Return the first power-off of the incident."""
    ended = incident.ended() or story.trace.ended
    offs = story.effects_on(incident.node, "power-off")
    return next((effect for effect in offs if incident.opened <= effect.at <= ended), None)


def _counts_for(story: Story, other: Incident, incident: Incident) -> bool:
    """True where the other one had been opened before, and was open still, or opened within the window."""
    window = timedelta(seconds=story.keys.number("monitor/window", incident.opened))
    ended = other.ended()
    open_still = ended is None or ended >= incident.opened
    return other.index <= incident.index and (open_still or other.opened > incident.opened - window)


def _without_incident(story: Story) -> Iterator[Violation]:
    for effect in story.effects:
        open_then = story.incident_at(effect.host, effect.at) or story.incident_at(effect.host, effect.earliest)
        if effect.what == "power-off" and open_then is None:
            yield Violation("I3", effect.at, effect.host, "it was fenced without an incident: nobody counted it")


def quorum(trace: Trace) -> list[Violation]:
    """I4: return every fence without a quorum of observers, and every effect from a minority of the servers."""
    story = Story(trace)
    found = []
    for effect in story.effects:
        if effect.what == "power-off":
            found += [Violation("I4", effect.at, effect.host, words) for words in _unagreed(story, effect)]
        found += [Violation("I4", effect.at, effect.host, words) for words in _from_a_minority(story, effect)]
    return found


def _unagreed(story: Story, effect: Effect) -> Iterator[str]:
    key, reaction_s = compute_node(effect.host, "status/failed"), story.cluster.reaction_s
    failed = story.keys.may_have_been(key, effect.at, reaction_s)
    if not any(map(is_true, failed)):
        yield "its power was cut, and status/failed was not True"
    incident = story.incident_at(effect.host, effect.at)
    if "reports" not in story.cluster.sources or (incident and story.approved("answers", incident, effect)):
        return
    held = story.holding_at(effect.host, effect.at)
    since = (held.began if held else effect.at) - timedelta(seconds=reaction_s)
    most, needed = _most_agreeing(story, effect.host, since, effect.at), story.keys.quorum(effect.at)
    if most < needed:
        yield f"its power was cut, and {most} observers had reported it failing, {needed} are needed"


def _most_agreeing(story: Story, host: str, since: datetime, until: datetime) -> int:
    """Return how many registered observers that were alive reported the host failing at once, at most."""
    observers = story.keys.registered(HA_NODES, until)
    lines = {}
    for observer in observers:
        rows = [row for row in story.trace.reports if (row.observer, row.host) == (observer, host)]
        lines[observer] = Timeline(False, _votes(rows))
    moments = [row.since or row.at for row in story.trace.reports if row.host == host]
    looked = [since, *(moment for moment in moments if since < moment <= until)]
    return max(sum(line.at(moment) for line in lines.values()) for moment in looked)


def _votes(rows: list[Report]) -> Iterator[tuple[datetime, bool]]:
    """Yield whether each is a vote against the host, from the first moment at which it can have been there."""
    last = None
    for row in rows:
        against = row.alive and bool(row.streak)
        since = row.since if row.since and against else row.at
        yield max(since, last or since), against
        last = row.at


def _from_a_minority(story: Story, effect: Effect) -> Iterator[str]:
    sender = effect.sender or _holder(story, effect)
    delay = timedelta(seconds=story.keys.number("session/lock_delay", effect.at))
    for fault in story.trace.injected:
        over = fault.ended or story.trace.ended
        if fault.fault == "partition" and fault.at + delay < effect.at <= over and not _may_decide(fault, sender):
            yield f"{effect.what} was sent by {sender}, cut off from most Consul servers: {fault.subject}"


def _holder(story: Story, effect: Effect) -> str:
    held = story.holding_at(effect.host, effect.at)
    return held.node if held else ""


def _may_decide(fault: Injected, sender: str) -> bool:
    """True where the sender is on a side with most of the servers, or on none that is named."""
    sides = [side.split() for side in fault.subject.split("|")]
    servers = {name for side in sides for name in side if name.startswith("server")}
    mine = [side for side in sides if sender in side]
    return not mine or any(len(servers & set(side)) > len(servers) / 2 for side in mine)


def never_fenced(trace: Trace) -> list[Violation]:
    """I5: return every fence of a host in maintenance, that answers, or that its own handler runs on."""
    story = Story(trace)
    offs = [effect for effect in story.effects if effect.what == "power-off"]
    return [Violation("I5", effect.at, effect.host, words) for effect in offs for words in _spared(story, effect)]


def _spared(story: Story, effect: Effect) -> Iterator[str]:
    incident = story.incident_at(effect.host, effect.at)
    checks = {"maintenance": _maintained, "answers": _answered, "own-host": _own}
    for gate, why in checks.items():
        approved = incident is not None and story.approved(gate, incident, effect)
        if not approved and (words := why(story, effect)):
            yield f"its power was cut, {words}, and no approval named {gate}"


def _maintained(story: Story, effect: Effect) -> str:
    """Only where each version says so that a driver may have seen, who looked a while ago or just now."""
    known = effect.at - timedelta(seconds=story.cluster.reaction_s)
    changes = story.keys.changes(compute_node(effect.host, "config/maintenance"))
    before = [change for change in changes if change.at <= known][-1:]
    seen = [*before, *(change for change in changes if change.at > known and change.earliest <= effect.at)]
    ends = [moment_of(object_of(text_of(change)).get("until")) for change in seen]
    lasting = [until for until in ends if until is not None and effect.at < until]
    if not before or len(lasting) < len(seen):
        return ""
    return f"in a maintenance until {lasting[-1]:%Y-%m-%d %H:%M:%S}"


def _answered(story: Story, effect: Effect) -> str:
    held = story.holding_at(effect.host, effect.at)
    looked = (held.began if held else effect.at) - timedelta(seconds=story.cluster.reaction_s)
    answers = story.answers(effect.host)
    since = answers.since(effect.at)
    if "answering" in story.cluster.sources and answers.at(effect.at) and (since is None or since < looked):
        return "though it answered before the claim"
    return ""


def _own(story: Story, effect: Effect) -> str:
    sender = effect.sender or _holder(story, effect)
    own = story.cluster.own_hosts.get(sender, sender)
    return f"by {sender}, which runs on it" if sender and own == effect.host else ""
