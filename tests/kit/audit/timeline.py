"""One thing over time: what it was at a moment, and since when."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from datetime import datetime
from typing import Generic, TypeVar

T = TypeVar("T")


class Timeline(Generic[T]):
    """Values with the moments from which they were so; `first` is what was so before."""

    def __init__(self, first: T, changes: Iterable[tuple[datetime, T]]) -> None:
        rows = sorted(changes, key=lambda row: row[0])
        self._moments = [moment for moment, _ in rows]
        self._values = [first, *(value for _, value in rows)]

    def at(self, moment: datetime) -> T:
        """Return what it was at the moment, changes of that moment included."""
        return self._values[bisect_right(self._moments, moment)]

    def during(self, began: datetime, ended: datetime) -> list[T]:
        """Return all that it was in that time, oldest first."""
        return self._values[bisect_right(self._moments, began) : bisect_right(self._moments, ended) + 1]

    def since(self, moment: datetime) -> datetime | None:
        """Return since when it is what it is at the moment: without a break, however often it was said; None where
        it was so from the start."""
        place = bisect_right(self._moments, moment)
        value = self._values[place]
        while place > 0 and self._values[place - 1] == value:
            place -= 1
        return self._moments[place - 1] if place else None

    @property
    def last(self) -> T:
        """What it is in the end."""
        return self._values[-1]
