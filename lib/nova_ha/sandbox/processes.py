"""The sandbox's processes: started in the background with a log, and all found again by a mark."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from nova_ha.errors import HAError

MARK = "NOVA_HA_SANDBOX"
LEADS_OUT = ("CONSUL_", "OS_", "NOVA_HA_NOTIFY")


class Child:
    """One process of the sandbox, leader of its own session, with its output in `log`.

    With `tied` its standard input is a pipe that ends with this process: for those that end with their input.
    """

    def __init__(
        self, name: str, argv: Sequence[str], environ: Mapping[str, str], log: Path, *, tied: bool = False
    ) -> None:
        self.name = name
        self.argv = list(argv)
        self.environ = dict(environ)
        self.log = log
        self.tied = tied
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it (again)."""
        if self.running:
            raise HAError(f"{self.name} runs already")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.argv,
                env=self.environ,
                stdin=subprocess.PIPE if self.tied else subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id. Raises HAError where it was never started."""
        if self._process is None:
            raise HAError(f"{self.name} was never started")
        return self._process.pid

    @property
    def running(self) -> bool:
        """True until it has ended (also while it is suspended)."""
        return self._process is not None and self._process.poll() is None

    def stop(self, patience_s: float = 10.0) -> None:
        """Ask it to end (SIGTERM) and wait; end it after `patience_s`. Idempotent."""
        if self._process is None:
            return
        self._process.terminate()
        self.resume()
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it at once (SIGKILL) and wait. Idempotent."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def suspend(self) -> None:
        """Stop it in its tracks (SIGSTOP): its sockets stay open and nobody answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `suspend`."""
        self._signal(signal.SIGCONT)

    def last_words(self, lines: int = 5) -> str:
        """Return the end of its log, for an error message."""
        with suppress(FileNotFoundError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)


def own_environment() -> dict[str, str]:
    """Return this process's environment, without what leads out of a rehearsal: to another Consul, to a real
    OpenStack (its `OS_CLOUD` counts before what the sandbox says), or to people.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith(LEADS_OUT)}


def marked(environ: Mapping[str, str], directory: Path) -> dict[str, str]:
    """Return the environment with the mark of the sandbox in `directory`; children hand it on."""
    return {**environ, MARK: str(directory)}


def find(directory: Path, word: str) -> list[int]:
    """Return the process ids of this sandbox's processes that have `word` in their command line."""
    found = []
    for number, pidfd in _open_marked(directory):
        os.close(pidfd)
        with suppress(OSError):
            if word.encode() in Path("/proc", str(number), "cmdline").read_bytes():
                found.append(number)
    return found


def end_all(directory: Path, within_s: float = 10.0) -> None:
    """SIGKILL every process that carries the mark of this sandbox, whoever started it, and wait for it.

    A process is held by its pidfd before its environment is read, so that no other one that has got its
    number meanwhile can be hit. Raises HAError when some are left after `within_s` seconds.
    """
    deadline = time.monotonic() + within_s
    while left := [pidfd for _, pidfd in _open_marked(directory)]:
        _end(left)
        if time.monotonic() > deadline:
            raise HAError(f"{len(left)} processes of the sandbox in {directory} do not end")


def end_one(number: int, directory: Path) -> None:
    """SIGKILL this process and wait for it, if it still is one of this sandbox; else do nothing."""
    if (pidfd := _open_if_marked(number, directory)) is not None:
        _end([pidfd])


def signal_one(number: int, directory: Path, what: signal.Signals) -> bool:
    """Send the process a signal if it still is one of this sandbox; False where it is not."""
    if (pidfd := _open_if_marked(number, directory)) is None:
        return False
    try:
        signal.pidfd_send_signal(pidfd, what)
    finally:
        os.close(pidfd)
    return True


def _end(pidfds: Sequence[int]) -> None:
    for pidfd in pidfds:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    for pidfd in pidfds:
        select.select([pidfd], [], [], 2.0)
        os.close(pidfd)


def _open_marked(directory: Path) -> Iterator[tuple[int, int]]:
    numbers = (int(entry) for entry in os.listdir("/proc") if entry.isdigit())
    for number in numbers:
        if number != os.getpid() and (pidfd := _open_if_marked(number, directory)) is not None:
            yield number, pidfd


def _open_if_marked(number: int, directory: Path) -> int | None:
    try:
        pidfd = os.pidfd_open(number)
    except OSError:
        return None
    with suppress(OSError):
        wanted = f"{MARK}={directory}".encode()
        if wanted in Path("/proc", str(number), "environ").read_bytes().split(b"\0"):
            return pidfd
    os.close(pidfd)
    return None
