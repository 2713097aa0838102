"""How the processes of a sandbox were called: looked at again and again, as they come and go."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

from nova_ha.sandbox.processes import MARK

EVERY_S = 0.1
# A process shows its parent's arguments between its fork and its exec.
LOOKS_AT_EACH = 4


class ArgumentWatch:
    """Notes the arguments of every process that carries the sandbox's mark. `seen` has them once each, with a pid."""

    def __init__(self, directory: Path) -> None:
        self._mark = f"{MARK}={directory}".encode()
        self._looks: dict[str, int] = {}
        self._known: dict[str, str] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="arguments", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End. Idempotent."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def seen(self) -> list[tuple[str, str]]:
        """The pid of the first process that was called so, and its arguments."""
        return [(pid, text) for text, pid in list(self._known.items())]

    def look(self) -> None:
        """Look once."""
        present = [name for name in os.listdir("/proc") if name.isdigit()]
        self._looks = {pid: self._looks.get(pid, 0) + 1 for pid in present}
        for pid in present:
            if self._looks[pid] <= LOOKS_AT_EACH:
                with suppress(OSError):
                    self._read(pid)

    def _read(self, pid: str) -> None:
        folder = Path("/proc", pid)
        if self._mark in (folder / "environ").read_bytes().split(b"\0"):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            self._known.setdefault(" ".join(word.decode(errors="replace") for word in words).strip(), pid)

    def _watch(self) -> None:
        while not self._ended.wait(EVERY_S):
            self.look()
