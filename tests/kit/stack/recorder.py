"""Where the guests of the stack are, recorded all the time."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from contextlib import suppress

from kit.stack.layout import GUESTS

EVERY_S = 0.05


class Recorder:
    """Looks at the guests of all hosts again and again; a context manager.

    `overlaps` has every server that was seen on two hosts at once, with these; `looks` says how often it looked.
    """

    def __init__(self) -> None:
        self.overlaps: list[Mapping[str, object]] = []
        self.looks = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._record, name="recorder of guests", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End. Idempotent."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> None:
        """Look once. A guest is there as long as its file is, running or not."""
        places: dict[str, set[str]] = {}
        for host in os.listdir(GUESTS):
            with suppress(FileNotFoundError):
                for server in os.listdir(GUESTS / host):
                    places.setdefault(server, set()).add(host)
        twice = [{"server": server, "hosts": sorted(where)} for server, where in places.items() if len(where) > 1]
        self.overlaps += [entry for entry in twice if entry not in self.overlaps]
        self.looks += 1

    def _record(self) -> None:
        while not self._ended.wait(EVERY_S):
            self.look()
