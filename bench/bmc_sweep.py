"""The BMC sweep as an HA node's agent runs it, over BMCs that all answer."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.bmcs import running
from bench.datacenter import Bench, register
from bench.figure import Figure
from bench.ssh_sweep import seen_well
from bench.usage import run

ROW = "bmc"
SIZES = (200, 1000)
# Of the large sweep: it runs every 60 s.
MOST_S = 60


def figures(sizes: Sequence[int] = SIZES) -> Iterator[Figure]:
    """Sweep each size once. Every BMC is a process of its own, and shares the processors with the sweep."""
    with Bench() as bench:
        addresses = {f"compute-{n}": bench.address(2, n) for n in range(max(sizes))}
        with running(addresses, bench.directory, bench.environ()) as settings:
            names = list(settings)
            for size, before in zip(sorted(sizes), [0, *sorted(sizes)], strict=False):
                register(bench.store(), {name: settings[name] for name in names[before:size]})
                yield from _sweep(bench, size, MOST_S if size == max(sizes) else None)


def _sweep(bench: Bench, size: int, most: float | None) -> Iterator[Figure]:
    check = os.fspath(Path(sys.executable).parent / "nova-ha-check-bmc")
    usage = run([check], bench.environ(), memory=True)
    what = f"BMC sweep of {size:,}"
    yield Figure(ROW, f"{what}: time", usage.wall_s, "s", most)
    yield Figure(ROW, f"{what}: CPU", usage.cpu_s, "s", most)
    yield Figure(ROW, f"{what}: peak memory", usage.peak_mib, "MiB", note="all its processes", digits=0)
    yield seen_well(ROW, f"{what}: read", usage.output, size)
