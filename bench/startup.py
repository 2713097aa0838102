"""What a check or a handler costs that finds nothing to do: that is its start-up."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from bench.datacenter import Bench
from bench.figure import Figure
from bench.usage import Usage, medians, repeat, run

ROW = "startup"
TIMES = 9
BARE = "python -c pass"
COMMANDS = ("nova-ha-check-ssh", "nova-ha-handle-failures", "nova-ha-handle-recovery")


def figures() -> Iterator[Figure]:
    """Run each with no compute node registered, several times."""
    with Bench() as bench:
        environ = bench.environ()
        found = repeat({name: _runs(name, environ) for name in (BARE, *COMMANDS)}, TIMES)
    bare_wall, bare_cpu = medians(found[BARE])
    yield Figure(ROW, BARE, bare_wall * 1000, "ms", note=f"{bare_cpu * 1000:.0f} ms of CPU", digits=0)
    for name in COMMANDS:
        wall, cpu = medians(found[name])
        note = f"{cpu * 1000:.0f} ms of CPU; {wall / bare_wall:.1f} and {cpu / bare_cpu:.1f} times a bare Python"
        yield Figure(ROW, f"{name}, nothing to do", wall * 1000, "ms", note=note, digits=0)


def _runs(name: str, environ: Mapping[str, str]) -> Callable[[], Usage]:
    argv = [sys.executable, "-c", "pass"] if name == BARE else [os.fspath(Path(sys.executable).parent / name)]

    def take() -> Usage:
        usage = run(argv, environ)
        if usage.code != 0:
            raise RuntimeError(f"{name} exits {usage.code}: {usage.output.strip()}")
        return usage

    return take
