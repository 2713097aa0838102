"""What a command costs: wall clock, CPU, memory, with all processes that it starts."""

from __future__ import annotations

import os
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

# Looking at the memory takes CPU as well: at most so much of it is spent on that.
LOOKING_SHARE = 0.1


@dataclass(frozen=True)
class Usage:
    """What one run took. `peak_mib` is 0 unless it was asked for."""

    wall_s: float
    cpu_s: float
    code: int
    output: str = field(repr=False)
    peak_mib: float = 0.0


def run(argv: Sequence[str], environ: Mapping[str, str], *, memory: bool = False) -> Usage:
    """Run the command to its end. Its CPU is its own and that of all descendants that were waited for."""
    started = time.monotonic()
    process = subprocess.Popen(
        argv, env=dict(environ), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    watch = MemoryWatch(process.pid) if memory else None
    assert process.stdout is not None
    with process.stdout:
        output = process.stdout.read().decode(errors="replace")
    _, status, used = os.wait4(process.pid, 0)
    wall_s = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    peak_mib = watch.stop() if watch else 0.0
    return Usage(wall_s, used.ru_utime + used.ru_stime, process.returncode, output, peak_mib)


def medians(usages: Sequence[Usage]) -> tuple[float, float]:
    """Return the median wall clock and CPU, in seconds."""
    return statistics.median(u.wall_s for u in usages), statistics.median(u.cpu_s for u in usages)


class MemoryWatch:
    """The most memory that a process and its descendants had together: proportional, so that shared pages count once.

    The kernel's own figure (`ru_maxrss`) is one process's, and that of the forking parent where that is larger.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peak_kib = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        """End it, and return the peak in MiB."""
        self._ended.set()
        self._thread.join()
        return self._peak_kib / 1024

    def _watch(self) -> None:
        pause_s = 0.05
        while not self._ended.wait(pause_s):
            before = time.thread_time()
            self._peak_kib = max(self._peak_kib, sum(map(_memory_kib, tree(self._pid))))
            pause_s = max(0.05, (time.thread_time() - before) / LOOKING_SHARE)


def tree(pid: int) -> Iterator[int]:
    """Yield the process and its descendants, as far as they live."""
    yield pid
    for children in Path("/proc", str(pid), "task").glob("*/children"):
        with suppress(OSError):
            for child in children.read_text().split():
                yield from tree(int(child))


def _memory_kib(pid: int) -> int:
    with suppress(OSError, StopIteration):
        lines = Path("/proc", str(pid), "smaps_rollup").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("Pss:")).split()[1])
    return 0


def repeat(measure: Mapping[str, Callable[[], Usage]], times: int) -> Mapping[str, Sequence[Usage]]:
    """Take each measurement so often, in turns, so that a busy moment of the machine meets all alike."""
    found: dict[str, list[Usage]] = {name: [] for name in measure}
    for _ in range(times):
        for name, take in measure.items():
            found[name].append(take())
    return found
