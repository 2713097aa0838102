"""A login at a BMC, unbounded: what the drivers offer to the child process that runs them.

Any call may take minutes or never return (pyghmi does both), and raises whatever pyghmi raises. Nothing but
`worker` calls it: the rest of the product has `nova_ha.power.connect`.
"""

from __future__ import annotations

from typing import Protocol

from nova_ha.power import PowerReading
from nova_ha.power.device import FenceDevice


class BMCLogin(Protocol):
    """One login. It is not shared between threads, and there is one at a time for a BMC in a process."""

    def power(self) -> PowerReading:
        """Read the power state. A word that is neither on nor off is UNKNOWN."""

    def power_off(self) -> None:
        """Send a hard power-off and do not wait for it. A host that is off already is no error."""

    def identity(self) -> str | None:
        """Return the canonical identity of the system, or None where the BMC has none."""

    def close(self) -> None:
        """Log out: BMCs have few sessions, and keep a lost one for minutes."""


class LoginType(Protocol):
    """What the file of a driver has as `LOGIN`: the class of its logins."""

    def __call__(self, device: FenceDevice) -> BMCLogin:
        """Log in."""

    def preload(self) -> None:
        """Import the libraries that a login needs."""
