"""What a soak has done, in numbers, and the table of them at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import Incident, IncidentState, ServerState

from soak.kinds import Kind

WIDTH = 42


@dataclass
class Summary:
    """Counts as the soak goes on. A fault counts when it struck something; one that came too late is missed."""

    seed: str
    rounds: int = 0
    struck: Counter[Kind] = field(default_factory=Counter)
    missed: int = 0
    recoveries: int = 0
    taken_over: int = 0
    refusals: Counter[Gate] = field(default_factory=Counter)
    false_alarms: int = 0
    servers_moved: int = 0
    servers_left: int = 0
    violations: int = 0

    def count(self, incident: Incident) -> None:
        """Count an incident that has ended."""
        if incident.state is not IncidentState.FINISHED:
            return
        self.recoveries += 1
        self.taken_over += any(step.what.startswith("taken over from") for step in incident.steps)
        moved = sum(progress.state is ServerState.EVACUATED for progress in incident.servers.values())
        self.servers_moved += moved
        self.servers_left += len(incident.servers) - moved

    def table(self, minutes: float) -> str:
        """Return the summary."""
        return "\n".join(f"{what:<{WIDTH}} {value}" for what, value in self._rows(minutes))

    def _rows(self, minutes: float) -> Iterator[tuple[str, object]]:
        yield "seed", self.seed
        yield "minutes", f"{minutes:.1f}"
        yield "rounds", self.rounds
        yield "faults injected", sum(self.struck.values())
        yield from ((f"  {kind.words}", count) for kind, count in sorted(self.struck.items(), key=_most))
        yield "drawn, but nothing left to strike", self.missed
        yield "recoveries completed", self.recoveries
        yield "  gone on after a driver was lost", self.taken_over
        yield "healthy hosts taken for failed, unharmed", self.false_alarms
        yield "refusals", sum(self.refusals.values())
        yield from ((f"  {gate.value}", count) for gate, count in sorted(self.refusals.items(), key=_most))
        yield "servers moved", self.servers_moved
        yield "servers reported, not moved", self.servers_left
        yield "violations", self.violations


def _most(item: tuple[Kind | Gate, int]) -> tuple[int, str]:
    return -item[1], item[0].name
