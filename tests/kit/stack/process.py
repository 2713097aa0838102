"""The stack's processes: each leads a session of its own, and is told by its id together with when it started."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from nova_ha.errors import HAError
from nova_ha.sandbox.processes import end_all, marked

from kit.stack.layout import LOG, PID, STATE

ORDERLY = (signal.SIGTERM, signal.SIGKILL)
AT_ONCE = (signal.SIGKILL,)
PATIENCE_S = 5.0


def started_at(pid: int) -> str:
    """Return when the kernel says that it started, in its own count; empty where it does not run."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def pid_of(name: str) -> int:
    """Return the process of this name, or 0: never one that has got its number meanwhile."""
    try:
        pid, started = (PID / f"{name}.pid").read_text().split()
    except (OSError, ValueError):
        return 0
    return int(pid) if started_at(int(pid)) == started else 0


def names() -> list[str]:
    """Return the names of all that were started and not stopped, whether they run or not."""
    return sorted(path.stem for path in PID.glob("*.pid"))


def start(name: str, command: Sequence[str | Path], environ: Mapping[str, str | Path] | None = None) -> None:
    """Run the command in the background, and note it. Nothing where it runs already."""
    if pid_of(name):
        return
    own = {key: str(value) for key, value in (environ or {}).items()}
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    with (LOG / f"{name}.out").open("ab") as out:
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=STATE,
            env=marked({**inherited, **own}, STATE),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    (PID / f"{name}.pid").write_text(f"{process.pid} {started_at(process.pid)}\n")


def stop(name: str, signals: Sequence[signal.Signals] = ORDERLY) -> None:
    """Signal all of its session until it has ended. Idempotent."""
    for number in signals:
        if not send(name, number):
            break
        deadline = time.monotonic() + PATIENCE_S
        while pid_of(name) and time.monotonic() < deadline:
            reap()
            time.sleep(0.02)
    (PID / f"{name}.pid").unlink(missing_ok=True)


def send(name: str, number: signal.Signals) -> bool:
    """Send the signal to all of its session; False where it does not run."""
    pid = pid_of(name)
    with suppress(ProcessLookupError):
        if pid:
            os.killpg(pid, number)
            return True
    return False


def end_rest() -> None:
    """End whatever else was started for the stack and is still there: nothing else carries its mark."""
    reap()
    end_all(STATE)


def reap() -> None:
    """Collect our ended children."""
    for name in names():
        with suppress(OSError, ValueError):
            os.waitpid(int((PID / f"{name}.pid").read_text().split()[0]), os.WNOHANG)


def run(*command: str | Path) -> None:
    """Run a command of the set-up to its end, with its output in a log. Raises HAError."""
    with (LOG / "setup.out").open("ab") as out:
        words = [str(word) for word in command]
        done = subprocess.run(words, cwd=STATE, env=marked(os.environ, STATE), stdout=out, stderr=out)
    if done.returncode:
        raise HAError(f"{Path(words[0]).name} {words[-1]} failed", remedy=f"see {LOG}/setup.out")


def wait_for(what: str, look: Callable[[], bool], needed: Sequence[str] = (), within_s: float = 240.0) -> None:
    """Look until it is true. Raises HAError at the deadline, or as soon as a process that is needed has ended."""
    from keystoneauth1 import exceptions as keystone
    from novaclient import exceptions as nova

    deadline, problem = time.monotonic() + within_s, ""
    while True:
        try:
            if look():
                return
        except (
            keystone.ClientException,
            nova.ClientException,
            OSError,
        ) as error:  # a service that is not quite ready
            problem = f" ({error})"
        reap()
        for name in needed:
            if not pid_of(name):
                raise HAError(f"{name} of the stack has ended", remedy=f"see {LOG}/{name}.out")
        if time.monotonic() > deadline:
            raise HAError(f"waited {within_s:.0f} s in vain for {what}{problem}", remedy=f"see {LOG}")
        time.sleep(0.2)
