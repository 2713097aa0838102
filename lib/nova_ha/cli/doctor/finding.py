"""What an examination finds: one line each."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Level(enum.Enum):
    """How good it is. Only BAD makes `doctor` fail."""

    OK = "ok"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True)
class Finding:
    """One thing that was tried: of what, how it went, and what helps (empty where all is well)."""

    level: Level
    area: str
    subject: str
    what: str
    remedy: str = ""


def ok(area: str, subject: str, what: str) -> Finding:
    """Return a good one."""
    return Finding(Level.OK, area, subject, what)


def warning(area: str, subject: str, what: str, remedy: str) -> Finding:
    """Return one that an operator should know, and that stops no recovery."""
    return Finding(Level.WARNING, area, subject, what, remedy)


def bad(area: str, subject: str, what: str, remedy: str) -> Finding:
    """Return one that stops a recovery, or may."""
    return Finding(Level.BAD, area, subject, what, remedy)
