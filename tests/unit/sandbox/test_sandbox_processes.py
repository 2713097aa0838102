"""Processes of a sandbox are found by their mark, and no others are touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kit.machines.process_state import has_ended
from nova_ha.errors import HAError
from nova_ha.sandbox.processes import Child, end_all, end_one, find, marked, signal_one
from nova_ha.sandbox.waiting import until

SLEEP = "import time; time.sleep(600)"
GRANDCHILD = (
    "import subprocess, sys; "
    f"print(subprocess.Popen([sys.executable, '-c', {SLEEP!r}], start_new_session=True).pid, flush=True)"
)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Child]]:
    def started(name: str, code: str = SLEEP, folder: Path = tmp_path) -> Child:
        child = Child(name, [sys.executable, "-c", code], marked(os.environ, folder), tmp_path / f"{name}.log")
        child.start()
        until(lambda: b"NOVA_HA" in Path("/proc", str(child.pid), "environ").read_bytes(), f"{name} to run")
        return child

    yield started
    for folder in (tmp_path, tmp_path / "other"):
        end_all(folder)


def test_ending_a_sandbox_ends_its_processes_and_no_others(start: Callable[..., Child], tmp_path: Path) -> None:
    ours, others = start("ours"), start("others", folder=tmp_path / "other")
    end_all(tmp_path)
    assert not ours.running
    assert others.running


def test_a_detached_grandchild_is_ended_too(start: Callable[..., Child], tmp_path: Path) -> None:
    parent = start("parent", GRANDCHILD + "; " + SLEEP)
    grandchild = int(until(parent.log.read_text, "the grandchild's number"))
    end_all(tmp_path)
    until(lambda: has_ended(grandchild), "the grandchild to end")


def test_a_suspended_process_is_ended_too(start: Callable[..., Child], tmp_path: Path) -> None:
    child = start("child")
    child.suspend()
    end_all(tmp_path)
    assert not child.running


def test_a_number_that_is_another_process_now_is_left_alone(start: Callable[..., Child], tmp_path: Path) -> None:
    others = start("others", folder=tmp_path / "other")
    end_one(others.pid, tmp_path)
    assert not signal_one(others.pid, tmp_path, signal.SIGKILL)
    assert others.running


def test_a_process_is_found_by_a_word_of_its_command_line(start: Callable[..., Child], tmp_path: Path) -> None:
    wanted, _ = start("wanted", SLEEP + " # the-driver"), start("another")
    assert find(tmp_path, "the-driver") == [wanted.pid]


def test_a_child_is_stopped_by_sigterm_also_while_it_is_suspended(start: Callable[..., Child]) -> None:
    child = start("child")
    child.suspend()
    child.stop()
    assert not child.running


def test_a_child_that_ignores_sigterm_is_ended_all_the_same(start: Callable[..., Child]) -> None:
    child = start("child", "import signal; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); " + SLEEP)
    until(child.log.read_text, "the child to be deaf")
    child.stop(patience_s=0.1)
    assert not child.running


def test_a_child_is_not_started_twice(start: Callable[..., Child]) -> None:
    child = start("child")
    with pytest.raises(HAError, match="runs already"):
        child.start()


def test_a_tied_child_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    owner = (
        "import os, sys, pathlib; from nova_ha.sandbox.processes import Child; folder = pathlib.Path(sys.argv[1]); "
        "child = Child('tied', [sys.executable, '-c', 'import sys; sys.stdin.read()'], os.environ, folder / 'log', "
        "tied=True); child.start(); print(child.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", owner, str(tmp_path)], capture_output=True, text=True, timeout=30)
    assert done.returncode == -signal.SIGKILL
    until(lambda: has_ended(int(done.stdout)), "the tied child to end")


def test_waiting_in_vain_says_for_what_and_what_was_seen_last() -> None:
    with pytest.raises(HAError, match=r"the thing .*last seen: \[\]"):
        until(list, "the thing", within_s=0.05)
