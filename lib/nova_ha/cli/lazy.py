"""A group whose commands are imported when they are used: start-up is most of what a short command costs."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click

from nova_ha.cli.command_guard import BY_CLOSED_PIPE, silence_output

# Where the commands are.
COMMANDS = "nova_ha.cli.commands."


@dataclass(frozen=True)
class Place:
    """Where a command is: `module:attribute`; and its line in the group's help, so that help imports nothing."""

    target: str
    help: str

    def load(self) -> click.Command:
        """Import the command."""
        module, _, attribute = self.target.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command), self.target
        return command


class LazyGroup(click.Group):
    """A group with a fixed list of places."""

    def __init__(self, *args: Any, places: Mapping[str, Place], **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.places = places

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = self.places.get(cmd_name)
        return place.load() if place else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, place.help) for name, place in self.places.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Caught before click does, which would exit with 1: a filter that has seen enough is no failure of ours.
            silence_output()
            raise SystemExit(BY_CLOSED_PIPE) from None
