"""Passwords: from a prompt, a file, or standard input; never from an argument, which everybody can see."""

from __future__ import annotations

import os
import sys

import click

from nova_ha.errors import ConfigError


def read_secret(source: str | None, what: str, *, ask: bool) -> str | None:
    """Return the secret: the first line of the file `source` (`-`: of standard input), or what is typed.

    None where there is no source and nobody to ask, or `ask` is False. Raises ConfigError, never showing it.
    """
    if source == "-":
        return _line(sys.stdin.readline() if sys.stdin else "", what, "standard input")
    if source is not None:
        return _line(_first_line(source), what, source)
    if ask and sys.stdin is not None and sys.stdin.isatty():
        return str(click.prompt(what, hide_input=True, err=True))
    return None


def _first_line(path: str) -> str:
    try:
        with open(os.path.expanduser(path), encoding="utf-8") as file:
            return file.readline()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"{path} cannot be read: {reason}") from None


def _line(text: str, what: str, source: str) -> str:
    line = text.rstrip("\r\n")
    if not line:
        raise ConfigError(f"{source} has no {what} in its first line")
    return line
