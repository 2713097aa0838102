"""What waits, and why: everything in the cluster that is due, or that needs somebody, one line each."""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from nova_ha.cluster.duty import Duty, Task, duties
from nova_ha.cluster.gate import Closed, Gate
from nova_ha.cluster.reading import paused_words
from nova_ha.cluster.together import Together
from nova_ha.monitor.gates import gates
from nova_ha.monitor.look import Look
from nova_ha.monitor.storm import storm
from nova_ha.monitor.verdict import Hold, Keep, Verdict

FINE = (Duty.DONE, Duty.WORKED_ON)


class Urgency(enum.IntEnum):
    """How a check exits because of it."""

    FINE = 0
    WAITS = 1
    DUE = 2


@dataclass(frozen=True)
class Item:
    """One thing on the agenda. `node` is empty where it is about all; with `start` a recovery is to be started."""

    node: str
    urgency: Urgency
    words: str
    start: bool = False

    def __str__(self) -> str:
        return f"{self.node}: {self.words}" if self.node else self.words


def agenda(seen: Look, verdicts: Mapping[str, Verdict]) -> Sequence[Item]:
    """Return what is on, the most urgent first. `verdicts` are those of decide(seen)."""
    counted = storm(seen.view, seen.votes, seen.now)
    tasks = duties(seen.view, seen.now)
    items = [
        *_of_all(seen, verdicts),
        *(item for node, task in tasks.items() if (item := _of_task(seen, node, task, counted))),
        *(_held(node, verdict) for node, verdict in verdicts.items() if isinstance(verdict, Hold)),
    ]
    return sorted(items, key=lambda item: (-item.urgency, item.node))


def _of_all(seen: Look, verdicts: Mapping[str, Verdict]) -> Iterator[Item]:
    """What holds up all nodes alike is one line, not one for each."""
    if seen.view.policy_problems:
        yield Item("", Urgency.WAITS, f"no automatic action: {'; '.join(map(str, seen.view.policy_problems))}")
    for name in seen.view.ha_nodes:
        if problems := seen.view.problems_of(name):
            yield Item("", Urgency.WAITS, f"{name} is out of automatic action: {'; '.join(map(str, problems))}")
    if bad := seen.view.semaphore_problem:
        yield Item("", Urgency.WAITS, f"no recovery is started: {bad}; when none runs, `consul kv delete {bad.key}`")
    if seen.view.paused:
        pause = seen.view.pause
        yield Item("", Urgency.WAITS, paused_words(pause.by if pause else "unknown"))
    blind = [(node, refusal) for node, refusal in _not_counted(verdicts) if refusal.gate is Gate.NO_QUORUM]
    by_words: dict[str, list[str]] = defaultdict(list)
    for node, refusal in blind:
        by_words[refusal.why].append(node)
    for why, nodes in by_words.items():
        what = nodes[0] if len(nodes) == 1 else f"{len(nodes)} compute nodes from {nodes[0]} to {nodes[-1]}"
        yield Item("", Urgency.WAITS, f"no quorum about {what}: {why}")


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


def _held(node: str, verdict: Hold) -> Item:
    return Item(node, Urgency.WAITS, f"fails, but is held, {'; '.join(map(str, verdict.closed))}")
