"""The guard around every command: whatever happens becomes one line and an exit code, never a traceback."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Sequence

import click

from nova_ha.errors import ExitCode, HAError
from nova_ha.guard import discard, in_one_line

BY_CONTROL_C = 128 + signal.SIGINT
BY_CLOSED_PIPE = 128 + signal.SIGPIPE


def run(command: click.Command, arguments: Sequence[str] | None = None, clients: object = None) -> int:
    """Run the command and return its exit code; an int that it returns is its exit code.

    `clients` replaces what its commands work with, for tests.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        return _run(command, words, clients)
    finally:
        _let_go_of_what_cannot_be_written()


def _run(command: click.Command, words: Sequence[str], clients: object) -> int:
    try:
        outcome = command.main(list(words), prog_name="nova-ha", standalone_mode=False, obj=clients)
        code = int(outcome) if isinstance(outcome, int) else ExitCode.DONE
        _flush()
    except BrokenPipeError:
        silence_output()
        return BY_CLOSED_PIPE
    except click.exceptions.Abort as abort:
        return (
            BY_CONTROL_C if isinstance(abort.__cause__, KeyboardInterrupt) else _failed("nothing was entered", words)
        )
    except (KeyboardInterrupt, click.ClickException, HAError) as error:
        return _explain(error, words)
    # The one broad clause: a crash is one line for the operator too. `NOVA_HA_DEBUG=1` shows where it was.
    except Exception as error:
        if os.environ.get("NOVA_HA_DEBUG"):
            raise
        return _failed(f"{type(error).__name__}: {error} (NOVA_HA_DEBUG=1 shows where)", words)
    return code


def silence_output() -> None:
    """Point standard output at nothing: its reader has gone, and the interpreter flushes it once more."""
    discard(sys.stdout.fileno())


def _let_go_of_what_cannot_be_written() -> None:
    """Point a standard stream that takes nothing more at nothing: at its end the interpreter would exit with 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            # None where the command was started with it closed.
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            discard(stream.fileno())


def _explain(error: KeyboardInterrupt | click.ClickException | HAError, words: Sequence[str]) -> int:
    if isinstance(error, KeyboardInterrupt):
        return BY_CONTROL_C
    if isinstance(error, HAError):
        return _failed(str(error), words, error.exit_code)
    with contextlib.suppress(OSError):
        error.show()
    return _code(words, error.exit_code)


def _failed(what: str, words: Sequence[str], code: int = ExitCode.FAILED) -> int:
    # Standard error may be a full disk: the exit code still is what it is.
    with contextlib.suppress(OSError):
        click.echo("Error: " + in_one_line(what), err=True)
    return _code(words, code)


def _code(words: Sequence[str], code: int) -> int:
    """Return the code; of a check it is 1, "cannot tell": Consul would read 2 as critical."""
    first = next((word for word in words if not word.startswith("-")), "")
    return ExitCode.FAILED if first == "check" else code


def _flush() -> None:
    # None where the command was started with its output closed.
    if sys.stdout is not None:
        sys.stdout.flush()
