"""python -m bench: measure, print one table, and assert nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from types import FrameType

import click
from nova_ha.errors import HAError
from nova_ha.sandbox.provide import find_consul, provide

from bench import (
    bmc_sweep,
    clouds,
    detection,
    evacuation,
    healthy,
    neighbours,
    outage,
    ssh_sweep,
    startup,
    storm,
    table,
    takeover,
    witness,
)
from bench.detection import Detections
from bench.figure import Figure, not_measured

# Whatever happens: what has been measured by then is printed.
LIMIT_S = 1180
ROWS = (
    startup.ROW,
    ssh_sweep.ROW,
    bmc_sweep.ROW,
    storm.ROW,
    healthy.ROW,
    evacuation.ROW,
    takeover.ROW,
    detection.ROW,
    outage.ROW,
    witness.ROW,
    neighbours.ROW,
)


class OutOfTime(Exception):
    """The bench has run for as long as it may."""


@dataclass(frozen=True)
class Experiment:
    """One thing to set up, and the rows that come of it."""

    rows: Sequence[str]
    run: Callable[[], Iterator[Figure]]


@click.command()
@click.option("--only", multiple=True, type=click.Choice(ROWS), help="Only this row; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(only: Sequence[str], as_json: bool) -> None:
    """Measure on this machine what the product takes, and print it beside the figures to reach.

    Everything runs on loopback, ends by itself within twenty minutes, and leaves nothing behind.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    provide(["consul"])
    load_before = table.load()
    figures = measure(only or ROWS)
    caption = table.conditions(_consul(), load_before)
    show = table.print_json if as_json else table.print_table
    show(figures, caption)


def measure(wanted: Collection[str]) -> Sequence[Figure]:
    """Carry out the experiments that the wanted rows need, one after the other, and return the rows in order."""
    found: list[Figure] = []
    signal.signal(signal.SIGALRM, _out_of_time)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    for experiment in experiments(wanted):
        if rows := [row for row in experiment.rows if row in wanted]:
            found += carry_out(experiment, rows)
    signal.setitimer(signal.ITIMER_REAL, 0)
    return sorted((figure for figure in found if figure.row in wanted), key=lambda figure: ROWS.index(figure.row))


def experiments(wanted: Collection[str]) -> Sequence[Experiment]:
    """Return all experiments, those whose rows matter most first."""
    seen = Detections()
    return [
        Experiment([startup.ROW], startup.figures),
        Experiment([ssh_sweep.ROW], ssh_sweep.figures),
        Experiment(clouds.rows_of(3), lambda: clouds.with_evacuation(3, seen, wanted)),
        Experiment(clouds.rows_of(5), lambda: clouds.with_takeover(5, seen)),
        Experiment(clouds.rows_of(1), lambda: clouds.struck_only(1, seen)),
        Experiment(clouds.rows_of(2), lambda: clouds.struck_only(2, seen)),
        Experiment([detection.ROW], seen.figures),
        Experiment([outage.ROW], clouds.with_outages),
        Experiment([witness.ROW], clouds.with_witnesses),
        Experiment([neighbours.ROW], clouds.with_bmcs_away),
        Experiment([storm.ROW], storm.figures),
        Experiment([bmc_sweep.ROW], bmc_sweep.figures),
    ]


def carry_out(experiment: Experiment, rows: Sequence[str]) -> Iterator[Figure]:
    """Yield its figures; where it goes wrong, say so in place of those that are missing."""
    print(f"measuring: {', '.join(rows)}", file=sys.stderr, flush=True)
    missing = list(rows)
    try:
        if signal.getitimer(signal.ITIMER_REAL)[0] == 0:
            raise OutOfTime
        for figure in experiment.run():
            missing = [row for row in missing if row != figure.row]
            yield figure
    except OutOfTime:
        yield from (not_measured(row, f"the bench ends after {LIMIT_S} s") for row in missing)
    except (HAError, OSError, RuntimeError, subprocess.SubprocessError) as error:
        yield from (not_measured(row, f"{type(error).__name__}: {error}") for row in missing)


def _consul() -> str:
    said = subprocess.run([str(find_consul()), "version"], capture_output=True, text=True, timeout=10, check=True)
    return said.stdout.splitlines()[0]


def _leave(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


def _out_of_time(number: int, _: FrameType | None) -> None:
    raise OutOfTime


if __name__ == "__main__":
    main()
