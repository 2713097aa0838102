"""How we log in to an IPMI BMC: as pyghmi does, and as it does not yet.

Each login has a process of its own (`worker`), so what is changed of pyghmi 1.6.19 here is changed for that one
alone.
"""

from __future__ import annotations

import hashlib
from typing import Any

from nova_ha.power.device import FenceDevice

USER, OPERATOR = 2, 3
_HMAC_SHA1 = 1
_SHA1_BYTES = 12
# RMCP+ Open Session Response (IPMI 2.0, table 13-11): the status, and the algorithm of authentication.
_STATUS, _ALGORITHM = 1, 16
# How a BMC says that an account may not have the level that was asked for. pyghmi asks for ADMINISTRATOR, and goes
# down by itself, to OPERATOR, for some of them only.
_TOO_HIGH = (
    "Invalid role",
    "Unauthorized role",
    "Requested privilege level",
    "User is not allowed",
    "Unauthorized name",
)


def log_in(device: FenceDevice) -> Any:
    """Return pyghmi's Command, logged in with as much privilege as the account has."""
    from pyghmi.ipmi.command import Command
    from pyghmi.ipmi.private.session import Session

    _heed_the_algorithm(Session)
    _ask_for_less(Session)
    return Command(bmc=device.host, userid=device.user, password=device.password, port=device.port)


def may_switch(command: Any) -> bool:
    """True where the session's level is enough for Chassis Control (IPMI 2.0, appendix G: OPERATOR)."""
    return bool(command.ipmi_session.privlevel >= OPERATOR)


def _heed_the_algorithm(session_type: Any) -> None:
    """Let a session go on with SHA-1 where the BMC answers so to SHA-256, as VirtualBMC does: pyghmi overlooks it."""
    unheeding = session_type._got_rmcp_response

    def heeding(session: Any, data: Any) -> Any:
        if data[_STATUS] == 0 and len(data) > _ALGORITHM and data[_ALGORITHM] == _HMAC_SHA1:
            session.attemptedhash = _HMAC_SHA1
            session.currhashlib, session.currhashlen = hashlib.sha1, _SHA1_BYTES
        return unheeding(session, data)

    session_type._got_rmcp_response = heeding


def _ask_for_less(session_type: Any) -> None:
    """Let a session whose level is too high for the account begin anew with a lower one."""
    giving_up = session_type.onlogon

    def asking_for_less(session: Any, parameter: Any) -> None:
        if str(parameter.get("error", "")).startswith(_TOO_HIGH) and session.privlevel > USER:
            session.privlevel -= 1
            session.login()
        else:
            giving_up(session, parameter)

    session_type.onlogon = asking_for_less
