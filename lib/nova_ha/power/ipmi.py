"""IPMI 2.0, through pyghmi."""

from __future__ import annotations

import contextlib
from typing import Any

from nova_ha.errors import BMCError
from nova_ha.power import PowerOffAnswer, PowerReading, PowerState, reading_of
from nova_ha.power import identity as identities
from nova_ha.power.bmc_login import LoginType
from nova_ha.power.device import FenceDevice
from nova_ha.power.diagnosis import BMCTrouble, Diagnosis, Trouble
from nova_ha.power.ipmi_session import log_in, may_switch

_CHASSIS, _CONTROL, _POWER_DOWN = 0x00, 0x02, 0x00
# "Not supported in the present state" (IPMI 2.0, table 5-2): what a BMC may answer where the host is off.
_NOT_IN_THIS_STATE = 0xD5
_APPLICATION = 0x06
_GET_SYSTEM_GUID = 0x37
# Completion codes by which a BMC says that it has no such thing (IPMI 2.0, table 5-2).
_HAS_NONE = (0xC1, 0xC2, 0xCB, 0xD6)
_GUID_BYTES = 16


class IPMILogin:
    """A login at an IPMI BMC; see `bmc_login.BMCLogin`.

    One process must not log in twice to the same BMC: pyghmi 1.6.19 raises TypeError at the second login.
    """

    def __init__(self, device: FenceDevice) -> None:
        self._device = device
        self._command: Any = log_in(device)

    @staticmethod
    def preload() -> None:
        import pyghmi.ipmi.command  # noqa: F401

    def power(self) -> PowerReading:
        return reading_of(self._command.get_power()["powerstate"])

    def power_off(self) -> PowerOffAnswer:
        self._refuse_another()
        # Raw: pyghmi's set_power sends nothing where it reads off, as in the off phase of a power cycle.
        before = self._state()
        answer = self._command.raw_command(netfn=_CHASSIS, command=_CONTROL, data=[_POWER_DOWN])
        if answer.get("code") == _NOT_IN_THIS_STATE and before is not PowerState.ON:
            return PowerOffAnswer.OFF_ALREADY
        if "error" in answer:
            raise _error(answer["error"])
        return PowerOffAnswer.after(before)

    def identity(self) -> str | None:
        """Return the system GUID as `identity.from_guid_bytes` prints it; None too where its place is empty."""
        answer = self._command.raw_command(netfn=_APPLICATION, command=_GET_SYSTEM_GUID)
        if answer.get("code") in _HAS_NONE:
            return None
        if "error" in answer:
            raise BMCError(answer["error"])
        guid = bytes(answer.get("data") or b"")
        if guid and len(guid) != _GUID_BYTES:
            raise BMCTrouble(Trouble.ODD_ANSWER, f"a system GUID of {len(guid)} bytes")
        return identities.from_guid_bytes(guid) if guid else None

    def foreseen(self) -> Diagnosis:
        """Say whether the session's privilege is enough to switch the power."""
        return Diagnosis(Trouble.NONE if may_switch(self._command) else Trouble.NO_RIGHT)

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._command.ipmi_session.logout()

    def _refuse_another(self) -> None:
        """Raise where this login is at another machine than the recorded one.

        The identity was compared in a login before: a name with two addresses, or an address that has changed hands
        since, leads elsewhere. One that cannot be read keeps the command back too; whether one that is not shown
        does, has been decided by whoever sends it.
        """
        recorded = self._device.identity
        if identities.known(recorded) is None:
            return
        shown = self.identity()
        if identities.compared(recorded, shown) is identities.Match.DIFFERS:
            raise BMCTrouble(Trouble.COMMAND_REFUSED, f"it is {shown}, expected {recorded}")

    def _state(self) -> PowerState:
        """Return what it reads right before a command; a reading that fails keeps no command back."""
        try:
            return self.power().state
        except Exception:
            return PowerState.UNKNOWN


def _error(text: str) -> Exception:
    """Return pyghmi's own exception for an error in a raw answer: what it means is told as for its other calls."""
    from pyghmi.exceptions import IpmiException

    error: Exception = IpmiException(text)
    return error


LOGIN: LoginType = IPMILogin
