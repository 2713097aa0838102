"""A figure: what was measured in this run, and what is to be reached."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One row. `most` and `least` are the values that are still good; without either nothing is to be reached.

    `value` is None where it could not be measured; `note` then says why. `digits` are shown after the point.
    """

    row: str
    what: str
    value: float | None
    unit: str = ""
    most: float | None = None
    least: float | None = None
    note: str = ""
    digits: int = 1

    @property
    def reached(self) -> bool | None:
        """Whether the value, as it is shown, is good; None where nothing is to be reached or was measured."""
        if self.value is None or (self.most is None and self.least is None):
            return None
        shown = round(self.value, self.digits)
        return (self.most is None or shown <= self.most) and (self.least is None or shown >= self.least)

    @property
    def measured(self) -> str:
        """The value in words."""
        return "not measured" if self.value is None else _in_words(self.value, self.unit, self.digits)

    @property
    def to_reach(self) -> str:
        """What is still good, in words."""
        bounds = {"≤": self.most, "≥": self.least}
        if self.most == 0:
            return _in_words(0, self.unit, 0)
        named = [f"{sign} {_in_words(b, self.unit, 0 if b == int(b) else 1)}" for sign, b in bounds.items() if b]
        return ", ".join(named)


def _in_words(number: float, unit: str, digits: int) -> str:
    return f"{number:,.{digits}f} {unit}".strip()


def not_measured(row: str, why: str) -> Figure:
    """Return the row of something that could not be measured."""
    return Figure(row, row, None, note=" ".join(why.split()))
