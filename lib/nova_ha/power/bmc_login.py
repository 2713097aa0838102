"""A login at a BMC, unbounded: what the drivers offer to the child process that runs them.

Any call may take minutes or never return (pyghmi does both), and raises whatever pyghmi raises. Nothing but
`worker` calls it: the rest of the product has `nova_ha.power.connect`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from nova_ha.errors import ConfigError
from nova_ha.power import BMCAddress, PowerReading


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


def log_in(address: BMCAddress) -> BMCLogin:
    """Log in with the address's driver."""
    if address.driver == "ipmi":
        from nova_ha.power.ipmi import IPMILogin

        return IPMILogin(address)
    if address.driver == "redfish":
        from nova_ha.power.redfish import RedfishLogin

        return RedfishLogin(address)
    raise ConfigError(f"no BMC driver {address.driver!r}")


def preload(drivers: Iterable[str]) -> None:
    """Import what the drivers need, once, for all processes that are forked from this one."""
    for driver in drivers:
        if driver == "ipmi":
            import pyghmi.ipmi.command
        elif driver == "redfish":
            import pyghmi.redfish.command  # noqa: F401
