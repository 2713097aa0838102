"""`nova-ha status`: all nodes in one table, once or live."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from nova_ha.cli.clients import Clients, pass_clients
from nova_ha.cli.output import json_option, print_json, table_lines
from nova_ha.printable import printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from nova_ha.cli.overview import Overview
    from nova_ha.cli.views.status import Board

PERIOD_S = 1.0
# The first columns are not wrapped. With less room than this beside them, the table would leave out what helps.
UNWRAPPED = 3
BETWEEN = 2
ROOM_FOR_WORDS = 40


@click.command("status")
@click.option("--watch", is_flag=True, help="Show it again every second, until Ctrl-C.")
@json_option
@pass_clients
def status(clients: Clients, watch: bool, as_json: bool) -> None:
    """Show how every compute node and HA node stands, and what waits for you.

    A node that needs you has the command that helps beside it. In a pipe, --watch prints a line for each change.

    \b
      nova-ha status --watch
      nova-ha status --json | jq '.compute_nodes[] | select(.state != "well")'
    """
    if watch and as_json:
        raise click.UsageError("--watch and --json exclude each other")
    if watch:
        return _watch(clients)
    look = _look(clients)
    if as_json:
        from nova_ha.cli.views.status import as_values

        return print_json(as_values(look))
    return _print(look)


def _look(clients: Clients) -> Overview:
    from nova_ha.cli.overview import look

    return look(clients.store(), clients.clock.now())


def _print(look: Overview) -> None:
    from nova_ha.cli.views.status import board

    shown = board(look)
    if sys.stdout is not None and sys.stdout.isatty():
        console = _console()
        console.print(_rendered(shown, console.width))
        return
    for line in plain_lines(shown):
        click.echo(line)


def plain_lines(shown: Board) -> list[str]:
    """Return the board without a terminal's means."""
    from nova_ha.cli.views.status import HA_HEADS, NODE_HEADS

    lines = [printable(text) for _, text in shown.headlines]
    if shown.node_rows:
        lines += ["", *table_lines(NODE_HEADS, shown.node_rows)]
    if shown.ha_rows:
        lines += ["", *table_lines(HA_HEADS, shown.ha_rows)]
    return lines


def _watch(clients: Clients) -> None:
    if sys.stdout is not None and sys.stdout.isatty():
        _watch_live(clients)
    else:
        _watch_lines(clients)


def _watch_live(clients: Clients) -> None:
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    from nova_ha.cli.views.status import board
    from nova_ha.errors import HAError

    last: RenderableType = Text("...")
    console = _console()
    with Live(last, console=console, auto_refresh=False, screen=True) as live:
        while True:
            try:
                last = _rendered(board(_look(clients)), console.width)
                live.update(last, refresh=True)
            except HAError as error:
                live.update(Group(Text(f"{error} (what is below is old)", "bold red"), last), refresh=True)
            clients.clock.sleep(PERIOD_S)


def _watch_lines(clients: Clients) -> None:
    """Print each compute node's line when it changes: what a log, or a test, can follow."""
    from nova_ha.cli.views.status import board
    from nova_ha.errors import HAError

    before: set[str] = set()
    while True:
        try:
            look = _look(clients)
            now = _change_lines(board(look))
        except HAError as error:
            now = [str(error)]
        for line in now:
            if line not in before:
                click.echo(f"{clients.clock.now():%Y-%m-%dT%H:%M:%SZ} {printable(line)}")
        before = set(now)
        clients.clock.sleep(PERIOD_S)


def _change_lines(shown: Board) -> list[str]:
    return [*(text for _, text in shown.headlines), *_node_lines(shown)]


def _node_lines(shown: Board) -> list[str]:
    rows = [(name, state, what, way) for name, state, _, what, way in shown.node_rows]
    return [
        " ".join(filter(None, (name, state, what and f"({what})", way and f"=> {way}")))
        for name, state, what, way in rows
    ]


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False)


def _rendered(shown: Board, width: int) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    from nova_ha.cli.views.status import COLOURS, HA_HEADS, NODE_HEADS

    parts: list[RenderableType] = [Text(printable(text), style=colour) for colour, text in shown.headlines]
    colours = [COLOURS[standing.condition] for standing in shown.standings]
    if width < _width_of_names(shown) + ROOM_FOR_WORDS:
        lines = [*_node_lines(shown), *(" ".join(filter(None, row)) for row in shown.ha_rows)]
        return Group(*parts, *(Text(printable(line)) for line in lines))
    if shown.node_rows:
        parts.append(_table(NODE_HEADS, shown.node_rows, colours))
    if shown.ha_rows:
        parts.append(_table(HA_HEADS, shown.ha_rows, [""] * len(shown.ha_rows)))
    return Group(*parts)


def _width_of_names(shown: Board) -> int:
    """Return the width of the first three columns of the compute nodes' table, in characters."""
    rows = [row[:UNWRAPPED] for row in shown.node_rows]
    return sum(max(map(len, column)) + BETWEEN for column in zip(*rows, strict=True))


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], colours: Sequence[str]) -> RenderableType:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for position, head in enumerate(heads):
        table.add_column(head, no_wrap=position < UNWRAPPED, overflow="fold")
    for row, colour in zip(rows, colours, strict=True):
        table.add_row(*(Text(printable(cell), style=colour if place == 1 else "") for place, cell in enumerate(row)))
    return table
