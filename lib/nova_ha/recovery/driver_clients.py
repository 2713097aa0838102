"""What a driver works with, and the ways in which its work ends early."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from nova_ha.clock import Clock
from nova_ha.cluster.gate import Cause, Closed, Gate
from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.reading import GateReading, in_words
from nova_ha.compute import Compute
from nova_ha.consul.store import Store
from nova_ha.errors import HAError, TryAgain
from nova_ha.limits import BMC_READING_S
from nova_ha.power import BMC
from nova_ha.power.device import FenceDevice
from nova_ha.probe.sighting import SightCause, Sighting, Sign, State
from nova_ha.recovery.failing_since import FailingSince
from nova_ha.recovery.off_proof import PowerLook, PowerSeen
from nova_ha.recovery.silence import Heard


class Answer(enum.Enum):
    """Whether a host answers SSH, as seen from here: its grade, as far as a recovery goes by it."""

    ANSWERS = "answers"  # logged in, or answers no
    SILENT = "silent"  # or hangs
    UNKNOWN = "unknown"  # turned away, or nobody here can tell


@dataclass(frozen=True)
class Sight:
    """One look at a host's SSH, with what was met, and the cause that the sweep would have reported.

    `connected` says that the connection was taken, though nothing may have come over it: a kernel runs there.
    """

    answer: Answer
    why: str
    connected: bool = False
    cause: SightCause | None = None

    @classmethod
    def of(cls, seen: Sighting) -> Sight:
        """Return what a look at SSH means here."""
        grade, cause = seen.grade, seen.cause
        answers = {State.FAILING: Answer.SILENT, State.WELL: Answer.ANSWERS, State.UNKNOWN: Answer.UNKNOWN}
        answer = Answer.ANSWERS if grade and grade.alive else answers[seen.state]
        connected = cause is not None and Sign.CONNECTED in cause.signs
        return cls(answer, seen.why or "login works", connected, cause)

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
    hands it in, with `failing_since`; `keep` hands both on to the next process. `power_seen` is what it has read of
    each fence device's power, as whose identity was no other.
    """

    store: Store
    clock: Clock
    me: str
    compute: Callable[[], Compute]
    bmc: Callable[[FenceDevice], BMC]
    sight: Callable[[ComputeNode, float], Sight]
    stopping: Callable[[], bool] = field(default=lambda: False)
    heard: list[Heard] = field(default_factory=list)
    failing_since: dict[str, FailingSince] = field(default_factory=dict)
    keep: Callable[[Sequence[Heard], Mapping[str, FailingSince]], None] = field(default=lambda heard, failing: None)
    power_seen: dict[FenceDevice, PowerSeen] = field(default_factory=dict)

    def read_power(self, device: FenceDevice) -> PowerSeen:
        """Read the power, remember it, and return all that was read of it. Never raises."""
        begun_s = self.clock.monotonic()
        reading = self.bmc(device).power(BMC_READING_S)
        look = PowerLook(self.clock.now(), reading, begun_s, self.clock.monotonic())
        self.power_seen[device] = self.seen_of(device).having(look)
        return self.power_seen[device]

    def seen_of(self, device: FenceDevice) -> PowerSeen:
        """Return what was read of the device's power until now."""
        return self.power_seen.get(device, PowerSeen())


class NeedsOperator(HAError):
    """The recovery cannot prove what it needs to, and asks the operator."""

    def __init__(self, gate: Gate, why: str, cause: Cause | None = None) -> None:
        self.closed = Closed(gate, why, cause)
        super().__init__(str(self.closed))

    @classmethod
    def by(cls, reading: GateReading) -> NeedsOperator:
        """Return the refusal by a gate that was read."""
        return cls(reading.gate, in_words(reading), reading.closed.cause)


class Halted(TryAgain):
    """The work stops between two steps, everything recorded: paused, or asked to end. The incident stays open."""
