"""What a round of the soak is, as values: which faults strike whom, when, and for how long."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from soak.kinds import FAILURES, Kind

# The whole cloud: as many compute hosts as a storm needs to be told from two hosts that fail together.
HOSTS = tuple(f"compute-{number}" for number in range(1, 7))
HA_NODES = ("ha-1", "ha-2", "ha-3")
CONSUL_SERVERS = ("server-1", "server-2", "server-3")
# In place of an HA node: whichever drives the incident of the strike's host at that moment.
ITS_DRIVER = "its driver"


class Moment(enum.IntEnum):
    """When a strike is due: with the failure, or as soon as the host has come so far. In their order."""

    BEFORE = 0
    WITH = 1
    COUNTED = 2
    FAILED = 3
    CLAIMED = 4
    FENCING = 5
    FENCED = 6
    FORCED_DOWN = 7
    EVACUATING = 8
    SETTLED = 9


@dataclass(frozen=True)
class Strike:
    """One fault: it strikes `after_s` after `host` has come to the moment, and is mended `lasts_s` later.

    `target` is the machine that it strikes, where that is not the host itself. Without `lasts_s` it stays until the
    round's repair. `variant` says which of several ways.
    """

    kind: Kind
    host: str
    when: Moment
    after_s: float = 0.0
    lasts_s: float = 0.0
    target: str = ""
    variant: int = 0

    @property
    def victim(self) -> str:
        """The machine that it strikes."""
        return self.target or self.host

    def __str__(self) -> str:
        where = self.victim
        span = f" for {self.lasts_s:g} s" if self.lasts_s else ""
        delay = f"{self.after_s:g} s after " if self.after_s else ""
        return f"{self.kind.words} ({where}){span}, {delay}{self.host} {self.when.name.lower().replace('_', ' ')}"


@dataclass(frozen=True)
class ServerPlan:
    """A server on a host that will fail: its state in Nova, whether any host has room for it, how slow it spawns."""

    vm_state: str = "active"
    vast: bool = False
    slow_s: float = 0.0


@dataclass(frozen=True)
class Round:
    """One round. `servers` are those of each host that fails, beside its usual ones.

    `vouches`: where power cannot be cut or read, the operator pulls the plug and confirms, instead of mending the
    BMC first.
    """

    number: int
    strikes: tuple[Strike, ...]
    servers: tuple[ServerPlan, ...] = ()
    vouches: bool = False

    @property
    def failing(self) -> Sequence[str]:
        """The hosts that fail in it."""
        if self.has(Kind.ALL_SILENT):
            return HOSTS
        return tuple(dict.fromkeys(strike.victim for strike in self.strikes if strike.kind in FAILURES))

    def has(self, *kinds: Kind) -> bool:
        """True where one of these strikes in it."""
        return any(strike.kind in kinds for strike in self.strikes)
