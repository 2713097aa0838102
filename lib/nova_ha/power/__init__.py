"""The BMCs, behind one Protocol: what they read is three-valued, and every call has a hard bound."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol

from nova_ha.power.device import FenceDevice


class PowerState(enum.Enum):
    """What a BMC says of its host's power. UNKNOWN is never OFF."""

    ON = "on"
    OFF = "off"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class PowerReading:
    """One reading. `why` says why it is UNKNOWN, in words for the operator; else it is empty."""

    state: PowerState
    why: str = ""


class PowerOffAnswer(enum.Enum):
    """What a BMC answers to a power-off, where it does not refuse it."""

    TAKEN = "taken"
    """It took the command, and had read on right before."""
    OFF_ALREADY = "off already"
    """It refused the command because the host is off; or took it, and had not been seen on right before."""

    @classmethod
    def after(cls, before: PowerState) -> PowerOffAnswer:
        """Return the answer of a BMC that took the command, by what the same login read right before it."""
        return cls.TAKEN if before is PowerState.ON else cls.OFF_ALREADY


class BMC(Protocol):
    """One host's BMC. No method takes longer than `timeout_s` seconds of wall clock, whatever the BMC does."""

    def power(self, timeout_s: float) -> PowerReading:
        """Read the power state. Never raises: what cannot be read is UNKNOWN with its reason."""

    def power_off(self, timeout_s: float) -> PowerOffAnswer:
        """Send a hard power-off, whatever the power reads. Idempotent: a host that is off already is no error.

        Raises BMCError when the BMC was not reached or refused for any other reason, OutcomeUnknown when its answer
        was lost. Returning does not say that the power is off, nor that it stays so: read it back.
        """

    def identity(self, timeout_s: float) -> str | None:
        """Return the system's GUID or serial number, or None where the BMC has none. Raises BMCError."""


# What the BMC check puts before each reason in its report, and whoever reads several of them says once.
UNFENCEABLE = "cannot be fenced: "


def connect(device: FenceDevice) -> BMC:
    """Return the BMC that the device describes. Nothing is sent before the first call. Raises ConfigError."""
    from nova_ha.power.bounded import BoundedBMC
    from nova_ha.power.drivers import driver_of

    driver_of(device)
    return BoundedBMC(device)


# Of a word that is neither: what a BMC says ends in a report.
LONGEST_WORD = 40


def reading_of(word: str) -> PowerReading:
    """Return the reading for a driver's word. Anything but `on` and `off` is UNKNOWN and names the word."""
    states = {"on": PowerState.ON, "off": PowerState.OFF}
    if word in states:
        return PowerReading(states[word])
    return PowerReading(PowerState.UNKNOWN, f"the BMC says {word[:LONGEST_WORD]!r}")
