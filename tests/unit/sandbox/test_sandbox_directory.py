"""A sandbox's folder: one owner at a time, and cleaned up after one that was killed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from kit.machines.process_state import has_ended
from nova_ha.errors import HAError
from nova_ha.sandbox.directory import SandboxDirectory
from nova_ha.sandbox.network import Reservation
from nova_ha.sandbox.processes import end_all
from nova_ha.sandbox.waiting import until

OWNER = """
import os, sys
from nova_ha.sandbox.directory import SandboxDirectory
from nova_ha.sandbox.processes import Child, marked
folder = SandboxDirectory().path
argv = [sys.executable, "-c", "import time; time.sleep(600)"]
child = Child("left", argv, marked(os.environ, folder), folder / "log")
child.start()
print(folder, child.pid, flush=True)
if sys.argv[1] == "killed":
    os.kill(os.getpid(), 9)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _a_temporary_folder_of_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def test_the_next_sandbox_cleans_up_after_one_that_was_killed() -> None:
    done = subprocess.run([sys.executable, "-c", OWNER, "killed"], capture_output=True, text=True, timeout=30)
    folder, left = done.stdout.split()
    assert Path(folder).exists()
    SandboxDirectory().remove()
    assert not Path(folder).exists()
    # Nobody of ours waits for an orphan: the kernel may take a moment after it was ended.
    until(lambda: has_ended(int(left)), "the process that was left to end")


def test_a_sandbox_whose_owner_lives_is_left_alone() -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, "alive"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    folder, left = owner.stdout.readline().split()
    try:
        SandboxDirectory().remove()
        assert Path(folder).exists()
        assert not has_ended(int(left))
    finally:
        owner.communicate(timeout=30)
        end_all(Path(folder))


def test_nobody_else_can_read_it() -> None:
    assert SandboxDirectory().path.stat().st_mode & 0o077 == 0


def test_removing_it_twice_is_no_error(tmp_path: Path) -> None:
    directory = SandboxDirectory()
    directory.remove()
    directory.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_named_folder_has_one_sandbox_at_a_time(tmp_path: Path) -> None:
    first = SandboxDirectory(tmp_path / "cloud")
    with pytest.raises(HAError, match="runs in"):
        SandboxDirectory(tmp_path / "cloud")
    first.remove()
    SandboxDirectory(tmp_path / "cloud").remove()


def test_a_folder_with_other_things_in_it_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("keep me")
    with pytest.raises(HAError, match="no sandbox"):
        SandboxDirectory(tmp_path)
    assert (tmp_path / "precious").read_text() == "keep me"


def test_two_reservations_have_different_networks() -> None:
    first, second = Reservation(), Reservation()
    assert first.network != second.network
    first.release()
    second.release()
