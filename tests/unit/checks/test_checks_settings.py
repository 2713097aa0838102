"""The SSH check refuses what cannot work, in its own line, where it is given."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing

import click
import pytest
from kit.fakes.store import FakeStore
from nova_ha.checks import check_guard, ssh
from nova_ha.cluster.schema import compute_node
from nova_ha.errors import ConfigError
from nova_ha.limits import sweep_limits


@pytest.mark.fault(54)
@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--interval", "1"], "1 is not in the range 2<=x<=60"),
        (["--interval", "61"], "61 is not in the range 2<=x<=60"),
        (["--interval", "3600", "--paced"], "3600 is not in the range"),
        (["--interval", "2", "--host-limit", "1"], "--host-limit 1 is too long for --interval 2: at most 0.9"),
        (["--host-limit", "4"], "--host-limit 4 is too long for --interval 5: at most 3.3"),
    ],
)
def test_an_interval_or_a_limit_that_cannot_work_is_a_usage_error(arguments: list[str], why: str) -> None:
    with pytest.raises(click.UsageError, match=why.replace("(", ".")):
        ssh.command.main(arguments, standalone_mode=False)


@pytest.mark.fault(54)
def test_a_streak_that_is_too_short_to_tell_is_no_data_that_says_so() -> None:
    store = FakeStore()
    store.put("ha_cluster/config/monitor/fail_threshold", "2")
    store.answers["/v1/agent/checks"] = {}
    with pytest.raises(ConfigError, match="2 x an interval of 2 s is 4 s: a host must fail for 6 s at least"):
        ssh.sweep(store, 2, 0.6)


@pytest.mark.fault(54)
def test_the_shortest_interval_sweeps(capsys: pytest.CaptureFixture[str]) -> None:
    store = FakeStore()
    store.answers["/v1/agent/checks"] = {}
    assert ssh.sweep(store, 2, 0.6) == 0
    assert capsys.readouterr().out.startswith("OK no compute nodes are registered")


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections, and says nothing over them: a host that hangs."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


@pytest.mark.fault(54)
@pytest.mark.parametrize("interval_s", [2, 3, 10, 60])
def test_a_hung_host_is_seen_failing_at_every_interval_by_a_check_that_was_slow_to_start(
    interval_s: int, silent_port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = FakeStore()
    store.answers["/v1/agent/checks"] = {}
    login = {"address": "127.0.0.1", "port": str(silent_port), "user": "u", "password": "p"}
    for leaf, value in login.items():
        store.put(compute_node("c1", f"config/ssh/{leaf}"), value)
    started = time.clock_gettime(time.CLOCK_BOOTTIME) - 0.4
    monkeypatch.setattr(check_guard, "_started", started)
    monkeypatch.setattr(check_guard, "end_by", lambda deadline_s: None)
    assert ssh.sweep(store, interval_s, sweep_limits(interval_s).login_s) == 2
    assert capsys.readouterr().out.startswith("FAILING 1 of 1: c1 no banner\n")
