"""Whose turn it is: the nodes that are due, those first about which something can be done."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from nova_ha.cluster.duty import Duty, Task, duties
from nova_ha.cluster.view import ClusterView
from nova_ha.limits import BMC_READING_S
from nova_ha.power import PowerState
from nova_ha.recovery.driver_clients import DriverClients
from nova_ha.recovery.ranks import rank

# What nobody has claimed yet comes first, what only may have become possible last.
ORDER = (Duty.CLAIM, Duty.RESUME, Duty.TRY_AGAIN)
# Each reading is a process for as long as it takes.
READINGS_AT_ONCE = 32


class Queue:
    """The turns of one pass over what is due; `only` limits it to these nodes.

    Each node has one turn, and another one only if it has become more urgent since, as when an operator lets its gate
    pass. Who was put back has it after all others of the same duty.
    """

    def __init__(self, clients: DriverClients, only: Sequence[str] = ()) -> None:
        self._clients = clients
        self._only = only
        self._due: dict[str, Task] = {}
        self._since: dict[str, float] = {}
        self._taken: dict[str, Duty] = {}
        self._put_back: set[str] = set()
        self._not_taken: dict[str, frozenset[str]] = {}

    def waiting(self, view: ClusterView) -> Sequence[str]:
        """Return who waits for a turn, in order."""
        self._due = self._waiting(view)
        for node in self._due:
            self._since.setdefault(node, self._clients.clock.monotonic())
        return list(self._due)

    def take(self, node: str) -> None:
        """Note that the node had its turn, for what was due when it was last asked who waits.

        By now, as after the end of an approval, the same view may say that nothing was due.
        """
        self._taken[node] = self._due[node].duty

    def is_claim(self, node: str) -> bool:
        """True where the node waits to be claimed for the first time."""
        return self._due[node].duty is Duty.CLAIM

    def due_since(self, node: str) -> float:
        """Return when this pass first saw that the node is due, by the monotonic clock."""
        return self._since[node]

    def put_back(self, node: str) -> None:
        """Note that nothing can be done about the node yet."""
        self._put_back.add(node)

    def claims_beside(self, view: ClusterView, node: str) -> Sequence[str]:
        """Return the others that can be claimed now, as far as is known."""
        tasks = self._waiting(view)
        return [n for n in tasks if tasks[n].duty is Duty.CLAIM and n != node and n not in self._put_back]

    def note_not_taken(self, view: ClusterView, ha_nodes: frozenset[str]) -> None:
        """Note that these HA nodes have taken nothing of what is due; what becomes due later they may take."""
        for node in due_tasks(view, self._clients):
            self._not_taken[node] = self.not_taken_by(node) | ha_nodes

    def not_taken_by(self, node: str) -> frozenset[str]:
        """Return the HA nodes that the node was left to in this pass, or others with it, and that took none."""
        return self._not_taken.get(node, frozenset())

    def put_back_without_bmc(self, view: ClusterView, others: Sequence[str]) -> None:
        """Put back those whose BMC does not answer, all asked at once.

        What takes the power takes it from many hosts and their BMCs: one look after the other would be minutes.
        """
        with ThreadPoolExecutor(READINGS_AT_ONCE) as pool:
            answers = list(pool.map(lambda other: self._bmc_answers(view, other), others))
        self._put_back |= {other for other, answered in zip(others, answers, strict=True) if not answered}

    def _bmc_answers(self, view: ClusterView, node: str) -> bool:
        device = view.compute_nodes[node].bmc
        return device is None or self._clients.bmc(device).power(BMC_READING_S).state is not PowerState.UNKNOWN

    def _waiting(self, view: ClusterView) -> dict[str, Task]:
        tasks = {n: task for n, task in due_tasks(view, self._clients).items() if not self._only or n in self._only}
        fresh = [n for n, task in tasks.items() if n not in self._taken or _rank(task.duty) < _rank(self._taken[n])]
        return {n: tasks[n] for n in sorted(fresh, key=lambda n: self._place(view, tasks[n].duty, n))}

    def _place(self, view: ClusterView, duty: Duty, node: str) -> tuple[int, bool, int]:
        """Return where it stands in the queue: of what nobody has claimed, what others look at first comes last."""
        before = rank(view, self._clients.me, view.compute_nodes[node]) if duty is Duty.CLAIM else 0
        return _rank(duty), node in self._put_back, before


def due_tasks(view: ClusterView, clients: DriverClients) -> dict[str, Task]:
    """Return what is due, by the node's name, in the order in which it is done."""
    due = {node: task for node, task in duties(view, clients.clock.now()).items() if task.duty.due}
    return dict(sorted(due.items(), key=lambda item: _rank(item[1].duty)))


def _rank(duty: Duty) -> int:
    return ORDER.index(duty)
