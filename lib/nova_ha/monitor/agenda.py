"""What waits, and why: everything in the cluster that is due, or that needs somebody, one line each."""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from nova_ha.cluster.duty import Duty, Task, duties
from nova_ha.cluster.gate import Cause, Closed, Gate
from nova_ha.cluster.identity_gates import not_recorded
from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.reading import paused_words
from nova_ha.cluster.shared_gates import doubted_name, name_mending
from nova_ha.cluster.storage_word import HOW_TO_SAY, NOT_SHARED, how_to_share, storage_unsaid, unexpected_reports
from nova_ha.cluster.together import Together
from nova_ha.monitor.gates import gates
from nova_ha.monitor.look import Look
from nova_ha.monitor.storm import storm
from nova_ha.monitor.verdict import Hold, Keep, Verdict
from nova_ha.monitor.witnesses import testimonies

FINE = (Duty.DONE, Duty.WORKED_ON)
# A host that its witnesses have held for so long may be half dead: an operator should look.
HELD_FOR_S = 60
# The gates of the witnesses.
WITNESSES = (Gate.NOVA_REPORTS, Gate.AGENT_ALIVE)


class Urgency(enum.IntEnum):
    """How a check exits because of it."""

    FINE = 0
    WAITS = 1
    DUE = 2


@dataclass(frozen=True)
class Item:
    """One thing on the agenda. `node` is empty where it is about all; with `start` a recovery is to be started.

    A `standing` one is missing for a failure that is to come, and stands behind those of today.
    """

    node: str
    urgency: Urgency
    words: str
    start: bool = False
    standing: bool = False

    def __str__(self) -> str:
        return f"{self.node}: {self.words}" if self.node else self.words


def agenda(seen: Look, verdicts: Mapping[str, Verdict]) -> Sequence[Item]:
    """Return what is on, the most urgent first. `verdicts` are those of decide(seen)."""
    counted = storm(seen.view, seen.votes, seen.now)
    tasks = duties(seen.view, seen.now)
    items = [
        *_of_all(seen, verdicts),
        *(item for node, task in tasks.items() if (item := _of_task(seen, node, task, counted))),
        *_doubted(seen, tasks),
        *(_held(seen, node, verdict) for node, verdict in verdicts.items() if isinstance(verdict, Hold)),
        *(_unshared(name) for name in unexpected_reports(seen.view)),
        *(_nameless(node, cause) for node in seen.view.compute_nodes.values() if (cause := not_recorded(node))),
    ]
    return sorted(items, key=lambda item: (-item.urgency, item.standing, item.node))


def _of_all(seen: Look, verdicts: Mapping[str, Verdict]) -> Iterator[Item]:
    """What holds up all nodes alike is one line, not one for each."""
    if seen.view.policy_problems:
        yield Item("", Urgency.WAITS, f"no automatic action: {'; '.join(map(str, seen.view.policy_problems))}")
    for name in seen.view.ha_nodes:
        if problems := seen.view.problems_of(name):
            yield Item("", Urgency.WAITS, f"{name} is out of automatic action: {'; '.join(map(str, problems))}")
    if unsaid := storage_unsaid(seen.view):
        yield Item("", Urgency.WAITS, f"{unsaid}; {HOW_TO_SAY}")
    if bad := seen.view.semaphore_problem:
        yield Item("", Urgency.WAITS, f"no recovery is started: {bad}; when none runs, `consul kv delete {bad.key}`")
    if seen.view.paused:
        pause = seen.view.pause
        yield Item("", Urgency.WAITS, paused_words(pause.by if pause else "unknown"))
    blind = [(node, refusal) for node, refusal in _not_counted(verdicts) if refusal.gate is Gate.NO_QUORUM]
    yield from _let_nobody_in(seen)
    by_words: dict[str, list[str]] = defaultdict(list)
    for node, refusal in blind:
        by_words[refusal.why].append(node)
    for why, nodes in by_words.items():
        what = nodes[0] if len(nodes) == 1 else f"{len(nodes)} compute nodes from {nodes[0]} to {nodes[-1]}"
        yield Item("", Urgency.WAITS, f"no quorum about {what}: {why}")


def _let_nobody_in(seen: Look) -> Iterator[Item]:
    """A host that answers no lives, and is watched by that alone."""
    for name, node in seen.view.compute_nodes.items():
        votes = seen.votes.of(name)
        if not node.failed and not node.maintained(seen.now) and votes.lets_nobody_in(seen.view.quorum):
            yield Item(name, Urgency.WAITS, f"answers, but lets no observer in: {votes.in_words()}")


def _not_counted(verdicts: Mapping[str, Verdict]) -> Iterator[tuple[str, Closed]]:
    for node, verdict in verdicts.items():
        for refusal in verdict.closed if isinstance(verdict, Keep) else ():
            yield node, refusal


def _of_task(seen: Look, node: str, task: Task, counted: Together) -> Item | None:
    if task.duty is Duty.NOTHING:
        return None
    if not task.duty.due:
        return Item(node, Urgency.FINE if task.duty in FINE else Urgency.WAITS, task.words)
    readings = gates(seen.view, seen.votes, node, seen.now, counted)
    closed = [reading.closed for reading in readings if not reading.open and reading.gate.stops_a_recovery]
    if closed:
        return Item(node, Urgency.WAITS, f"{task.words}; waits, {'; '.join(map(str, closed))}")
    return Item(node, Urgency.WAITS if task.duty is Duty.TRY_AGAIN else Urgency.DUE, task.words, start=True)


def _nameless(node: ComputeNode, cause: Cause) -> Item:
    identity = node.bmc.identity if node.bmc else None
    what = f"{identity!r} is recorded, a placeholder" if cause is Cause.PLACEHOLDER else "none is recorded"
    words = (
        f"the identity of its BMC: {what}. It is not fenced without you: `nova-ha doctor --record`; "
        f"where its BMC shows none, `nova-ha node set {node.name} --bmc-identity none --why TEXT`"
    )
    return Item(node.name, Urgency.WAITS, words, standing=True)


def _unshared(node: str) -> Item:
    return Item(node, Urgency.WAITS, f"{NOT_SHARED}; {how_to_share(node)}", standing=True)


def _doubted(seen: Look, tasks: Mapping[str, Task]) -> Iterator[Item]:
    """Yield the nodes that could not be recovered if they failed, since Nova's name of them is not believed."""
    for name, node in seen.view.compute_nodes.items():
        said_already = tasks[name].duty in (Duty.WAITS_FOR_OPERATOR, Duty.UNREADABLE)
        if not said_already and (doubted := doubted_name(node)):
            yield Item(name, Urgency.WAITS, f"{doubted.closed}: {name_mending(node)}", standing=True)


def _held(seen: Look, node: str, verdict: Hold) -> Item:
    words = f"fails, but is held, {'; '.join(map(str, verdict.closed))}"
    witnessed = all(refusal.gate in WITNESSES for refusal in verdict.closed)
    since = [one.since for one in testimonies(seen.view, seen.view.compute_nodes[node]).values()]
    # The stamp is of another HA node's clock: where that differs it is told too early, or a minute too late.
    brief = witnessed and since and 0 <= (seen.now - min(since)).total_seconds() < HELD_FOR_S
    return Item(node, Urgency.FINE if brief else Urgency.WAITS, words)
