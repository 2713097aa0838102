"""What a driver works with, and the ways in which its work ends early."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field

from nova_ha.clock import Clock
from nova_ha.cluster.gate import Closed, Gate
from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.reading import GateReading, in_words
from nova_ha.compute import Compute
from nova_ha.consul.store import Store
from nova_ha.errors import HAError, TryAgain
from nova_ha.power import BMC
from nova_ha.power.device import FenceDevice
from nova_ha.recovery.silence import Heard


class Answer(enum.Enum):
    """Whether a host answers SSH, as seen from here."""

    ANSWERS = "answers"
    SILENT = "silent"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Sight:
    """One look at a host's SSH port, with what was met.

    `connected` says that the connection was taken, though nothing may have come over it: a kernel runs there.
    """

    answer: Answer
    why: str
    connected: bool = False

    @property
    def alive(self) -> bool:
        """True where a kernel runs there. A hung host is fenced all the same; one that is off takes no connection."""
        return self.connected or self.answer is Answer.ANSWERS

    def in_words(self) -> str:
        """Return what was met, for a host that is alive."""
        how = "answers SSH" if self.answer is Answer.ANSWERS else "takes connections on its SSH port"
        return f"{how} ({self.why})"


@dataclass
class DriverClients:
    """The clients of one driver. `compute()` connects at its first call and raises NovaError or ConfigError.

    `bmc` connects to a fence device, and sends nothing yet. `stopping` becomes True when the process was asked to
    end (SIGTERM). `heard` is what this process has read of all nova-computes, oldest first: whoever has read before
    hands it in.
    """

    store: Store
    clock: Clock
    me: str
    compute: Callable[[], Compute]
    bmc: Callable[[FenceDevice], BMC]
    sight: Callable[[ComputeNode, float], Sight]
    stopping: Callable[[], bool] = field(default=lambda: False)
    heard: list[Heard] = field(default_factory=list)


class NeedsOperator(HAError):
    """The recovery cannot prove what it needs to, and asks the operator."""

    def __init__(self, gate: Gate, why: str) -> None:
        self.closed = Closed(gate, why)
        super().__init__(str(self.closed))

    @classmethod
    def by(cls, reading: GateReading) -> NeedsOperator:
        """Return the refusal by a gate that was read."""
        return cls(reading.gate, in_words(reading))


class Halted(TryAgain):
    """The work stops between two steps, everything recorded: paused, or asked to end. The incident stays open."""
