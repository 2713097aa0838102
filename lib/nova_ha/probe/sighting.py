"""What one look at one node gave: three-valued, with its reason; of an SSH login also its grade and its cause."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


class State(enum.Enum):
    """How a node was seen. UNKNOWN is a node that nobody can tell about: it is neither WELL nor FAILING."""

    WELL = "well"
    FAILING = "failing"
    UNKNOWN = "unknown"


class Grade(enum.Enum):
    """How far a host let a login come: one meaning of "alive" for all who ask."""

    LOGGED_IN = "logged in"  # accepted, and the session answered or was ended by the host
    ANSWERS_NO = "answers no"  # its sshd answered the login, or closed it once it had the credentials
    TURNED_AWAY = "turned away"  # in words, instead of a banner: it lets nobody in, or not us, for a while
    HANGS = "hangs"  # something was taken, then silence; closed before the login; refused
    SILENT = "silent"  # no answer to the connection
    CANNOT_TELL = "cannot tell"  # nobody here can: the name, this machine, the time, or who answers there

    @property
    def state(self) -> State:
        """How a node with this grade is seen."""
        if self is Grade.LOGGED_IN:
            return State.WELL
        return State.FAILING if self in (Grade.HANGS, Grade.SILENT) else State.UNKNOWN

    @property
    def alive(self) -> bool:
        """True where its sshd has answered a login: a vote that it answers."""
        return self in (Grade.LOGGED_IN, Grade.ANSWERS_NO)


class Sign(enum.Flag):
    """What else a cause says, beside its grade."""

    NONE = 0
    # A connection was taken there: something runs, whatever became of the login.
    CONNECTED = enum.auto()
    # The same credentials would be refused again.
    REFUSED = enum.auto()
    # It took a login and then fell silent: another one would wait there beside it.
    HUNG = enum.auto()
    # The password was on its way: it is not sent again without need.
    PASSWORD_SENT = enum.auto()


_G = Grade
_TAKEN = Sign.CONNECTED
_SAID_NO = Sign.CONNECTED | Sign.REFUSED
_HUNG = Sign.CONNECTED | Sign.HUNG


class SightCause(enum.Enum):
    """Why a look at a host's SSH ended as it did: with its grade, and its words. `{}` is what the host said."""

    _value_: str
    grade: Grade
    words: str
    signs: Sign

    def __new__(cls, name: str, grade: Grade, words: str, signs: Sign = Sign.NONE) -> SightCause:
        cause = object.__new__(cls)
        cause._value_ = name
        cause.grade = grade
        cause.words = words
        cause.signs = signs
        return cause

    LOGGED_IN = "logged-in", _G.LOGGED_IN, "", _TAKEN
    WRONG_PASSWORD = "wrong-password", _G.ANSWERS_NO, "wrong password", _SAID_NO | Sign.PASSWORD_SENT
    PASSWORD_EXPIRED = "password-expired", _G.ANSWERS_NO, "password expired", _SAID_NO
    NOT_OFFERED = "not-offered", _G.ANSWERS_NO, "login by password is not offered", _SAID_NO
    # Not REFUSED: whoever bars everybody for a while lets in again, and each login shows whether it hangs.
    BARRED = "barred", _G.ANSWERS_NO, "login ended by the host after the password: {}", _TAKEN
    TURNED_AWAY = (
        "turned-away",
        _G.TURNED_AWAY,
        "its sshd turns us away for now: it needs more MaxStartups, or us in PerSourcePenaltyExemptList",
        _TAKEN,
    )
    NO_BANNER = "no-banner", _G.HANGS, "no banner", _TAKEN
    LOGIN_HANGS = "login-hangs", _G.HANGS, "login hangs", _HUNG
    PASSWORD_HANGS = "password-hangs", _G.HANGS, "login hangs after the password", _HUNG | Sign.PASSWORD_SENT
    SESSION_HANGS = "session-hangs", _G.HANGS, "login works, but the session hangs", _HUNG
    CLOSED_EARLY = "closed-early", _G.HANGS, "connection lost", _TAKEN
    REFUSED = "refused", _G.HANGS, "refused"  # a kernel is alive there, or a firewall
    TIMED_OUT = "timed-out", _G.SILENT, "timed out"
    UNREACHABLE = "unreachable", _G.SILENT, "unreachable"
    # The node was not even tried: without a name, by a machine that cannot connect, without credentials.
    NO_NAME = "no-name", _G.CANNOT_TELL, "name does not resolve"
    NAME_TOO_SLOW = "name-too-slow", _G.CANNOT_TELL, "name does not resolve in time"
    THIS_MACHINE = "this-machine", _G.CANNOT_TELL, "this machine cannot connect: {}"
    NO_CREDENTIALS = (
        "no-credentials",
        _G.CANNOT_TELL,
        "no credentials in config/ssh/user and config/ssh/password",
    )
    # A banner came, though, where only that can be seen.
    ONLY_GREETS = (
        "only-greets",
        _G.CANNOT_TELL,
        "a banner came, but there are no credentials in config/ssh/user and config/ssh/password to log in with",
        _TAKEN,
    )
    NOT_IN_TIME = "not-in-time", _G.CANNOT_TELL, "not reached in time"
    PROBE_FAILED = "probe-failed", _G.CANNOT_TELL, "probe failed: {}"
    # Something answers there, and it is not known to be our host, or not said whether it lets us in.
    TOO_SLOW = "too-slow", _G.CANNOT_TELL, "not finished in time, but not silent either", _TAKEN
    TOO_MUCH = "too-much", _G.CANNOT_TELL, "sends more than a login needs", _TAKEN
    BAD_HOST_KEY = "bad-host-key", _G.CANNOT_TELL, "config/ssh/host_key is not a public key", _TAKEN
    KEY_CHANGED = "key-changed", _G.CANNOT_TELL, "host key changed", _SAID_NO
    NO_HOST_KEY = "no-host-key", _G.CANNOT_TELL, "it has no host key", _TAKEN
    NO_KEYS = "no-keys", _G.CANNOT_TELL, "cannot log in: {}", _SAID_NO
    NO_ALGORITHM = (
        "no-algorithm",
        _G.CANNOT_TELL,
        "login ended by the host in the key exchange: no algorithm in common",
        _SAID_NO,
    )
    # Not REFUSED either: it shuts down, has too many connections, or corrupts packets; a moment later it does not.
    CANNOT_LOG_IN = "cannot-log-in", _G.CANNOT_TELL, "cannot log in: {}", _TAKEN
    REFUSED_BEFORE = "refused-before", _G.CANNOT_TELL, "login refused before", _SAID_NO


