"""What a row of the bench says, and what becomes of one that cannot be measured."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator

import pytest
from nova_ha.errors import HAError

from bench.__main__ import Experiment, carry_out
from bench.figure import Figure
from bench.table import print_json
from bench.usage import run


@pytest.mark.parametrize(
    ("value", "most", "least", "reached"),
    [
        (7.0, 7, None, True),
        (7.04, 7, None, True),  # shown as 7.0
        (7.06, 7, None, False),
        (0, 0, None, True),
        (1, 0, None, False),
        (1000, None, 1000, True),
        (999, None, 1000, False),
        (3, None, None, None),
        (None, 7, None, None),
    ],
)
def test_a_figure_is_reached_as_far_as_it_is_shown(
    value: float | None, most: float | None, least: float | None, reached: bool | None
) -> None:
    assert Figure("row", "what", value, "s", most, least).reached is reached


@pytest.mark.parametrize(
    ("figure", "measured", "to_reach"),
    [
        (Figure("row", "what", 6.123, "s", most=7), "6.1 s", "≤ 7 s"),
        (Figure("row", "what", 1.234, "x", most=1.2, digits=2), "1.23 x", "≤ 1.2 x"),
        (Figure("row", "what", 1000, least=1000, digits=0), "1,000", "≥ 1,000"),
        (Figure("row", "what", 2, most=0, digits=0), "2", "0"),
        (Figure("row", "what", 35.4, "MiB", digits=0), "35 MiB", ""),
        (Figure("row", "what", None, "s", most=7), "not measured", "≤ 7 s"),
    ],
)
def test_a_figure_is_shown_with_what_is_to_be_reached(figure: Figure, measured: str, to_reach: str) -> None:
    assert (figure.measured, figure.to_reach) == (measured, to_reach)


def test_an_experiment_that_fails_costs_only_the_rows_that_it_has_not_measured_yet() -> None:
    def fails_after_one() -> Iterator[Figure]:
        yield Figure("ssh", "CPU", 1.0, "s")
        raise HAError("the agent ended")

    signal.setitimer(signal.ITIMER_REAL, 60)
    try:
        found = list(carry_out(Experiment(["ssh", "bmc"], fails_after_one), ["ssh", "bmc"]))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    assert [(figure.row, figure.value) for figure in found] == [("ssh", 1.0), ("bmc", None)]
    assert found[1].note == "HAError: the agent ended"


def test_nothing_is_begun_when_the_time_is_over() -> None:
    def begins() -> Iterator[Figure]:
        raise AssertionError("begun")
        yield

    found = list(carry_out(Experiment(["ssh"], begins), ["ssh"]))
    assert [(figure.measured, figure.note) for figure in found] == [("not measured", "the bench ends after 1180 s")]


def test_the_json_says_whether_each_figure_is_reached(capsys: pytest.CaptureFixture[str]) -> None:
    print_json([Figure("ssh", "sweep", 8, "s", 7), Figure("ssh", "memory", 35, "MiB")], "here")
    said = json.loads(capsys.readouterr().out)
    assert said["conditions"] == "here"
    assert [(row["value"], row["most"], row["reached"]) for row in said["figures"]] == [
        (8, 7, False),
        (35, None, None),
    ]


BURN = "import time\nwhile time.process_time() < 0.2: pass"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BURN!r}]); print('done'); sys.exit(3)"


def test_a_run_is_charged_with_what_its_children_took() -> None:
    usage = run([sys.executable, "-c", PARENT], os.environ)
    assert usage.cpu_s >= 0.2
    assert usage.wall_s >= 0.2
    assert (usage.code, usage.output) == (3, "done\n")


HOLD = "import sys; held = bytearray(b'x') * (40 << 20); print(len(held), flush=True); sys.stdin.read()"
HOLDING = (
    "import subprocess, sys, time\n"
    f"child = subprocess.Popen([sys.executable, '-c', {HOLD!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
    "child.stdout.readline()\n"
    "until = time.monotonic() + 1\n"
    "while time.monotonic() < until: pass\n"
    "child.stdin.close(); child.wait()\n"
)


def test_the_peak_of_the_memory_has_the_childrens_in_it() -> None:
    usage = run([sys.executable, "-c", HOLDING], os.environ, memory=True)
    assert 40 < usage.peak_mib < 100
