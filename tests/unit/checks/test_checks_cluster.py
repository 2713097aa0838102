"""The timer's check: it counts, starts what is due, and prints the same while nothing changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from kit.fakes.clock import FakeClock
from kit.fakes.cluster import is_failed, register
from kit.fakes.observers import a_report, publish
from kit.fakes.store import FakeStore
from kit.fakes.values import a_waiting_incident
from nova_ha.checks import cluster
from nova_ha.checks.cluster import look_at, start_recovery, tick
from nova_ha.cluster.node import RuntimeConfig
from nova_ha.cluster.schema import RUNTIME_CONFIG, STORAGE, compute_node, open_incident
from nova_ha.consul.transaction import delete
from nova_ha.errors import ConfigError, ConsulError, Refused
from nova_ha.monitor.agenda import Urgency
from nova_ha.sandbox.waiting import until

CLOCK = FakeClock()


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each start of the recovery handler, with what the check had printed by then."""
    starts: list[str] = []

    def start() -> Sequence[object]:
        starts.append("started")
        return []

    monkeypatch.setattr(cluster, "start_recovery", start)
    return starts


def a_cluster(streaks: dict[str, int]) -> FakeStore:
    store = FakeStore(CLOCK)
    register(store, streaks)
    publish(store, {f"ha-{n}": a_report(streaks) for n in (1, 2, 3)})
    return store