@dataclass(frozen=True)
class Sighting:
    """One look at one node. `why` is in words for the operator, empty where the node is well.

    `refused` says that the node is alive and refused our credentials: it would refuse them again. `hung` says that
    it took a login and then fell silent: another login would wait there beside this one. `cause` is what is behind
    `why`, of a look at SSH; of any other there is none.
    """

    state: State
    why: str = ""
    refused: bool = False
    hung: bool = False
    cause: SightCause | None = field(default=None, compare=False)

    @property
    def grade(self) -> Grade | None:
        """The grade of its cause."""
        return self.cause.grade if self.cause else None


def graded(cause: SightCause, detail: object = "") -> Sighting:
    """Return the sighting of a look at SSH; `detail` is what the host, or this machine, said."""
    hung, refused = Sign.HUNG in cause.signs, Sign.REFUSED in cause.signs
    return Sighting(cause.grade.state, cause.words.format(detail), refused, hung, cause)


WELL = graded(SightCause.LOGGED_IN)


def failing(why: str, cause: SightCause | None = None, *, hung: bool = False) -> Sighting:
    """Return the sighting of a node that fails."""
    return Sighting(State.FAILING, why, hung=hung, cause=cause)


def unknown(why: str, *, refused: bool = False, cause: SightCause | None = None) -> Sighting:
    """Return the sighting of a node that cannot be told about."""
    return Sighting(State.UNKNOWN, why, refused, cause=cause)
