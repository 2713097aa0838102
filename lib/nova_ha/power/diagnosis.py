"""What is the matter with a BMC: the texts and exceptions of pyghmi and of the network as an enum, in two tables.

pyghmi gives its errors no codes (`ipmicode` was 0 every time): only their texts differ. Our own drivers say it
themselves, by BMCTrouble.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from nova_ha.errors import BMCError

_LONGEST_DETAIL = 120


class Trouble(enum.Enum):
    """Why a BMC cannot be used, in words for the operator; NONE when it can."""

    NONE = ""
    UNREACHABLE = "unreachable"
    NO_SUCH_NAME = "name does not resolve"
    LOGIN_REFUSED = "login refused"
    PASSWORD_EXPIRED = "login refused: the password must be changed"
    NO_RIGHT = "its account may only read"
    NO_FORCE_OFF = "it does not offer ForceOff"
    WHICH_SYSTEM = "it shows several systems: say which with --bmc-system"
    NO_REDFISH = "it speaks no Redfish: enable it there, or use the driver ipmi"
    OLD_TLS = "its TLS is too old: use the driver ipmi"
    NOT_TRUSTED = "certificate not trusted"
    NO_SESSION = "no free session"
    NOT_READY = "not ready"
    COMMAND_REFUSED = "command refused"
    CONNECTION_LOST = "connection lost"
    TIMED_OUT = "timed out"
    TOO_LONG = "answer too long"
    ODD_ANSWER = "odd answer"
    BAD_SETTING = "bad setting"
    UNKNOWN = "unknown trouble"

    @property
    def is_refusal(self) -> bool:
        """True when the BMC gave an answer, and it was no: what was asked has not been done."""
        return self in _REFUSALS


_REFUSALS = (
    Trouble.LOGIN_REFUSED,
    Trouble.PASSWORD_EXPIRED,
    Trouble.NO_RIGHT,
    Trouble.NO_SESSION,
    Trouble.NOT_READY,
    Trouble.COMMAND_REFUSED,
)


@dataclass(frozen=True)
class Diagnosis:
    """The trouble, and what was said of it in one line."""

    trouble: Trouble
    detail: str = ""

    @property
    def short(self) -> str:
        """Return it as a check reports it: the same words as long as the trouble is the same."""
        named = f": {self.detail}" if self.trouble is Trouble.WHICH_SYSTEM else ""
        return f"{self.trouble.value}{named}"

    def __str__(self) -> str:
        if not self.detail:
            return self.trouble.value
        if self.detail.startswith(self.trouble.value):
            return self.detail
        return f"{self.trouble.value} ({self.detail})"


class BMCTrouble(BMCError):
    """A trouble that one of our drivers has found by itself."""

    def __init__(self, trouble: Trouble, detail: str = "") -> None:
        self.trouble = trouble
        self.detail = detail
        super().__init__(str(Diagnosis(trouble, detail)))


# How the texts begin: those of pyghmi 1.6.19 (ipmi/private/session.py, ipmi/private/constants.py), of OpenSSL 3 and
# of urllib3 2.
_TEXTS = {
    Trouble.UNREACHABLE: ("None", "Session failed to initialize"),
    Trouble.NO_SUCH_NAME: ("Unable to transmit to specified address",),
    Trouble.LOGIN_REFUSED: (
        "Incorrect password provided",
        "Unauthorized",
        "Invalid role",
        "Invalid user",
        "Illegal or unrecognized parameter",
        "Null user disabled",
        "Invalid integrity check value",
        "Invalid RAKP4 integrity code",
        "Invalid authentication algorithm",
        "Invalid integrity algorithm",
        "Invalid confidentiality algorithm",
        "No matching integrity payload",
        "No Cipher suite match",
        "MD5 required but not enabled",
        "No slot available with requested privilege",
        "Requested privilege level",
        "User is not allowed requested privilege",
    ),
    # Of the session itself too: it has asked for less before.
    Trouble.NO_RIGHT: ("Insufficient privilege level",),
    Trouble.NOT_TRUSTED: ("Fingerprints did not match",),
    Trouble.OLD_TLS: (
        "[SSL: TLSV1_ALERT_PROTOCOL_VERSION]",
        "[SSL: UNSUPPORTED_PROTOCOL]",
        "[SSL: WRONG_SSL_VERSION]",
        "[SSL: SSLV3_ALERT_HANDSHAKE_FAILURE]",
        "[SSL: SSL/TLS_ALERT_HANDSHAKE_FAILURE]",
        "[SSL: TLSV1_ALERT_INSUFFICIENT_SECURITY]",
        "[SSL: DH_KEY_TOO_SMALL]",
        "[SSL: BAD_DH_VALUE]",
        "[SSL: NO_SHARED_CIPHER]",
        "[SSL: UNSAFE_LEGACY_RENEGOTIATION_DISABLED]",
        "[SSL: LEGACY_SIGALG_DISALLOWED_OR_UNSUPPORTED]",
        "[SSL: WRONG_SIGNATURE_TYPE]",
    ),
    Trouble.NO_SESSION: ("Insufficient resources to create", "No available login slots"),
    Trouble.NOT_READY: (
        "Node Busy",
        "SDR repository in update mode",
        "Device in firmware update mode",
        "BMC initialization in progress",
    ),
    Trouble.CONNECTION_LOST: ("Session no longer connected", "Session Disconnected", "Timeout"),
    Trouble.BAD_SETTING: (
        "Username too long",
        "Password is too long",
    ),
    Trouble.COMMAND_REFUSED: (
        "Unspecified",
        "Unknown code 0x",
        "Invalid command",
        "Invalid data field",
        "Out of storage space",
        "Reservation canceled",
        "Request data",
        "Requested sensor, data, or record not present",
        "Parameter out of range",
        "Parameter not supported",
        "Cannot return number",
        "Command illegal",
        "Command response could not be provided",
        "Command not supported",
        "Cannot execute",
        "Internal destination unavailable",
    ),
}

# By the names of the exception's classes, nearest first, so that nothing needs to be imported to compare them.
_EXCEPTIONS = {
    "gaierror": Trouble.NO_SUCH_NAME,
    "SSLCertVerificationError": Trouble.NOT_TRUSTED,
    "SSLError": Trouble.UNKNOWN,
    "ConnectionRefusedError": Trouble.UNREACHABLE,
    "TimeoutError": Trouble.UNREACHABLE,
    "ConnectionError": Trouble.CONNECTION_LOST,
    "AnswerTooLong": Trouble.TOO_LONG,
    "HTTPException": Trouble.CONNECTION_LOST,
    "ProtocolError": Trouble.CONNECTION_LOST,
    "ConfigError": Trouble.BAD_SETTING,
    "BMCError": Trouble.COMMAND_REFUSED,
    "OSError": Trouble.UNREACHABLE,
}


def diagnose(error: Exception, *, secret: str = "") -> Diagnosis:
    """Say what an exception of pyghmi, of the network or of our own drivers means.

    A text that no table knows is UNKNOWN and its detail names it. The secret is struck out of the detail.
    """
    if isinstance(error, BMCTrouble):
        return Diagnosis(error.trouble, _one_line(error.detail, secret))
    text = _one_line(str(error), secret)
    trouble = _by_text(text) or _by_class(error)
    if trouble is Trouble.UNKNOWN and not _is_pyghmi(error):
        return Diagnosis(trouble, f"{type(error).__name__}: {text}")
    return Diagnosis(trouble, "" if text == "None" else text)


def _one_line(said: str, secret: str) -> str:
    text = printable(said)
    # As the text has it, whose spaces are one each.
    if line := printable(secret):
        text = text.replace(line, "***")
    return text if len(text) <= _LONGEST_DETAIL else text[: _LONGEST_DETAIL - 3] + "..."


def printable(text: str) -> str:
    """Return what a BMC said as one line that does nothing to a terminal."""
    line = " ".join(text.split())
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def _by_text(text: str) -> Trouble | None:
    for trouble, beginnings in _TEXTS.items():
        if text.lower().startswith(tuple(beginning.lower() for beginning in beginnings)):
            return trouble
    return None


def _by_class(error: Exception) -> Trouble:
    names = (cls.__name__ for cls in type(error).__mro__)
    return next((_EXCEPTIONS[name] for name in names if name in _EXCEPTIONS), Trouble.UNKNOWN)


def _is_pyghmi(error: Exception) -> bool:
    return type(error).__module__.startswith("pyghmi.")
