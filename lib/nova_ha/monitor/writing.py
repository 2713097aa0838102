"""Writes what was decided: counts together, each flip in a transaction of its own.

Runs may be late, doubled and simultaneous. Every write proves what it was decided from; what somebody else has
changed meanwhile is read and decided again.
"""

from __future__ import annotations

import logging
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from nova_ha.clock import Clock
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import MOST_BYTES
from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.reading import permits_of
from nova_ha.cluster.registry import still_registered, wake
from nova_ha.cluster.schema import (
    APPROVAL,
    FAILED,
    LEFT,
    LOCK,
    MAINTENANCE,
    NUMBER_FAILS,
    PAUSED,
    WAKE,
    open_incident,
)
from nova_ha.cluster.view import ClusterView, OpenIncident
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
# By whom a line of an incident's story is.
MONITOR = "monitor"


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
            _write(store, clock, look(store, clock), only, summary)
            _log_refusals(summary)
            return summary
        except Stale as stale:
            keys = stale.keys
            log.info("step=read-again keys=%s", stale)
    raise TryAgain(f"others kept changing {', '.join(sorted(keys))}", remedy="the next run goes on")


def _write(store: Store, clock: Clock, seen: Look, only: str | None, summary: Summary) -> None:
    """Write all that the look leads to. Raises Stale."""
    verdicts = decide(seen, only)
    summary.take_refusals(verdicts)
    summary.failing = [name for name in verdicts if _fails(seen, name)]
    _note_leaves(store, seen, verdicts)
    _count(store, clock, seen.view, changed(seen.view, verdicts), summary)
    wake_index = seen.wake_index
    for node, verdict in verdicts.items():
        if isinstance(verdict, Flip):
            wake_index = _flip(store, seen, seen.view.compute_nodes[node], verdict, wake_index)
            summary.flipped.append(node)


def _fails(seen: Look, name: str) -> bool:
    return not seen.view.compute_nodes[name].failed and seen.votes.of(name).fails


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


def _count(store: Store, clock: Clock, view: ClusterView, numbers: Mapping[str, int], summary: Summary) -> None:
    """Write the counts in as few transactions as they fit in. Raises Stale when any was refused."""
    at = clock.now()
    operations = {n: _count_operations(view, view.compute_nodes[n], number, at) for n, number in numbers.items()}
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


def _count_operations(view: ClusterView, node: ComputeNode, number: int, at: datetime) -> list[Operation]:
    opened = view.incidents.get(node.name)
    ends = (number == 0 and not _to_be_cut(view, node, at)) or _begins_anew(node, at)
    return [
        # First: where the count is the key that it looks at, the write below moves its index.
        *([] if node.index(NUMBER_FAILS) else [still_registered(node)]),
        cas(node.key(NUMBER_FAILS), str(number).encode(), node.index(NUMBER_FAILS)),
        # A node that was flipped meanwhile is not counted any more.
        unchanged(node.key(FAILED), node.index(FAILED)),
        # What goes on once it fails again begins without them.
        *([_approval_ended(node)] if ends else []),
        *(_grants_ended(node, opened, at) if ends and opened else []),
        # What waited because it answered goes on.
        *([wake()] if node.failed and number >= view.policy.monitor_fail_threshold else []),
    ]


def _to_be_cut(view: ClusterView, node: ComputeNode, at: datetime) -> bool:
    """True where an operator lets pass that a failed host answers, and it has failed for a moment only since then."""
    permits = permits_of(node, view.incident(node.name))
    briefly = node.failed and node.number_fails < view.policy.monitor_fail_threshold
    return briefly and any(permit.lets_pass(Gate.ANSWERS, at) for permit in permits)


def _begins_anew(node: ComputeNode, at: datetime) -> bool:
    """True where a failed host fails again that was well: what was granted meanwhile would serve this failure.

    Not where that lets a host pass that answers.
    """
    lets_pass = node.approval is not None and node.approval.lets_pass(Gate.ANSWERS, at)
    return node.counted_anew and node.number_fails == 0 and not lets_pass


def _grants_ended(node: ComputeNode, opened: OpenIncident, at: datetime) -> list[Operation]:
    """Return the operations that end what operators have granted in its open incident.

    A driver that works on it looks by itself; and so does whoever goes on where servers are listed.
    """
    incident = opened.incident
    if incident is None or node.lock_session or incident.servers:
        return []
    ended = incident.seen_alive()
    if ended == incident:
        return []
    told = ended.noting(at, MONITOR, "the observers have seen it well: what was granted for its failure has ended")
    key = open_incident(node.name)
    return [unchanged(node.key(LOCK), node.index(LOCK)), cas(key, told.to_kv(), opened.index)]


def _approval_ended(node: ComputeNode) -> Operation:
    """Return the operation that ends an approval with the failure that it was given for.

    Where there is none the count proves that it knows of none: one given meanwhile would serve the next failure.
    """
    key, index = node.key(APPROVAL), node.index(APPROVAL)
    return delete_cas(key, index) if index else unchanged(key, 0)


def _groups(operations: Mapping[str, Sequence[Operation]]) -> Iterator[list[str]]:
    group: list[str] = []
    size = written = 0
    for node, own in operations.items():
        bytes_more = sum(len(operation.value or b"") for operation in own)
        if size + len(own) > MAX_OPERATIONS or (group and written + bytes_more > MOST_BYTES):
            yield group
            group, size, written = [], 0, 0
        group.append(node)
        size += len(own)
        written += bytes_more
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
