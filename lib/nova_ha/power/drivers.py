"""The drivers of fence devices: a row each, with all that the rest of the product knows of them."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass

from nova_ha.errors import ConfigError
from nova_ha.power.bmc_login import BMCLogin, LoginType
from nova_ha.power.device import FenceDevice


@dataclass(frozen=True)
class FenceDriver:
    """What `config/bmc/driver` may name. `port` is the default one, `module` is the driver's own file."""

    name: str
    port: int
    module: str
    has_tls: bool = False

    def load(self) -> LoginType:
        """Import the driver's own file, and return its `LOGIN`."""
        login: LoginType = importlib.import_module(self.module).LOGIN
        return login


_ROWS = (
    FenceDriver("ipmi", 623, "nova_ha.power.ipmi"),
    FenceDriver("redfish", 443, "nova_ha.power.redfish", has_tls=True),
)
DRIVERS = {row.name: row for row in _ROWS}
DEFAULT_DRIVER = "ipmi"


def driver_of(device: FenceDevice) -> FenceDriver:
    """Return the device's driver. Raises ConfigError."""
    if device.driver not in DRIVERS:
        raise ConfigError(f"no BMC driver {device.driver!r}", remedy=f"use one of {', '.join(DRIVERS)}")
    return DRIVERS[device.driver]


def log_in(device: FenceDevice) -> BMCLogin:
    """Log in with the device's driver."""
    return driver_of(device).load()(device)


def preload(names: Iterable[str]) -> None:
    """Import what these drivers need, once, for all processes that are forked from this one."""
    for name in DRIVERS.keys() & set(names):
        DRIVERS[name].load().preload()
