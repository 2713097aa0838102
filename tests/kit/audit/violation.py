"""What the auditor has found."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Violation:
    """An invariant that did not hold: when, for which host (empty: for the cluster), and what was seen."""

    invariant: str
    at: datetime
    host: str
    sentence: str

    def __str__(self) -> str:
        where = f" {self.host}" if self.host else ""
        return f"{self.invariant} {self.at:%H:%M:%S.%f}{where}: {self.sentence}"
