"""IPMI 2.0, through pyghmi."""

from __future__ import annotations

import contextlib
from typing import Any

from nova_ha.errors import BMCError
from nova_ha.power import PowerReading, reading_of
from nova_ha.power import identity as identities
from nova_ha.power.bmc_login import LoginType
from nova_ha.power.device import FenceDevice

_APPLICATION = 0x06
_GET_SYSTEM_GUID = 0x37
# Completion codes by which a BMC says that it has no such thing (IPMI 2.0, table 5-2).
_HAS_NONE = (0xC1, 0xC2, 0xCB)


class IPMILogin:
    """A login at an IPMI BMC; see `bmc_login.BMCLogin`.

    One process must not log in twice to the same BMC: pyghmi 1.6.19 raises TypeError at the second login.
    """

    def __init__(self, device: FenceDevice) -> None:
        from pyghmi.ipmi.command import Command

        self._command: Any = Command(bmc=device.host, userid=device.user, password=device.password, port=device.port)

    @staticmethod
    def preload() -> None:
        import pyghmi.ipmi.command  # noqa: F401

    def power(self) -> PowerReading:
        return reading_of(self._command.get_power()["powerstate"])

    def power_off(self) -> None:
        # Without `wait`: it counts polls and not seconds, and vendor modules drop it.
        self._command.set_power("off")

    def identity(self) -> str | None:
        """Return the system GUID as `identity.from_guid_bytes` prints it."""
        answer = self._command.raw_command(netfn=_APPLICATION, command=_GET_SYSTEM_GUID)
        if answer.get("code") in _HAS_NONE:
            return None
        if "error" in answer:
            raise BMCError(answer["error"])
        return identities.from_guid_bytes(bytes(answer["data"]))

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._command.ipmi_session.logout()


LOGIN: LoginType = IPMILogin
