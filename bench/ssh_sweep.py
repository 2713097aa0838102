"""The SSH sweep as an HA node's agent runs it, over hosts that all let it log in."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from nova_ha.limits import SWEEP_SHARE
from nova_ha.probe.observation import NoData, Report

from bench.datacenter import Bench, register
from bench.figure import Figure
from bench.hosts import running
from bench.usage import Usage, run

ROW = "ssh"
SIZES = (100, 1000)
# Of the large sweep, in seconds of one core, at an interval of 10 s.
MOST_CPU_S = 7
INTERVAL_S = 10
# Beside one that floods whoever comes.
BESIDE, MOST_MIB, HOSTILE = 150, 100, "compute-hostile"


def figures(sizes: Sequence[int] = SIZES) -> Iterator[Figure]:
    """Sweep each size once. The hosts are in processes of their own, and share the processors with it."""
    yield from _beside_a_hostile_one()
    for size in sizes:
        with Bench() as bench:
            addresses = {f"compute-{n}": bench.address(1, n) for n in range(size)}
            with running(addresses, bench.directory, bench.environ()) as settings:
                register(bench.store(), settings)
                yield from _sweep(bench, size, MOST_CPU_S if size == max(sizes) else None)


def _beside_a_hostile_one() -> Iterator[Figure]:
    with Bench() as bench:
        addresses = {name: bench.address(1, n) for n, name in enumerate([HOSTILE, *(f"c{n}" for n in range(BESIDE))])}
        with running(addresses, bench.directory, bench.environ(), hostile=[HOSTILE]) as settings:
            register(bench.store(), settings)
            usage = _run(bench)
    what = f"SSH sweep of {BESIDE} beside one that floods"
    yield seen_well(ROW, f"{what}: logged in", usage.output, BESIDE)
    yield Figure(ROW, f"{what}: peak memory", usage.peak_mib, "MiB", MOST_MIB, digits=0)


def _run(bench: Bench) -> Usage:
    check = os.fspath(Path(sys.executable).parent / "nova-ha-check-ssh")
    return run([check, "--interval", str(INTERVAL_S)], bench.environ(), memory=True)


def _sweep(bench: Bench, size: int, most: float | None) -> Iterator[Figure]:
    usage = _run(bench)
    what = f"SSH sweep of {size:,}"
    yield Figure(ROW, f"{what}: CPU", usage.cpu_s, "s", most, note="of one core; the hosts' side takes the other")
    yield Figure(ROW, f"{what}: time", usage.wall_s, "s", INTERVAL_S * SWEEP_SHARE if most else None)
    yield Figure(ROW, f"{what}: peak memory", usage.peak_mib, "MiB", digits=0)
    yield seen_well(ROW, f"{what}: logged in", usage.output, size)


def seen_well(row: str, what: str, output: str, size: int) -> Figure:
    """Return how many nodes the check's output says to be well: less than all, and its times say little."""
    report = Report.from_output(output)
    if isinstance(report, NoData):
        return Figure(row, what, None, note=f"no report: {report.why}")
    bad = sum(report.unlisted) if report.unlisted else len(report.nodes)
    return Figure(row, what, report.swept - bad, least=size, digits=0)
