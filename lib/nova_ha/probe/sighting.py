"""What one look at one node gave: three-valued, with its reason."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class State(enum.Enum):
    """How a node was seen. UNKNOWN is a node that nobody can tell about: it is neither WELL nor FAILING."""

    WELL = "well"
    FAILING = "failing"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Sighting:
    """One look at one node. `why` is in words for the operator, empty where the node is well.

    `refused` says that the node is alive and refused our credentials: it would refuse them again. `hung` says that
    it took a login and then fell silent: another login would wait there beside this one.
    """

    state: State
    why: str = ""
    refused: bool = False
    hung: bool = False


WELL = Sighting(State.WELL)


def failing(why: str, *, hung: bool = False) -> Sighting:
    """Return the sighting of a node that fails."""
    return Sighting(State.FAILING, why, hung=hung)


def unknown(why: str, *, refused: bool = False) -> Sighting:
    """Return the sighting of a node that cannot be told about."""
    return Sighting(State.UNKNOWN, why, refused)
