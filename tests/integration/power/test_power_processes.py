"""The child processes behind the bound: what they hold, what they show, and that none is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from kit.machines.deaf import silent_tcp
from kit.machines.processes import wait_until_marked
from nova_ha.power import connect
from nova_ha.power.device import FenceDevice

SILENT = FenceDevice("redfish", "127.11.5.1", 4443, "ADMIN", "s3cret-of-the-bmc", "insecure")
WORKERS = 2  # the child, and the process that it forks for the BMC
A_CHECK = f"from nova_ha.power import *; connect(FenceDevice(**{asdict(SILENT)!r})).power(600)"


@pytest.fixture
def hung(mark: str) -> Iterator[list[int]]:
    """The processes of a call that waits for a silent BMC; they are there while the test runs."""
    with silent_tcp(SILENT.host, SILENT.port):
        call = threading.Thread(target=connect(SILENT).power, args=(60,))
        call.start()
        family = wait_until_marked(mark, WORKERS)
        yield family
        os.kill(min(family), signal.SIGKILL)
        call.join(timeout=60)
        assert not call.is_alive()


def test_the_password_is_in_no_argument_and_no_environment(hung: list[int]) -> None:
    for pid in hung:
        shown = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
        assert SILENT.password.encode() not in shown


def test_no_child_holds_the_output_of_a_check(mark: str) -> None:
    """Kept open, it would block Consul's agent beyond the check's time-out, and stop the check for good."""
    with silent_tcp(SILENT.host, SILENT.port):
        check = subprocess.Popen([sys.executable, "-c", A_CHECK], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        family = wait_until_marked(mark, 1 + WORKERS)
        outputs = _open_files(check.pid, "1", "2")
        children = [pid for pid in family if pid != check.pid]
        held = {pid: outputs & _open_files(pid) for pid in children}
        check.kill()
        check.communicate(timeout=60)

    assert len(outputs) == 2
    assert all(not files for files in held.values())


def test_a_parent_that_is_killed_takes_its_children_along(mark: str) -> None:
    with silent_tcp(SILENT.host, SILENT.port):
        parent = subprocess.Popen([sys.executable, "-c", A_CHECK])
        wait_until_marked(mark, 1 + WORKERS)

        parent.send_signal(signal.SIGKILL)
        parent.wait(timeout=60)

        wait_until_marked(mark, 0)


def test_a_child_that_is_stopped_is_ended_all_the_same(mark: str) -> None:
    stopped = []

    def stop_all() -> None:
        for pid in wait_until_marked(mark, WORKERS):
            os.kill(pid, signal.SIGSTOP)
            stopped.append(pid)

    with silent_tcp(SILENT.host, SILENT.port):
        stopping = threading.Thread(target=stop_all)
        stopping.start()
        # Long enough for both to be there, and stopped, before.
        reading = connect(SILENT).power(15)
        stopping.join(timeout=60)

    assert len(stopped) == WORKERS
    assert reading.why == "timed out after 15 s"
    wait_until_marked(mark, 0)


@pytest.mark.parametrize("which", [min, max])
def test_a_child_that_is_killed_is_an_unknown_power_state(mark: str, which: Callable[[list[int]], int]) -> None:
    readings = []
    with silent_tcp(SILENT.host, SILENT.port):
        call = threading.Thread(target=lambda: readings.append(connect(SILENT).power(60)))
        call.start()
        os.kill(which(wait_until_marked(mark, WORKERS)), signal.SIGKILL)
        call.join(timeout=60)

    assert [reading.why for reading in readings] == ["unknown trouble (its process ended with -9)"]


def _open_files(pid: int, *numbers: str) -> set[str]:
    folder = Path(f"/proc/{pid}/fd")
    return {os.readlink(path) for path in folder.iterdir() if not numbers or path.name in numbers}
