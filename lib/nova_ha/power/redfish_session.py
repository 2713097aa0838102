"""How we log in to a Redfish BMC, and out: with a session, or with the password where sessions do not work."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from nova_ha.power.device import FenceDevice
from nova_ha.power.diagnosis import Trouble
from nova_ha.power.redfish_answer import Document, document_in, inside, link_in, words_in
from nova_ha.power.redfish_connection import RedfishConnection, RedfishSuccess, own_path
from nova_ha.power.redfish_refusal import RedfishRefusal
from nova_ha.power.tickets import Ticket, Tickets

SESSIONS = "/redfish/v1/SessionService/Sessions"
# A name or password that was refused is not sent again: BMCs lock accounts.
_FINAL = (Trouble.LOGIN_REFUSED, Trouble.PASSWORD_EXPIRED, Trouble.NO_RIGHT)


class RedfishSession:
    """One login. `roles` are those that the BMC named for it, if it named any."""

    def __init__(self, bmc: RedfishConnection, device: FenceDevice, root: Document) -> None:
        self._bmc = bmc
        self._device = device
        self._path = link_in(root, "Links", "Sessions") or SESSIONS
        self._are_offered = not root or bool(link_in(root, "Links", "Sessions") or link_in(root, "SessionService"))
        self._tickets = Tickets(device)
        self._ticket: Ticket | None = None
        self.roles: tuple[str, ...] = ()

    def open(self, try_out: Callable[[], Document]) -> Document:
        """Log in, and return what `try_out` reads then. Raises RedfishRefusal, and what the network raises."""
        ways = [self._by_session, self._by_password]
        refusals = []
        for way in ways if self._are_offered else reversed(ways):
            refusal = way()
            if refusal is None:
                try:
                    return try_out()
                except RedfishRefusal as error:
                    if error.status not in (401, 403) or error.named:
                        raise
                    refusal = error  # of a token: some BMCs want a second header beside it
            refusals.append(refusal)
        raise refusals[0]

    def _by_password(self) -> None:
        self._bmc.use_password(self._device.user, self._device.password)

    def _by_session(self) -> RedfishRefusal | None:
        """Open a session; return why there is none. Raises RedfishRefusal where the password would not do either."""
        try:
            answer = self._ask_for_one()
        except RedfishRefusal as error:
            if error.trouble in _FINAL:
                raise
            return error
        self._keep(answer)
        if self._ticket and self._ticket.token:
            self._bmc.use_token(self._ticket.token)
            return None
        return RedfishRefusal(401, b"")

    def _ask_for_one(self) -> RedfishSuccess:
        values = {"UserName": self._device.user, "Password": self._device.password}
        try:
            return self._bmc.post(self._path, values)
        except RedfishRefusal as error:
            if error.trouble is not Trouble.NO_SESSION or not self._tickets.left():
                raise
        self._end_those_left()
        return self._bmc.post(self._path, values)

    def _keep(self, answer: RedfishSuccess) -> None:
        """Note where the session is, before anything else is asked: who ends it if this process cannot."""
        document: Document = {}
        with contextlib.suppress(Exception):  # its token is in the headers, and that is all we need
            document = document_in(answer.body)
        link = answer.headers.get("location") or link_in(document)
        identity = inside(document, "Id")
        if not link and isinstance(identity, str) and identity:
            link = f"{self._path.rstrip('/')}/{identity}"
        self.roles = words_in(document, "Roles") or ()
        self._ticket = Ticket(own_path(link) if link else "", answer.headers.get("x-auth-token", ""))
        self._tickets.opened(self._ticket)

    def close(self) -> None:
        """End the session, and those that processes left which were ended. Never raises."""
        if self._ticket:
            self._end(self._ticket)
            self._ticket = None
        self._end_those_left()

    def _end_those_left(self) -> None:
        for ticket in self._tickets.left():
            self._end(ticket)

    def _end(self, ticket: Ticket) -> None:
        if not ticket.path:
            return
        try:
            self._end_as_its_holder_or_as_we_are(ticket)
        except RedfishRefusal:
            pass  # gone already, or not to be had: it will not be asked for again
        except Exception:
            return
        self._tickets.ended(ticket)

    def _end_as_its_holder_or_as_we_are(self, ticket: Ticket) -> None:
        try:
            self._bmc.delete(ticket.path, ticket.token)
        except RedfishRefusal as error:
            # One that was left, and whose token is refused, has ended: its path may be another's session by now.
            if error.status not in (401, 403) or ticket is not self._ticket:
                raise
            self._bmc.delete(ticket.path)
