"""A login at a BMC, unbounded: what the drivers offer to the child process that runs them.

Any call may take minutes or never return (pyghmi does both), and raises whatever its library raises. Nothing but
`worker` calls it: the rest of the product has `nova_ha.power.connect`.
"""

from __future__ import annotations

from typing import Protocol

from nova_ha.power import PowerOffAnswer, PowerReading
from nova_ha.power.device import FenceDevice
from nova_ha.power.diagnosis import Diagnosis


class BMCLogin(Protocol):
    """One login. It is not shared between threads, and there is one at a time for a BMC in a process."""

    def power(self) -> PowerReading:
        """Read the power state. A word that is neither on nor off is UNKNOWN."""

    def power_off(self) -> PowerOffAnswer:
        """Send a hard power-off, whatever the power reads, and do not wait for it. See `BMC.power_off`."""

    def identity(self) -> str | None:
        """Return the canonical identity of the system, or None where the BMC has none."""

    def foreseen(self) -> Diagnosis:
        """Say what trouble a power-off would meet, NONE where none is known: what account and BMC can."""

    def close(self) -> None:
        """Log out: BMCs have few sessions, and keep a lost one for minutes."""


class LoginType(Protocol):
    """What the file of a driver has as `LOGIN`: the class of its logins."""

    def __call__(self, device: FenceDevice) -> BMCLogin:
        """Log in."""

    def preload(self) -> None:
        """Import the libraries that a login needs."""
