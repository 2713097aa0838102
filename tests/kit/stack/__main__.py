"""python -m kit.stack run COMMAND...   up, the command, down; its exit code
python -m kit.stack install           what the others need, once
python -m kit.stack up [COMPUTES [HA]]
python -m kit.stack down
python -m kit.stack status
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from types import FrameType

from nova_ha.errors import HAError
from nova_ha.sandbox.provide import say

from kit.stack import lifecycle, process
from kit.stack.install import install
from kit.stack.layout import HOME

COMPUTES, HA = 4, 3
ENDING = (signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Keep other runs out: they wait."""
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say(f"openstack: waiting for another run with the stack in {HOME}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        # A process of the stack must not keep it.
        os.set_inheritable(lock.fileno(), False)
        yield


def run(command: Sequence[str]) -> int:
    """Run the command with the stack up, and return its exit code; a stack that was up before stays up."""
    found = bool(lifecycle.running()) and not (HOME / "run").exists()
    try:
        if not found:
            # A run that was killed leaves its note and its processes: they end before ours start.
            lifecycle.down()
            (HOME / "run").touch()
        lifecycle.up(COMPUTES, HA)
        return to_its_end(command)
    finally:
        if not found:
            say("openstack: stopping it")
            lifecycle.down()
            (HOME / "run").unlink(missing_ok=True)


def to_its_end(command: Sequence[str]) -> int:
    """Run the command. The terminal's interrupt reaches it by itself; what else would end us is handed on as one."""
    # In the background of a script, where interrupts are ignored, it would not get ours.
    child = subprocess.Popen(command, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in ENDING:
        signal.signal(number, lambda *_: child.send_signal(signal.SIGINT))
    code = child.wait()
    return code if code >= 0 else 128 - code


def status() -> None:
    """Print each process."""
    for name in process.names():
        print(f"{name:16} {process.pid_of(name) or 'has ended'}")


def terminated(number: int, frame: FrameType | None) -> None:
    """Treat SIGTERM and SIGHUP as an interrupt, so that everything is stopped."""
    raise KeyboardInterrupt


def main(words: Sequence[str]) -> int:
    """Do what the words say."""
    for number in ENDING:
        signal.signal(number, terminated)
    match words:
        case ["install"]:
            with alone():
                install()
        case ["run", *command] if command:
            with alone():
                install()
                return run(command)
        case ["up", *numbers] if len(numbers) <= 2 and all(word.isdigit() for word in numbers):
            with alone():
                install()
                (HOME / "run").unlink(missing_ok=True)
                lifecycle.up(*(*map(int, numbers), *(COMPUTES, HA)[len(numbers) :]))
        case ["down"]:
            with alone():
                lifecycle.down()
        case ["status"]:
            status()
        case _:
            print(__doc__, end="", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except HAError as error:
        say(f"openstack: {error}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
