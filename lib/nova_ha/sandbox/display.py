"""What a rehearsal shows on the terminal: events as they happen, the times by step, and the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nova_ha.sandbox.snapshot import Kind, TimelineEvent
from nova_ha.sandbox.timeline import Milestone

COLOURS = {
    Kind.STRIKE: "bold red",
    Kind.INTERVAL: "yellow",
    Kind.FAILED: "bold yellow",
    Kind.STEP: "cyan",
    Kind.SERVER: "green",
    Kind.REFUSED: "bold magenta",
    Kind.FINISHED: "bold green",
    Kind.OPERATOR: "blue",
}


PICTURE_WIDTH = 132


class Display:
    """Prints to the terminal, or plain lines where the output is none."""

    def __init__(self, console: Console | None = None, *, record: bool = False) -> None:
        width = PICTURE_WIDTH if record else None
        self.console = console or Console(highlight=False, soft_wrap=not record, record=record, width=width)
        self._began: datetime | None = None

    def save(self, path: Path, title: str) -> None:
        """Write what was shown as an SVG; the display must record."""
        self.console.save_svg(str(path), title=title)

    def say(self, words: str) -> None:
        """Print a line of our own."""
        self.console.print(Text(words, style="bold"))

    def tell(self, event: TimelineEvent) -> None:
        """Print an event, with the time of day and the seconds since the first one."""
        self._began = self._began or event.at
        line = Text(f"{event.at:%H:%M:%S}.{event.at.microsecond // 100000} ", style="dim")
        line.append(f"{(event.at - self._began).total_seconds():6.1f} s  ", style="dim")
        line.append(f"{event.node:<10} ")
        line.append(f"{event.kind.value:<9} ", style=COLOURS[event.kind])
        line.append(event.words)
        self.console.print(line)

    def times(self, node: str, milestones: Sequence[Milestone]) -> None:
        """Print how long each step took."""
        table = Table(title=f"{node}: from the loss of the host to the end", title_justify="left")
        table.add_column("step")
        table.add_column("after", justify="right")
        table.add_column("took", justify="right")
        for milestone in milestones:
            table.add_row(milestone.what, f"{milestone.after_s:.1f} s", f"{milestone.took_s:.1f} s")
        self.console.print(table)

    def output(self, command: str, text: str) -> None:
        """Print a command with what it has printed."""
        self.console.print(Text(f"$ {command}", style="bold"))
        self.console.print(Text(text.rstrip()))

    def verdict(self, expected: str, mistakes: Sequence[str]) -> None:
        """Print whether it has ended as it should."""
        if not mistakes:
            self.console.print(Text(f"As it should: {expected}.", style="bold green"))
        for mistake in mistakes:
            self.console.print(Text(f"WRONG: {mistake}", style="bold red"))
