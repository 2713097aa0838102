"""Why a Redfish BMC has refused something: its status, and what the vendors write into the bodies of their errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nova_ha.power.diagnosis import BMCTrouble, Trouble
from nova_ha.power.redfish_answer import inside, loaded

# The last part of a message's name (`Base.1.5.PasswordChangeRequired`), or a part of its text, in lower case.
_TOLD = {
    Trouble.PASSWORD_EXPIRED: ("passwordchangerequired", "passwordresetrequired", "password must be changed"),
    # iLO and others say so with status 400. Sent once more, by another way, it would count twice: BMCs lock accounts.
    Trouble.LOGIN_REFUSED: (
        "unauthorizedloginattempt",
        "loginfailed",
        "accountlocked",
        "userlocked",
        "username or password",
        "user name or password",
        "account is locked",
        "user is locked",
    ),
    Trouble.NO_SESSION: (
        "sessionlimitexceeded",
        "createlimitreachedforresource",
        "rac0218",
        "number of sessions",
        "number of user sessions",
        "maximum sessions",
        "session limit",
    ),
    Trouble.NO_RIGHT: ("insufficientprivilege", "operatornotallowed", "insufficient privilege"),
}
_BY_STATUS = {401: Trouble.LOGIN_REFUSED, 503: Trouble.NOT_READY}
_GENERAL = "generalerror"


class RedfishRefusal(BMCTrouble):
    """The BMC answered with a status that is no success. `named` says that the trouble is its own word for it."""

    def __init__(self, status: int, body: bytes) -> None:
        error = _error_in(body)
        messages = tuple(_messages(error))
        told = _told(messages)
        self.status = status
        self.named = told is not None
        of_the_login = status == 401 and told in (None, Trouble.LOGIN_REFUSED)
        detail = "Access Denied" if of_the_login else _detail(messages) or f"HTTP {status}"
        super().__init__(told or _BY_STATUS.get(status, Trouble.COMMAND_REFUSED), detail)

    def of_the_command(self) -> BMCTrouble:
        """Return it as the refusal of a command: a status alone says no more than that."""
        return self if self.named else BMCTrouble(Trouble.COMMAND_REFUSED, self.detail)


def _error_in(body: bytes) -> Any:
    try:
        return inside(loaded(body), "error")
    except (ValueError, RecursionError):
        return None


def _messages(error: Any) -> Iterator[tuple[str, str]]:
    """Yield name and text of each message, the most telling first: they stand in a list, alone, or nowhere."""
    told = inside(error, "@Message.ExtendedInfo")
    for message in told if isinstance(told, list) else [told]:
        name = next((inside(message, key) for key in ("MessageId", "MessageID") if inside(message, key)), "")
        yield str(name), str(inside(message, "Message") or (message if isinstance(message, str) else ""))
    yield str(inside(error, "code") or ""), str(inside(error, "message") or "")
    if isinstance(error, str):
        yield "", error


def _told(messages: tuple[tuple[str, str], ...]) -> Trouble | None:
    for name, text in messages:
        last, text = name.rpartition(".")[2].casefold(), text.casefold()
        for trouble, words in _TOLD.items():
            if any(word == last or word in text for word in words):
                return trouble
    return None


def _detail(messages: tuple[tuple[str, str], ...]) -> str:
    telling = [text or name for name, text in messages if not name.casefold().endswith(_GENERAL)]
    texts, names = (text for _, text in messages), (name for name, _ in messages)
    return next(filter(None, [*telling, *texts, *names]), "")
