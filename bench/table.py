"""The figures as a table, and as JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.figure import Figure

COLUMNS = ("", "what", "measured", "to reach", "")
COLOURS = {True: "green", False: "red", None: ""}


def conditions(consul: str, load_before: float) -> str:
    """Return where and when this was measured, and how busy the machine was over the last minute of either end."""
    return (
        f"{_processors()} processors, {_system()}, Python {platform.python_version()}, {consul}, "
        f"{datetime.now(UTC):%Y-%m-%d}; load {load_before:.1f} when it began, {load():.1f} when it ended"
    )


def load() -> float:
    """Return how many processes ran or wanted to, on average over the last minute."""
    return os.getloadavg()[0]


def print_table(figures: Sequence[Figure], caption: str) -> None:
    """Print them for people: green where the figure is reached, red where it is not."""
    table = Table(caption=caption, caption_justify="left")
    for name in COLUMNS:
        table.add_column(name, justify="right" if name in ("measured", "to reach") else "left", overflow="fold")
    for group in _groups(figures):
        for number, figure in enumerate(group):
            colour = COLOURS[figure.reached]
            measured = f"[{colour}]{figure.measured}[/]" if colour else figure.measured
            name = figure.row if number == 0 else ""
            last = number == len(group) - 1
            table.add_row(name, figure.what, measured, figure.to_reach, figure.note, end_section=last)
    console = Console()
    # In a log file there is no width to keep to.
    Console(width=console.width if console.is_terminal else 160).print(table)


def print_json(figures: Sequence[Figure], caption: str) -> None:
    """Print them for programs."""
    rows = [{**asdict(figure), "reached": figure.reached} for figure in figures]
    print(json.dumps({"conditions": caption, "figures": rows}, indent=1, ensure_ascii=False))


def _groups(figures: Sequence[Figure]) -> Sequence[Sequence[Figure]]:
    names = dict.fromkeys(figure.row for figure in figures)
    return [[figure for figure in figures if figure.row == name] for name in names]


def _processors() -> int:
    return len(os.sched_getaffinity(0))


def _system() -> str:
    release = Path("/etc/os-release")
    lines = release.read_text().splitlines() if release.exists() else []
    named = next((line for line in lines if line.startswith("PRETTY_NAME=")), "")
    return named.partition("=")[2].strip('"').split(" (")[0] or platform.system()