def test_a_healthy_cluster_passes_writes_nothing_and_starts_nothing(
    started: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    store = a_cluster({"c1": 0, "c2": 0})
    assert tick(store, CLOCK) == 0
    assert capsys.readouterr().out == "OK nothing waits, of 2 compute nodes\n"
    assert (store.commits, started) == ([], [])


@pytest.mark.fault(51)
def test_that_nobody_has_said_where_disks_are_waits_for_the_operator_from_the_first_run_on(
    started: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    store = a_cluster({"c1": 0, "c2": 0})
    store.commit([delete("ha_cluster/config/recovery/storage")])
    assert tick(store, CLOCK) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "WAITING 1 waiting for the operator, of 2 compute nodes"
    assert said[1].startswith("recovery/storage is not set: ")
    store.put("ha_cluster/config/recovery/storage", "local")
    assert tick(store, CLOCK) == 0


@pytest.mark.fault(51)
def test_a_host_that_reports_unshared_instances_among_others_that_share_theirs_is_named(
    started: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    store = a_cluster({"c1": 0, "c2": 0})
    store.put("ha_cluster/config/recovery/storage", "shared")
    for name, shared in (("c1", True), ("c2", False)):
        store.put(compute_node(name, RUNTIME_CONFIG), RuntimeConfig(name, shared_instances=shared).to_kv())
    assert tick(store, CLOCK) == 1
    assert "c2: it reports its instances on a disk of its own, others theirs on shared storage" in (
        said := capsys.readouterr().out
    )
    assert "`nova-ha node set c2 --storage local`" in said
    store.put(compute_node("c2", STORAGE), "local")
    assert tick(store, CLOCK) == 0


@pytest.mark.fault(27)
def test_a_node_at_the_threshold_is_flipped_without_any_watch_and_its_recovery_is_started(
    started: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    store = a_cluster({"c1": 3, "c2": 0})
    assert tick(store, CLOCK) == 2
    assert is_failed(store, "c1")
    assert started == ["started"]
    assert capsys.readouterr().out == "DUE 1 due, of 2 compute nodes\nc1: failed, to be recovered\n"


def test_the_output_is_the_same_while_nothing_changes(started: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    store = a_cluster({"c1": 3, "c2": 0, "c3": 0})
    store.put(compute_node("c2", "status/failed"), "True")
    store.put(compute_node("c2", "status/recovered"), "True")
    store.put(open_incident("c2"), a_waiting_incident("c2").to_kv())
    tick(store, CLOCK)
    first = capsys.readouterr().out
    CLOCK.advance(30)
    tick(store, CLOCK)
    assert capsys.readouterr().out == first
    assert first.startswith("DUE 1 due, 1 waiting for the operator, of 3 compute nodes\n")


def test_what_waits_for_the_operator_starts_nothing(started: list[str]) -> None:
    store = a_cluster({"c1": 0})
    store.put(compute_node("c1", "status/failed"), "True")
    store.put(compute_node("c1", "status/recovered"), "True")
    store.put(open_incident("c1"), a_waiting_incident().to_kv())
    assert tick(store, CLOCK) == 1
    assert started == []


def test_thousands_of_lines_are_cut(started: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    store = a_cluster({f"c{n}": 0 for n in range(300)})
    for n in range(300):
        store.put(compute_node(f"c{n}", "status/failed"), "True")
    tick(store, CLOCK)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 102
    assert lines[-1] == "and 200 more: see `nova-ha status`"


def test_where_the_agent_is_no_ha_nodes_nothing_is_done(started: list[str]) -> None:
    store = a_cluster({"c1": 3})
    with pytest.raises(Refused, match="compute-9 is not an HA node"):
        tick(store.at("compute-9"), CLOCK)
    assert not is_failed(store, "c1")


def test_named_nodes_are_told_about_and_nothing_is_started_or_written(
    started: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    store = a_cluster({"c1": 3, "c2": 0})
    store.put(compute_node("c1", "status/failed"), "True")
    assert look_at(store, CLOCK, ["c1", "c2"], as_json=False) == 2
    assert "c2: nothing waits" in capsys.readouterr().out
    assert look_at(store, CLOCK, ["c2"], as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["items"] == [
        {"node": "c2", "urgency": "fine", "words": "nothing waits"}
    ]
    assert (store.commits, started) == ([], [])
    with pytest.raises(ConfigError, match="no compute node 'c3'"):
        look_at(store, CLOCK, ["c3"], as_json=False)


def test_a_handler_that_does_not_start_is_due_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "RECOVERY_HANDLER", "no-such-command")
    (item,) = start_recovery()
    assert item.urgency is Urgency.DUE
    assert "no-such-command" in item.words


HANDLER = """#!/bin/sh
{ ls -l /proc/$$/fd; cut -d' ' -f6 /proc/$$/stat; echo $$; } > "$REPORT.part"
mv "$REPORT.part" "$REPORT"
exec sleep 20
"""


def test_the_started_handler_holds_no_pipe_of_the_check_and_has_a_session_of_its_own(tmp_path: Path) -> None:
    handler = tmp_path / "nova-ha-handle-recovery"
    handler.write_text(HANDLER)
    handler.chmod(0o755)
    report = tmp_path / "report"
    environ = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "REPORT": str(report)}
    code = "from nova_ha.checks.cluster import start_recovery; start_recovery(); print('printed')"
    # Would wait for the whole sleep if the handler had kept the pipe.
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, stdin=subprocess.PIPE, capture_output=True, timeout=15, check=True
    )
    assert done.stdout == b"printed\n"
    until(report.exists, "the handler's report", within_s=10)
    *streams, session, pid = report.read_text().splitlines()
    os.kill(int(pid), 9)
    assert session == pid
    assert sum("-> /dev/null" in line for line in streams) >= 2
    assert not any("pipe:" in line for line in streams)


def an_agent(**changed: object) -> dict[str, object]:
    """What an agent says of itself, with only these settings."""
    return {"Config": {"Version": "1.16.4"}, "DebugConfig": changed}


LATE = (
    "this agent's check_update_interval is 5m0s, needed is 0s: a failed interval reaches the others up to 5m0s late, "
    "and a failed host is recovered that much later; see `nova-ha doctor`"
)


def test_an_agent_that_sends_late_waits_for_the_operator(
    started: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    store = a_cluster({"c1": 0})
    store.answers["/v1/agent/self"] = an_agent(CheckUpdateInterval="5m0s", EnableRemoteScriptChecks=True)
    assert tick(store, CLOCK) == 1
    assert capsys.readouterr().out == f"WAITING 1 waiting for the operator, of 1 compute nodes\n{LATE}\n"
    assert tick(store, CLOCK, as_json=True) == 1
    assert json.loads(capsys.readouterr().out)["items"] == [{"node": "", "urgency": "waits", "words": LATE}]
    assert started == []


def test_the_agents_settings_take_nothing_from_what_is_due_and_are_shown_among_many_lines(
    started: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    store = a_cluster({"c1": 0, **{f"d{n}": 0 for n in range(150)}})
    store.put(compute_node("c1", "status/failed"), "True")
    for n in range(150):
        store.put(compute_node(f"d{n}", "status/failed"), "True")
        store.put(compute_node(f"d{n}", "status/recovered"), "True")
        store.put(open_incident(f"d{n}"), a_waiting_incident(f"d{n}").to_kv())
    store.answers["/v1/agent/self"] = an_agent(CheckUpdateInterval="5m0s")
    assert tick(store, CLOCK) == 2
    assert started == ["started"]
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "c1: failed, to be recovered"
    assert LATE in lines[:3]


@pytest.mark.parametrize("answer", ["<html>", [], {"DebugConfig": {"CheckUpdateInterval": 5}}, "refused"])
def test_what_the_agent_does_not_tell_is_no_alarm_and_stops_no_recovery(
    started: list[str], monkeypatch: pytest.MonkeyPatch, answer: object
) -> None:
    store = a_cluster({"c1": 3})

    def fetch(path: str) -> object:
        assert path == "/v1/agent/self"
        assert started == ["started"]
        if answer == "refused":
            raise ConsulError("Consul refuses /v1/agent/self: the token has not the right")
        return answer

    reads = store.fetch
    monkeypatch.setattr(store, "fetch", lambda path, **how: fetch(path) if "self" in path else reads(path, **how))
    assert tick(store, CLOCK) == 2
    assert is_failed(store, "c1")
