"""A recovery handler that a test starts itself, to kill it or stop it in its tracks."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

LIMIT_S = 300.0


class Driver:
    """One recovery handler that a test has started itself, on an HA node."""

    def __init__(self, argv: Sequence[str], environ: Mapping[str, str], log: Path) -> None:
        self.name = log.name
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                argv, env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )

    @property
    def output(self) -> str:
        """What it has printed."""
        return self._log.read_text()

    @property
    def running(self) -> bool:
        """True until it has ended."""
        return self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.wait()

    def suspend(self) -> None:
        """SIGSTOP."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._process.send_signal(signal.SIGCONT)

    def end(self) -> int:
        """Wait for its end, and return its exit code."""
        return self._process.wait(LIMIT_S)
