"""At most one recovery works on an HA node, and one more waits: however often it is woken."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from nova_ha.handlers.turn import turn

# Says when it waits, and what became of it. Nobody looks at its locks: a look takes them, for a moment.
HOLDER = """
import logging, sys
from nova_ha.handlers.turn import turn
logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
with turn("ha-1") as ours:
    print(ours, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _a_folder_of_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOVA_HA_RUN", str(tmp_path / "run"))


@contextmanager
def a_process() -> Iterator[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", HOLDER], stdin=pipe, stdout=pipe, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=30)


def told(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def somebody_waits(folder: Path) -> bool:
    with (folder / "ha-1.waits").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_the_second_waits_the_third_leaves_it_to_the_second_and_a_killed_one_gives_its_turn_back() -> None:
    with a_process() as first:
        assert told(first) == "True"
        with a_process() as second:
            assert "waiting" in told(second)
            with a_process() as third:
                assert told(third) == "False"
            first.kill()
            assert told(second) == "True"


def test_while_one_works_and_one_waits_the_next_has_no_turn(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o700)
    with (tmp_path / "run" / "ha-1.waits").open("w") as waiting:
        fcntl.flock(waiting, fcntl.LOCK_EX)
        with turn("ha-1") as ours:
            assert not ours
        with turn("ha-2") as ours:
            assert ours


def test_turns_come_again_once_given_back() -> None:
    for _ in range(3):
        with turn("ha-1") as ours:
            assert ours


@pytest.mark.parametrize("name", ["ha-1 127.0.0.1:8500", "../../etc/passwd", "a/b c"])
def test_any_agents_name_makes_a_file_name(name: str, tmp_path: Path) -> None:
    with turn(name) as ours:
        assert ours
    assert len(list((tmp_path / "run").iterdir())) == 2


def test_a_folder_that_others_may_write_to_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    os.chmod(tmp_path / "run", 0o777)
    with turn("ha-1") as ours:
        assert ours
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.fault(35)
def test_without_a_place_for_files_everybody_has_a_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NOVA_HA_RUN", str(tmp_path / "file" / "below"))
    with turn("ha-1") as first, turn("ha-1") as second:
        assert first
        assert second


def test_one_that_hangs_with_its_turn_is_waited_for_only_so_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nova_ha.handlers.turn.LONGEST_WAIT_S", 0.0)
    (tmp_path / "run").mkdir(mode=0o700)
    with (tmp_path / "run" / "ha-1.works").open("w") as hanging:
        fcntl.flock(hanging, fcntl.LOCK_EX)
        with turn("ha-1") as ours:
            assert ours
            assert not somebody_waits(tmp_path / "run")
