"""I2: at most one driver acts on a host per holding of its lock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from kit.audit.effects import Effect, Story
from kit.audit.incidents import WORKING
from kit.audit.keys import Holding
from kit.audit.trace import Trace
from kit.audit.violation import Violation

# What is done to a host and its servers, and must be done by whoever holds the host's lock.
UNDER_THE_LOCK = (
    "power-off",
    "power-on",
    "force-down",
    "unforce",
    "disable",
    "enable",
    "evacuate",
    "os-resetState",
    "os-stop",
)


def one_driver(trace: Trace) -> list[Violation]:
    """Return every effect that was sent without the lock, and every holding that was not one."""
    story = Story(trace)
    found = [
        violation
        for host in (*trace.cluster.compute, *trace.cluster.ha_nodes)
        for violation in _holdings(story, host)
    ]
    found += [violation for host in trace.cluster.compute for violation in _tokens(story, host)]
    for effect in story.effects:
        if effect.host and effect.what in UNDER_THE_LOCK:
            found += [Violation("I2", effect.at, effect.host, words) for words in _unlocked(story, effect)]
    return found


def _holdings(story: Story, host: str) -> Iterator[Violation]:
    """A holding keeps its LockIndex, and a lock that was deleted begins at 1."""
    for held in story.holdings(host):
        if len(set(held.lock_indexes)) > 1:
            yield Violation(
                "I2",
                held.sure,
                host,
                f"LockIndex went {_row(held.lock_indexes)} while session {held.session} held it",
            )
        elif held.lock_indexes[0] > 1:
            index = held.lock_indexes[0]
            words = f"session {held.session} took a lock that was let go and not deleted, LockIndex {index}"
            yield Violation("I2", held.sure, host, words)


def _row(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, dict.fromkeys(numbers)))


def _unlocked(story: Story, effect: Effect) -> Iterator[str]:
    """Return why nobody may have sent this: no session held the lock, or another node's did."""
    held = story.holding_at(effect.host, effect.at)
    if held is None:
        yield f"{effect.what} was sent, and nobody had ever held its lock"
        return
    delay = timedelta(seconds=story.keys.number("session/lock_delay", effect.at))
    if held.ended and effect.earliest > held.ended + delay:
        late_s = (effect.at - held.ended).total_seconds()
        yield f"{effect.what} was sent {late_s:.1f} s after its lock was let go, past the lock delay"
    holders = _may_hold(story, effect)
    if effect.sender and effect.sender not in {holder.node for holder in holders} and all(h.node for h in holders):
        names = " or ".join(sorted({holder.node for holder in holders}))
        yield f"{effect.what} was sent by {effect.sender}, while {names} held its lock"


def _may_hold(story: Story, effect: Effect) -> list[Holding]:
    """Return the holding at the effect's moment, and the one before where the next may not have begun yet."""
    begun = [held for held in story.holdings(effect.host) if held.began <= effect.at]
    unsure = [held for held in begun if held.sure > effect.at]
    return begun[-1 - len(unsure) :]


def _tokens(story: Story, host: str) -> Iterator[Violation]:
    """Whoever holds the lock is whom the incident names as its driver's session."""
    holdings = story.holdings(host)
    for incident in story.of(host):
        for version in incident.versions:
            change, session = version.change, str(version.record.get("session", ""))
            if version.state not in WORKING or not session:
                continue
            inside = [
                held for held in holdings if held.sure <= change.at and (held.ended is None or change.at < held.ended)
            ]
            # Keys that changed at one index were seen one after the other: the same moment is no later one.
            strange = [h for h in inside if h.session != session and h.sure < change.earliest and not _commands(h)]
            for held in strange:
                words = f"its incident was written for session {session}, while session {held.session} held its lock"
                yield Violation("I2", change.at, host, words)


def _commands(held: Holding) -> bool:
    return held.name.startswith("nova-ha reset")
