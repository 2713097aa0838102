"""The guard around a handler: whatever happens becomes one line on standard error and an exit code."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from nova_ha.errors import ExitCode, HAError
from nova_ha.guard import discard, in_one_line
from nova_ha.log import OneLine

FORMAT = "%(levelname)s %(message)s"


def run_handler(name: str, handle: Callable[[], int], arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the handler and exit with what it returns, or with the error's code. Standard input is never read."""
    _open_standard_streams()
    _log_to_standard_error()
    logging.getLogger("nova_ha").setLevel(logging.INFO)
    # Printed whole at the end: whether anybody reads it must not decide what the handler does.
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = run(name, handle, sys.argv[1:] if arguments is None else arguments)
    _print(printed.getvalue())
    _let_go_of_standard_error()
    sys.exit(code)


def _log_to_standard_error() -> None:
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(OneLine(FORMAT))
    logging.basicConfig(handlers=[stream])


def run(name: str, handle: Callable[[], int], arguments: Sequence[str] = ()) -> int:
    """Return the exit code; every error is one line, a crash too."""
    if arguments:
        _say(f"{name}: takes no arguments, it is for Consul's watches: by hand use `nova-ha handle`")
        return ExitCode.USAGE
    try:
        return int(handle())
    except HAError as error:
        _say(f"{name}: {error}")
        return int(error.exit_code)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    # The one broad clause. `NOVA_HA_DEBUG=1` shows where it was.
    except Exception as error:
        if os.environ.get("NOVA_HA_DEBUG"):
            raise
        _say(f"{name}: {type(error).__name__}: {error} (NOVA_HA_DEBUG=1 shows where)")
        return ExitCode.FAILED


def _say(text: str) -> None:
    # The agent's pipe may be gone: the exit code still is what it is.
    with contextlib.suppress(OSError, ValueError):
        print(in_one_line(text), file=sys.stderr, flush=True)


def _open_standard_streams() -> None:
    """Give a closed stream /dev/null: else the next connection gets its number, and whatever is written to it."""
    for stream in (0, 1, 2):
        try:
            os.fstat(stream)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _print(text: str) -> None:
    if sys.stdout is None:
        return
    try:
        print(text, end="", flush=True)
    except (OSError, ValueError):
        discard(1)


def _let_go_of_standard_error() -> None:
    """Write what is left of it, or nothing: what was said to a full disk stays in the stream's buffer."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.flush()
    except (OSError, ValueError):
        discard(2)
