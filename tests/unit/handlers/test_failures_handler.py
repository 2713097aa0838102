"""The handler of the watch on the observers' checks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from kit.fakes.cluster import is_failed, register
from kit.fakes.observers import a_report, publish
from kit.fakes.store import FakeStore
from nova_ha import beside
from nova_ha.errors import Refused
from nova_ha.handlers import failures
from nova_ha.handlers.watching import alone
from nova_ha.run_folder import this_agent


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> FakeStore:
    """c1 is at the threshold, c2 begins to fail, c3 is well."""
    made = FakeStore()
    register(made, ["c1", "c2", "c3"])
    publish(made, {f"ha-{n}": a_report({"c1": 3, "c2": 1, "c3": 0}) for n in (1, 2, 3)})
    monkeypatch.setattr(failures, "connect", lambda: made)
    monkeypatch.setattr(failures, "start_look_out", lambda me: None)
    return made


def test_a_call_of_the_watch_counts_and_flips(store: FakeStore) -> None:
    assert failures.handle() == 0
    assert is_failed(store, "c1")
    assert store.value("ha_cluster/compute_nodes/c2/internal/number_fails") == "1"


def test_a_handler_of_an_agent_that_is_no_ha_nodes_does_nothing(
    store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "connect", lambda: store.at("compute-9"))
    with pytest.raises(Refused, match=r"compute-9 is not an HA node.*ha-node add compute-9"):
        failures.handle()
    assert store.commits == []


@pytest.mark.fault(26)
@pytest.mark.parametrize(
    "payload",
    [b"", b"null", b"[]", b"[{", b"\xff\xfe", json.dumps([{"Node": "x", "Output": "y" * 500}] * 5000).encode()],
)
def test_what_is_on_standard_input_does_not_matter(payload: bytes) -> None:
    """Without a Consul the handler gets as far as asking it: one line, exit 1, whatever its input is."""
    environ = {**os.environ, "CONSUL_HTTP_ADDR": "127.16.99.1:9"}
    command = [sys.executable, "-c", "from nova_ha.handlers.failures import main; main()"]
    done = subprocess.run(command, input=payload, env=environ, capture_output=True, timeout=20, check=False)
    assert done.returncode == 1
    assert done.stdout == b""
    assert done.stderr.startswith(b"nova-ha-handle-failures: no Consul agent answers")
    assert done.stderr.count(b"\n") == 1


# --- the look-out


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What is started beside the handler, on a machine where nothing is at work yet."""
    found: list[str] = []
    monkeypatch.setenv("NOVA_HA_RUN", str(tmp_path / "run"))
    monkeypatch.setattr(failures, "start_look_out", beside.start_look_out)
    monkeypatch.setattr(beside, "start_beside", found.append)
    return found


def test_a_look_out_is_started_where_anybody_fails(store: FakeStore, started: list[str]) -> None:
    failures.handle()
    assert started == ["nova-ha-look-out"]


def test_none_is_started_where_nobody_fails(store: FakeStore, started: list[str]) -> None:
    publish(store, {f"ha-{n}": a_report({"c1": 0, "c2": 0, "c3": 0}) for n in (1, 2, 3)})
    failures.handle()
    assert started == []


def test_none_is_started_beside_one_that_is_at_work(store: FakeStore, started: list[str]) -> None:
    """It may be at rest for days, and write nothing."""
    with alone(this_agent(store.node_name())) as ours:
        assert ours
        failures.handle()
    assert started == []
    failures.handle()
    assert started == ["nova-ha-look-out"]


def test_none_is_started_without_the_recovery_part(
    store: FakeStore, started: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beside, "find_spec", lambda name: None)
    failures.handle()
    assert started == []
