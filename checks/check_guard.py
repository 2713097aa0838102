"""The guard around every check: whatever happens becomes a verdict's line and an exit code as Consul reads them.

Exit 0 is passing, 1 a warning, which is also "cannot tell", and 2 critical. A crash and a usage error are 1: a
mistake in one configuration file must never look like a failure of all nodes.
"""

from __future__ import annotations

import io
import os
import signal
import socket
import sys
import time
import warnings
import zlib
from contextlib import redirect_stdout
from types import FrameType
from typing import NoReturn

import click
from nova_ha.limits import sweep_limits

CANNOT_TELL = 1
# How long after its deadline a check that still runs is ended from inside: before Consul's time-out, which is
# critical, and so says more than we know.
GRACE_S = 0.6

_started: float | None = None


def run(command: click.Command) -> NoReturn:
    """Run the command with this process's arguments, as Consul does. Does not return."""
    global _started
    _started = _process_start()
    _keep_standard_error_out_of_the_output()
    # Printed whole at the end: whether anybody can read it must not decide what the check does.
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            outcome = command.main(prog_name=f"nova-ha-check-{command.name}", standalone_mode=False)
        text, code = printed.getvalue(), outcome if isinstance(outcome, int) else 0
    # The one broad clause: also SystemExit and Control-C, after which nothing is known of any node.
    except BaseException as error:
        text, code = _explained(error), CANNOT_TELL
    _end(text, code)


def spent_s() -> float:
    """Return how long ago this check was started, its imports included; 0 where it is no process of its own."""
    return 0.0 if _started is None else time.clock_gettime(time.CLOCK_BOOTTIME) - _started


def await_turn(interval_s: float) -> None:
    """Wait for the next turn of this agent, and let this check's time begin there.

    Consul starts its interval anew when a check has ended, so a check that meets dead hosts, and waits for them,
    would come round late. Turns come every `interval_s` by the boot's clock, at another moment for each agent.
    Whoever starts a little late takes the turn that has just come.
    """
    global _started
    agent = f"{socket.gethostname()} {os.environ.get('CONSUL_HTTP_ADDR', '')}"
    phase = zlib.crc32(agent.encode()) % 1000 / 1000 * interval_s
    late_s = (time.clock_gettime(time.CLOCK_BOOTTIME) - phase) % interval_s
    if late_s > sweep_limits(interval_s).late_s:
        time.sleep(interval_s - late_s)
    _started = time.clock_gettime(time.CLOCK_BOOTTIME)


def end_by(deadline_s: float) -> None:
    """End this check with "cannot tell" if it still runs `GRACE_S` after the deadline, counted from its start."""
    if _started is None:
        return

    def give_up(number: int, frame: FrameType | None) -> None:
        _end("UNKNOWN cannot tell: the check did not end by its deadline\n", CANNOT_TELL)

    signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, max(deadline_s - spent_s(), 0.0) + GRACE_S)


def boot_id() -> str:
    """Return the id of this machine's boot: its clock since boot says nothing about another one's."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def _process_start() -> float:
    """Return when this process was started, by CLOCK_BOOTTIME: importing has its share of a deadline."""
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    try:
        with open("/proc/self/stat", encoding="utf-8", errors="replace") as file:
            started = int(file.read().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return now
    # Some sandboxes show another boot's clock in /proc.
    return started if now - 60 < started <= now else now


def _keep_standard_error_out_of_the_output() -> None:
    """Consul puts standard error into a check's output, where one warning of a library would spoil the report."""
    if os.environ.get("NOVA_HA_DEBUG"):
        return
    warnings.simplefilter("ignore")
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)


def _explained(error: BaseException) -> str:
    from nova_ha.errors import HAError
    from nova_ha.guard import in_one_line

    if isinstance(error, click.UsageError):
        what = f"wrong usage: {error.format_message()}"
    elif isinstance(error, HAError):
        what = f"cannot tell: {error}"
    else:
        what = f"cannot tell: {type(error).__name__}: {error}"
    return in_one_line(f"UNKNOWN {what}") + "\n"


def _end(text: str, code: int) -> NoReturn:
    try:
        if sys.__stdout__ is not None:
            sys.__stdout__.write(text)
            sys.__stdout__.flush()
    except (OSError, ValueError, RuntimeError):
        pass  # nobody reads us: the exit code is still right
    # Without waiting for threads that still resolve a name.
    os._exit(code)
