"""Hosts that are struck while they run: what a real sshd then shows, and that it is well again afterwards."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kit.machines import hostile
from kit.machines.sshd import start_sshd
from nova_ha.probe.sighting import Grade, SightCause
from nova_ha.probe.ssh_sweep import sweep
from nova_ha.sandbox.network import Network
from nova_ha.sandbox.processes import Child
from nova_ha.sandbox.waiting import until


@pytest.mark.parametrize("file", ["/etc/shadow", "/etc/passwd"])
def test_logins_hang_over_a_file_until_it_is_given_back(tmp_path: Path, network: Network, file: str) -> None:
    with start_sshd(tmp_path, network.host(1)) as sshd:
        assert grade(sshd.config) is Grade.LOGGED_IN
        sshd.block(file)
        assert grade(sshd.config) is Grade.HANGS
        sshd.unblock()
        until(lambda: grade(sshd.config) is Grade.LOGGED_IN, "a login to work again")


def test_the_logins_that_hang_fill_its_max_startups(tmp_path: Path, network: Network) -> None:
    with start_sshd(tmp_path, network.host(1), settings={"MaxStartups": "2:100:2"}) as sshd:
        sshd.block("/etc/shadow")
        until(lambda: grade(sshd.config) is Grade.TURNED_AWAY, "a login to be turned away")
        sshd.unblock()
        until(lambda: grade(sshd.config) is Grade.LOGGED_IN, "a login to work again")


@pytest.mark.parametrize(("how", "cause"), [("flood", SightCause.NO_BANNER), ("drip", SightCause.TOO_SLOW)])
def test_a_server_that_means_no_good_is_seen_for_what_it_is(
    tmp_path: Path, network: Network, how: str, cause: SightCause
) -> None:
    with start_sshd(tmp_path, network.host(1)) as sshd:
        config = sshd.config
    with served(tmp_path, network.host(1), config.port, how):
        until(lambda: sweep({"": config}, 4.0)[""].cause is cause, f"a look to see {cause.value}")


def grade(config: object) -> Grade | None:
    cause = sweep({"": config}, 4.0)[""].cause  # type: ignore[dict-item]
    return cause.grade if cause else None


@contextmanager
def served(folder: Path, address: str, port: int, how: str) -> Iterator[None]:
    tests = Path(hostile.__file__).parents[2]
    argv = [sys.executable, "-m", "kit.machines.hostile", address, str(port), how]
    child = Child("hostile", argv, {**os.environ, "PYTHONPATH": str(tests)}, folder / "hostile.log")
    child.start()
    try:
        yield
    finally:
        child.kill()
