"""What one look at one node gave: three-valued, with its reason."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


class State(enum.Enum):
    """How a node was seen. UNKNOWN is a node that nobody can tell about: it is neither WELL nor FAILING."""

    WELL = "well"
    FAILING = "failing"
    UNKNOWN = "unknown"


class Met(enum.Enum):
    """What a look has met, where more is decided on it than on the state: never on the words."""

    REFUSED = "refused"  # the connection: a kernel is alive there, or a firewall
    UNREACHABLE = "unreachable"
    NO_BANNER = "no banner"  # the connection was taken, and nothing said on it
    THIS_MACHINE = "this machine"  # it cannot connect: the node was not even tried
    TURNED_AWAY = "turned away"  # in words, instead of a banner: it lets nobody in, or not us, for a while
    TOO_MUCH = "too much"  # it sent more than a login needs, or had us send it
    KEYS = "keys"  # the server's are not the recorded ones, or cannot be exchanged


@dataclass(frozen=True)
class Sighting:
    """One look at one node. `why` is in words for the operator, empty where the node is well.

    `refused` says that the node is alive and refused our credentials: it would refuse them again. `hung` says that
    it took a login and then fell silent: another login would wait there beside this one. `met` is the cause behind
    `why`, for those few that something is decided on.
    """

    state: State
    why: str = ""
    refused: bool = False
    hung: bool = False
    met: Met | None = field(default=None, compare=False)


WELL = Sighting(State.WELL)


def failing(why: str, met: Met | None = None, *, hung: bool = False) -> Sighting:
    """Return the sighting of a node that fails."""
    return Sighting(State.FAILING, why, hung=hung, met=met)


def unknown(why: str, *, refused: bool = False, met: Met | None = None) -> Sighting:
    """Return the sighting of a node that cannot be told about."""
    return Sighting(State.UNKNOWN, why, refused, met=met)
