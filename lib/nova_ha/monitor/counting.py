"""Writes what was decided: counts together, each flip in a transaction of its own.

Runs may be late, doubled and simultaneous. Every write proves what it was decided from; what somebody else has
changed meanwhile is read and decided again.
"""

from __future__ import annotations

import logging
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from nova_ha.clock import Clock
from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.registry import still_registered
from nova_ha.cluster.schema import APPROVAL, FAILED, LEFT, MAINTENANCE, NUMBER_FAILS, PAUSED, WAKE, open_incident
from nova_ha.cluster.view import ClusterView
from nova_ha.consul.store import Store
from nova_ha.consul.transaction import Operation, Rejected, cas, delete_cas, unchanged
from nova_ha.consul.values import MAX_OPERATIONS, flag_to
from nova_ha.errors import TryAgain
from nova_ha.monitor.leave import leaves_noted
from nova_ha.monitor.look import Look, decide, look
from nova_ha.monitor.summary import Summary, changed
from nova_ha.monitor.verdict import Flip, Verdict

log = logging.getLogger(__name__)

ROUNDS = 8


class Stale(Exception):
    """Somebody else has changed what was decided from: these keys."""

    def __init__(self, keys: frozenset[str]) -> None:
        self.keys = keys
        super().__init__(", ".join(sorted(keys)))


def count_failures(store: Store, clock: Clock, only: str | None = None) -> Summary:
    """Bring `number_fails` and `status/failed` up to date, of all nodes or of one.

    Writes nothing where nothing changes. Raises ConsulError, OutcomeUnknown (run it again: it looks), and
    TryAgain when others kept changing the state under it.
    """
    summary = Summary()
    keys: frozenset[str] = frozenset()
    for _ in range(ROUNDS):
        try:
            _write(store, look(store, clock), only, summary)
            _log_refusals(summary)
            return summary
        except Stale as stale:
            keys = stale.keys
            log.info("step=read-again keys=%s", stale)
    raise TryAgain(f"others kept changing {', '.join(sorted(keys))}", remedy="the next run goes on")


def _write(store: Store, seen: Look, only: str | None, summary: Summary) -> None:
    """Write all that the look leads to. Raises Stale."""
    verdicts = decide(seen, only)
    summary.take_refusals(verdicts)
    _note_leaves(store, seen, verdicts)
    _count(store, seen.view, changed(seen.view, verdicts), summary)
    wake_index = seen.wake_index
    for node, verdict in verdicts.items():
        if isinstance(verdict, Flip):
            wake_index = _flip(store, seen, seen.view.compute_nodes[node], verdict, wake_index)
            summary.flipped.append(node)


def _note_leaves(store: Store, seen: Look, verdicts: Mapping[str, Verdict]) -> None:
    """Write who has left, before anything is flipped. Raises Stale."""
    noted = leaves_noted(seen, verdicts)
    nodes = seen.view.compute_nodes
    for group in _groups({name: [still_registered(nodes[name]), *own] for name, own in noted.items()}):
        outcome = store.commit([o for name in group for o in (still_registered(nodes[name]), *noted[name])])
        if isinstance(outcome, Rejected):
            raise Stale(outcome.keys)
        for name in group:
            log.info("host=%s step=leave its agent has left: %s", name, noted[name][0].verb == "cas")


def _count(store: Store, view: ClusterView, numbers: Mapping[str, int], summary: Summary) -> None:
    """Write the counts in as few transactions as they fit in. Raises Stale when any was refused."""
    operations = {node: _count_operations(view.compute_nodes[node], number) for node, number in numbers.items()}
    for group in _groups(operations):
        stale: frozenset[str] = frozenset()
        while group:
            outcome = store.commit([operation for node in group for operation in operations[node]])
            if not isinstance(outcome, Rejected):
                summary.counted.update({node: numbers[node] for node in group})
                _log_counts(view, numbers, group)
                break
            stale |= outcome.keys
            group = [node for node in group if not stale.intersection(o.key for o in operations[node])]
        if stale:
            raise Stale(stale)


def _count_operations(node: ComputeNode, number: int) -> list[Operation]:
    return [
        # First: where the count is the key that it looks at, the write below moves its index.
        *([] if node.index(NUMBER_FAILS) else [still_registered(node)]),
        cas(node.key(NUMBER_FAILS), str(number).encode(), node.index(NUMBER_FAILS)),
        # A node that was flipped meanwhile is not counted any more.
        unchanged(node.key(FAILED), node.index(FAILED)),
        *([] if number else [_approval_ended(node)]),
    ]


def _approval_ended(node: ComputeNode) -> Operation:
    """Return the operation that ends an approval with the failure that it was given for.

    Where there is none the count proves that it knows of none: one given meanwhile would serve the next failure.
    """
    key, index = node.key(APPROVAL), node.index(APPROVAL)
    return delete_cas(key, index) if index else unchanged(key, 0)


def _groups(operations: Mapping[str, Sequence[Operation]]) -> Iterator[list[str]]:
    group: list[str] = []
    size = 0
    for node, own in operations.items():
        if size + len(own) > MAX_OPERATIONS:
            yield group
            group, size = [], 0
        group.append(node)
        size += len(own)
    if group:
        yield group


def _flip(store: Store, seen: Look, node: ComputeNode, verdict: Flip, wake_index: int) -> int:
    """Set `status/failed` in a transaction of its own, and return the new index of `wake`. Raises Stale."""
    proven = [MAINTENANCE, LEFT, *([APPROVAL] if verdict.approved else [])]
    outcome = store.commit(
        [
            still_registered(node),
            cas(node.key(NUMBER_FAILS), str(verdict.number).encode(), node.index(NUMBER_FAILS)),
            cas(node.key(FAILED), flag_to(True), node.index(FAILED)),
            *(unchanged(node.key(leaf), node.index(leaf)) for leaf in proven),
            unchanged(PAUSED, seen.view.pause_index),
            unchanged(open_incident(node.name), 0),
            cas(WAKE, str(uuid.uuid4()).encode(), wake_index),
        ]
    )
    if isinstance(outcome, Rejected):
        raise Stale(outcome.keys)
    votes = seen.votes.of(node.name).in_words()
    approved = "".join(
        f" approved_by={reading.approved_by} gate={reading.gate.value}" for reading in verdict.approved
    )
    log.warning("host=%s step=flip number_fails=%d%s votes=%r", node.name, verdict.number, approved, votes)
    return outcome.indexes[WAKE]


def _log_counts(view: ClusterView, numbers: Mapping[str, int], nodes: Sequence[str]) -> None:
    for node in nodes:
        was = view.compute_nodes[node].number_fails
        log.info("host=%s step=count number_fails=%d was=%d", node, numbers[node], was)


def _log_refusals(summary: Summary) -> None:
    """Log each node that is held; whoever is not counted, mostly all for one reason, in a line for each gate."""
    for node, closed in summary.held.items():
        log.warning("host=%s step=hold %s", node, " ".join(f"gate={c.gate.value} why={c.why!r}" for c in closed))
    kept: dict[str, list[str]] = defaultdict(list)
    for node, closed in summary.not_counted.items():
        for refusal in closed:
            kept[refusal.gate.value].append(f"{node} ({refusal.why})")
    for gate, nodes in kept.items():
        log.warning("step=not-counted gate=%s hosts=%d first=%r", gate, len(nodes), nodes[0])
