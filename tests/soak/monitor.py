"""Somebody who looks all the time: tells what has changed, counts refusals, and sees that each has a cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nova_ha.cluster.gate import Gate
from nova_ha.errors import ConsulError

from soak.audit import Violation
from soak.cloud import SoakCloud
from soak.explained import Incidents, explains
from soak.kinds import Kind
from soak.operator import ALLOWED_CODES, Command
from soak.plan import Round
from soak.scene import Scene, Seen
from soak.schedule import Schedule
from soak.site import Site
from soak.story import Story
from soak.summary import Summary


class Monitor:
    """Looks at the cloud during one round. `seen` is how each host stood when Consul last answered."""

    def __init__(
        self,
        drawn: Round,
        cloud: SoakCloud,
        site: Site,
        schedule: Schedule,
        incidents: Incidents,
        story: Story,
        summary: Summary,
    ) -> None:
        self.scene = Scene()
        self._drawn, self._cloud, self._site, self._schedule = drawn, cloud, site, schedule
        self._incidents, self._story, self._summary = incidents, story, summary
        self._told: dict[str, str] = {}
        self._refused: set[tuple[str, Gate]] = set()

    @property
    def seen(self) -> Mapping[str, Seen]:
        """Return how each host stands."""
        return self._site.seen

    @property
    def concerned(self) -> Sequence[str]:
        """Return the hosts that have failed, and those that were taken for failed."""
        alarmed = {name for name, seen in self.seen.items() if seen.node.failed or seen.incident is not None}
        return sorted(self._schedule.failed | alarmed)

    def begin(self) -> bool:
        """Forget what was before, and begin to record. Raises ConsulError."""
        try:
            self.scene.begin(self._cloud.looking())
            self._cloud.begin_recording()
        except ConsulError:
            self._cloud.look_elsewhere()
            raise
        return self.look()

    def look(self) -> bool:
        """Look, and return whether Consul answered; else what was seen last stays."""
        try:
            self._site.seen = self.scene.look(self._cloud.looking())
        except ConsulError:
            self._cloud.look_elsewhere()
            return False
        self._schedule.reach({name: seen.moment for name, seen in self.seen.items()})
        self._incidents.note(name for name, seen in self.seen.items() if seen.incident is not None)
        for name, seen in self.seen.items():
            self._tell(name, seen)
            if seen.refused_by is not None:
                self._take_note(name, seen.refused_by, asks=seen.asks_at is not None)
        return True

    def hear(self, commands: Sequence[Command]) -> None:
        """Take note of commands that have ended. Raises Violation."""
        killed = self._drawn.has(Kind.DRIVER_KILLED, Kind.HA_NODE_DEAD)
        for command in commands:
            self._story.tell(f"$ {command}: {command.code} {command.last_line[:150]}")
            if command.code not in ALLOWED_CODES and not (killed and command.code == -9):
                raise Violation(f"{command} exited {command.code}: {command.output[-2000:]}")

    def standing(self) -> str:
        """Return how the concerned hosts stand, in a line."""
        return "; ".join(f"{name}: {self.seen[name].in_words()}" for name in self.concerned)

    def _tell(self, name: str, seen: Seen) -> None:
        words = seen.in_words()
        if words != self._told.get(name, "watched"):
            self._story.tell(f"{name}: {words}")
        self._told[name] = words

    def _take_note(self, name: str, gate: Gate, *, asks: bool) -> None:
        """Count a refusal. Raises Violation where nothing explains it."""
        if (name, gate) not in self._refused:
            self._refused.add((name, gate))
            self._summary.refusals[gate] += 1
        failed = self._schedule.failed
        together = failed | set(self._incidents.lately()) | set(self._schedule.living)
        if asks and not explains(self._drawn, gate, failed=name in failed, together=together):
            raise Violation(f"{name} waits at {gate.value}, which nothing in this round explains")
