"""The loop that the recovery is compared with."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from nova_ha.compute import Migration, ServerID
from nova_ha.compute.states import MigrationStatus

from bench.evacuation import PACES, PlainLoop

PACE = PACES[0]


@dataclass
class FakeNova:
    """Evacuates `speed` servers for each time that it is asked how far it is."""

    speed: int
    asked: list[str] = field(default_factory=list)
    arrived: int = 0
    most_open: int = 0

    def evacuate(self, server: ServerID, target: str) -> None:
        assert target == PACE.target
        self.asked.append(server)
        self.most_open = max(self.most_open, len(self.asked) - self.arrived)

    def evacuations(self, host: str) -> list[Migration]:
        self.arrived = min(len(self.asked), self.arrived + self.speed)
        status = [MigrationStatus.DONE] * self.arrived + [MigrationStatus.ACCEPTED] * len(self.asked)
        now = datetime.now(UTC)
        return [
            Migration(server, ServerID(server), state, host, PACE.target, now)
            for server, state in zip(self.asked, status, strict=False)
        ]


def test_the_plain_loop_asks_once_for_each_server_and_keeps_the_concurrency() -> None:
    servers = [f"server-{number}" for number in range(12)]
    nova = FakeNova(speed=2)
    loop = PlainLoop(cast(Any, nova), PACE, servers)
    turns = 1
    while not loop.turn():
        turns += 1
        assert turns < 50
    assert nova.asked == servers
    assert nova.most_open == 5
    assert nova.arrived == 12
