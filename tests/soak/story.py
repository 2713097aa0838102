"""The story of a soak: one line for each event, with the time, on the terminal and in a file."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path


class Story:
    """Tells as it goes. `round_lines` are those of the present round."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = file.open("w")
        self.file = file
        self.round_number = 0
        self.round_lines: list[str] = []

    def begin(self, number: int) -> None:
        """Begin a round."""
        self.round_number, self.round_lines = number, []

    def tell(self, what: str) -> None:
        """Tell one event."""
        now = datetime.now()
        line = f"{now:%H:%M:%S}.{now.microsecond // 100000} r{self.round_number:<3} {what}"
        self.round_lines.append(line)
        print(line, flush=True)
        print(line, file=self._file, flush=True)
