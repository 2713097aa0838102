"""The command of `make demo`, whole: real agents, checks, handlers, BMCs, and the end that each fault must have."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [str(Path(sys.executable).parent / "nova-ha"), "sandbox", "--servers", "2"]


def rehearse(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=500)


@pytest.mark.parametrize(
    ("fault", "end"),
    [
        ("host-hangs", "recovered"),
        ("wrong-bmc", "needs the operator, bmc-identity"),
        ("no-identity", "needs the operator, no-identity"),
        ("handler-killed", "recovered"),
        ("local-disk", "recovered, 1 left"),
        ("live-migration", "recovered, 1 failed"),
    ],
)
def test_a_rehearsal_ends_as_it_should_and_the_node_returns(fault: str, end: str) -> None:
    done = rehearse("--fault", fault)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"As it should: {end}." in done.stdout
    assert "As it should: all nodes are watched again." in done.stdout


def test_a_rehearsal_of_a_host_that_there_is_not_is_refused() -> None:
    done = rehearse("--fail", "compute-99")
    assert done.returncode == 1
    assert "there is no compute-99" in done.stderr
