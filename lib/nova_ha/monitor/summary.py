"""What a run of the monitor did, or would do: for the log, for people and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nova_ha.cluster.gate import Closed
from nova_ha.cluster.view import ClusterView
from nova_ha.monitor.verdict import Count, Flip, Hold, Keep, Verdict


@dataclass
class Summary:
    """Counts written, nodes flipped, and what was held back or not counted, and by which gates.

    `held` and `not_counted` are as the last look found them.
    """

    counted: dict[str, int] = field(default_factory=dict)
    flipped: list[str] = field(default_factory=list)
    held: dict[str, tuple[Closed, ...]] = field(default_factory=dict)
    not_counted: dict[str, tuple[Closed, ...]] = field(default_factory=dict)
    # Whom any observer sees fail, and who is not set failed: to be watched.
    failing: list[str] = field(default_factory=list, compare=False)

    @classmethod
    def of(cls, view: ClusterView, verdicts: Mapping[str, Verdict]) -> Summary:
        """Return what would be written."""
        summary = cls(dict(changed(view, verdicts)), [n for n, v in verdicts.items() if isinstance(v, Flip)])
        summary.take_refusals(verdicts)
        return summary

    def take_refusals(self, verdicts: Mapping[str, Verdict]) -> None:
        """Take over what these verdicts hold back."""
        self.held = {node: v.closed for node, v in verdicts.items() if isinstance(v, Hold)}
        self.not_counted = {node: v.closed for node, v in verdicts.items() if isinstance(v, Keep) and v.closed}

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "counted": self.counted,
            "flipped": self.flipped,
            "held": {node: _gates(closed) for node, closed in self.held.items()},
            "not_counted": {node: _gates(closed) for node, closed in self.not_counted.items()},
        }

    def in_words(self) -> list[str]:
        """Return a line for each node that something was decided about."""
        lines = [f"{node}: number_fails is {number}" for node, number in self.counted.items()]
        lines += [f"{node}: status/failed is True" for node in self.flipped]
        lines += [f"{node}: held, {_words(closed)}" for node, closed in self.held.items()]
        lines += [f"{node}: not counted, {_words(closed)}" for node, closed in self.not_counted.items()]
        return lines or ["nothing changes"]


def changed(view: ClusterView, verdicts: Mapping[str, Verdict]) -> dict[str, int]:
    """Return the counts that differ from what is written; a flip writes its own."""
    return {
        node: verdict.number
        for node, verdict in verdicts.items()
        if isinstance(verdict, Count | Hold) and verdict.number != view.compute_nodes[node].number_fails
    }


def _words(closed: tuple[Closed, ...]) -> str:
    return "; ".join(map(str, closed))


def _gates(closed: tuple[Closed, ...]) -> list[dict[str, str]]:
    return [{"gate": refusal.gate.value, "why": refusal.why} for refusal in closed]
