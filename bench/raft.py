"""What was written to Consul's Raft log, by kind, from a server's own telemetry."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType

from nova_ha.errors import ConsulError
from nova_ha.sandbox.consul import Datacenter

# Consul sums its telemetry up over so many seconds, by the clock on the wall.
WINDOW_S = 10
PREFIX = "consul.fsm."
# One entry each: a write to the KV store, a transaction, a check's or service's change, a session.
OURS = ("kvs", "txn", "register", "deregister", "session")


class RaftWrites:
    """Counts the entries of the log by kind while it is entered; it is left at the end of a window."""

    def __init__(self, datacenter: Datacenter) -> None:
        self._datacenter = datacenter
        self._windows: dict[str, Mapping[str, int]] = {}
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._collect, daemon=True)

    def __enter__(self) -> RaftWrites:
        await_window()
        # The window that has just ended is the last one that is not ours.
        self._before = self._read()[0]
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        await_window()
        self._leaving.set()
        self._thread.join()
        self._note()

    @property
    def entries(self) -> Counter[str]:
        """How many entries of each kind; a kind is the name of Consul's metric without `consul.fsm.`."""
        windows = (counts for begin, counts in self._windows.items() if begin > self._before)
        return sum(map(Counter, windows), Counter())

    @property
    def ours(self) -> int:
        """How many entries checks, handlers and commands can have caused."""
        return sum(self.entries[kind] for kind in OURS)

    @property
    def others(self) -> str:
        """Consul's own entries, in words."""
        rest = {kind: count for kind, count in sorted(self.entries.items()) if kind not in OURS}
        return ", ".join(f"{count} {kind}" for kind, count in rest.items()) or "none"

    def _collect(self) -> None:
        while not self._leaving.wait(WINDOW_S / 4):
            self._note()

    def _note(self) -> None:
        with suppress(ConsulError):
            begin, counts = self._read()
            self._windows[begin] = counts

    def _read(self) -> tuple[str, Mapping[str, int]]:
        """Return the last whole window: when it began, and its counts."""
        said = self._datacenter.ask("/v1/agent/metrics")
        counts: Counter[str] = Counter()
        for sample in said["Samples"]:
            if sample["Name"].startswith(PREFIX):
                counts[sample["Name"].removeprefix(PREFIX)] += sample["Count"]
        return said["Timestamp"], counts


def await_window() -> None:
    """Wait until a new window has begun."""
    time.sleep(WINDOW_S - time.time() % WINDOW_S + 0.2)
