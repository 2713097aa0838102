"""The options that an operator's decisions share: who, why, and for how long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from nova_ha.cli.completion import complete_compute_node
from nova_ha.cli.words import Moment, Span, operator_name

F = TypeVar("F", bound=Callable[..., Any])

node_argument = click.argument("name", metavar="NODE", shell_complete=complete_compute_node)


def by_option(function: F) -> F:
    """Add `--by`."""
    return click.option("--by", default=operator_name, help="Who decides.  [default: user@machine]")(function)


def record_options(function: F) -> F:
    """Add `--why` and `--by`, which go into the record."""
    return click.option("--why", default="", metavar="TEXT", help="The reason, for the record.")(by_option(function))


def limit_options(what: str, default: str) -> Callable[[F], F]:
    """Add `--for` and `--until`."""

    def add(function: F) -> F:
        until = click.option("--until", type=Moment(), metavar="MOMENT", help="The same as a moment (ISO 8601).")
        span = click.option("--for", "span", type=Span(), metavar="SPAN", help=f"{what}  [default: {default}]")
        return span(until(function))

    return add
