"""Whether our account at a Redfish BMC may switch the power, as far as the BMC tells."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Iterator

from nova_ha.power.diagnosis import BMCTrouble
from nova_ha.power.redfish_answer import Document, inside, link_in, links_in, words_in
from nova_ha.power.redfish_connection import FAILURES

# For all questions together, and for each: they are asked with every look, and a slow BMC is no refusal.
_ALL_S = 4.0
_EACH_S = 2.0
# iDRAC has 16 places for accounts.
_MOST_ACCOUNTS = 20
_SWITCHES_POWER = "ConfigureComponents"
_KNOWN = {"administrator": True, "admin": True, "operator": True, "readonly": False, "none": False, "noaccess": False}

Get = Callable[[str, float], Document]


class PowerRight(enum.Enum):
    """Whether the account may switch the power. UNKNOWN: the BMC does not say, as of accounts of a directory."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


def power_right(get: Get, root: Document, user: str, roles: tuple[str, ...]) -> PowerRight:
    """Find the account's role, and what it allows. Never raises."""
    account = _Account(get, root, user)
    try:
        if roles:
            rights = {account.right_of_role(role, "") for role in roles}
            return next((right for right in PowerRight if right in rights), PowerRight.UNKNOWN)
        return account.right()
    except FAILURES:  # too slow, too long, not for us to read: none of it says that we may not
        return PowerRight.UNKNOWN


class _Account:
    def __init__(self, get: Get, root: Document, user: str) -> None:
        self._get = get
        self._until = time.monotonic() + _ALL_S
        self._root = root
        self._user = user
        self._documents: dict[str, Document] = {}

    def right(self) -> PowerRight:
        account = next((found for found in self._accounts() if found.get("UserName") == self._user), None)
        if account is None:
            return PowerRight.UNKNOWN
        if (told := _hpe_right(account)) is not None:
            return PowerRight.YES if told else PowerRight.NO
        role = account.get("RoleId")
        return self.right_of_role(role if isinstance(role, str) else "", link_in(account, "Links", "Role"))

    def right_of_role(self, role: str, link: str) -> PowerRight:
        if role.casefold() in _KNOWN:
            return PowerRight.YES if _KNOWN[role.casefold()] else PowerRight.NO
        if not role and not link:
            return PowerRight.UNKNOWN
        privileges = self._read(link or self._link_of_role(role))
        assigned = words_in(privileges, "AssignedPrivileges")
        if assigned is None:
            return PowerRight.UNKNOWN
        if _SWITCHES_POWER in assigned:
            return PowerRight.YES
        return PowerRight.UNKNOWN if inside(privileges, "OemPrivileges") else PowerRight.NO

    def _accounts(self) -> Iterator[Document]:
        """Yield the accounts, the one with our name in its path first: OpenBMC's is `Accounts/root`."""
        accounts = self._read(link_in(self._service(), "Accounts") or "/redfish/v1/AccountService/Accounts")
        links = links_in(accounts, "Members")
        for link in sorted(links, key=lambda link: not link.rstrip("/").endswith(f"/{self._user}"))[:_MOST_ACCOUNTS]:
            try:
                yield self._read(link)
            except BMCTrouble:
                continue  # another's

    def _link_of_role(self, role: str) -> str:
        roles = link_in(self._service(), "Roles") or "/redfish/v1/AccountService/Roles"
        return f"{roles.rstrip('/')}/{role}"

    def _service(self) -> Document:
        return self._read(link_in(self._root, "AccountService") or "/redfish/v1/AccountService")

    def _read(self, path: str) -> Document:
        if path not in self._documents:
            remaining = self._until - time.monotonic()
            if remaining <= 0:
                raise TimeoutError
            self._documents[path] = self._get(path, min(_EACH_S, remaining))
        return self._documents[path]


def _hpe_right(account: Document) -> bool | None:
    """Return what iLO says of this very right: its roles are made from such, and not the other way round."""
    for vendor in ("Hpe", "Hp"):
        told = inside(account, "Oem", vendor, "Privileges", "VirtualPowerAndResetPriv")
        if isinstance(told, bool):
            return told
    return None
