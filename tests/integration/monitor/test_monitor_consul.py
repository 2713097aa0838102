"""The monitor on a real Consul: its handlers as processes, alone and at once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pytest
from kit.fakes.observers import a_report
from kit.machines.consul import ConsulCluster
from nova_ha.beside import LOOK_OUT
from nova_ha.clock import SystemClock
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.node import Pause
from nova_ha.cluster.registry import NodeSettings, add_compute_node, add_ha_node, set_option
from nova_ha.cluster.schema import COMPUTE_NODES, PAUSED, ROOT, SERVICE, SSH_CHECK, WAKE, compute_node
from nova_ha.consul.store import Store
from nova_ha.consul.transaction import put
from nova_ha.monitor.look import decide, look
from nova_ha.monitor.summary import Summary
from nova_ha.monitor.verdict import Hold
from nova_ha.sandbox.waiting import until

OBSERVERS = ("ha-1", "ha-2", "ha-3")
LIMIT_S = 240.0


@pytest.fixture(autouse=True)
def no_look_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let none watch: there is no Nova here, and one that still looks for it holds a flip until its session ends.

    What look-outs do to the monitor is in tests/faults/decisions/test_fault_look_out.py and in the whole clouds.
    """
    (tmp_path / LOOK_OUT).symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)


class Cloud:
    """Registered nodes, and observers whose reports a test writes."""

    def __init__(self, consul: ConsulCluster, nodes: Iterable[str], max_failed: str = "100") -> None:
        self.consul = consul
        self.store: Store = consul.store()
        self.nodes = list(nodes)
        for observer in OBSERVERS:
            add_ha_node(self.store, observer)
            consul.agents[observer].ask("/v1/agent/service/register", method="PUT", body=_service())
        for number, node in enumerate(self.nodes):
            add_compute_node(self.store, node, _settings(number))
        set_option(self.store, "monitor/max_failed", max_failed)
        set_option(self.store, "recovery/storage", "shared")
        self.report({})

    def report(self, failing: Mapping[str, int], observers: Sequence[str] = OBSERVERS) -> None:
        """Let the observers see these nodes failing, all others well, and wait until the catalog has it."""
        output = a_report({node: failing.get(node, 0) for node in self.nodes}).to_output()
        for observer in observers:
            body = {"Status": "critical", "Output": output}
            self.consul.agents[observer].ask(f"/v1/agent/check/update/{SSH_CHECK}", method="PUT", body=body)
        until(lambda: all(self._catalog(observer) == output for observer in observers), "the reports")

    def _catalog(self, observer: str) -> str:
        checks = self.consul.datacenter.ask(f"/v1/health/node/{observer}")
        return next((str(check["Output"]) for check in checks if check["CheckID"] == SSH_CHECK), "")

    def start(self, observer: str, command: str = "nova-ha-handle-failures") -> subprocess.Popen[bytes]:
        """Start a command as the observer's agent would."""
        environ = {**os.environ, **self.consul.agents[observer].access}
        pipe = subprocess.PIPE
        path = Path(sys.executable).parent / command
        return subprocess.Popen([str(path)], env=environ, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe)

    def handle(self, *observers: str) -> list[str]:
        """Run the handler at all these observers at once; return their logs once all have ended well."""
        running = [self.start(observer) for observer in observers]
        logs = []
        for process in running:
            _, log = process.communicate(timeout=LIMIT_S)
            assert process.returncode == 0, log.decode()
            logs.append(log.decode())
        return logs

    def value(self, node: str, leaf: str) -> str:
        entry = self.store.get(compute_node(node, leaf))
        return entry.value.decode() if entry else ""

    def keys(self) -> list[tuple[str, int]]:
        return [(entry.key, entry.index) for entry in self.store.list(ROOT)]


def _service() -> dict[str, object]:
    check = {"CheckID": SSH_CHECK, "Name": "SSH", "TTL": "1h", "Status": "warning"}
    return {"ID": SERVICE, "Name": SERVICE, "Checks": [check]}


def _settings(number: int) -> NodeSettings:
    return NodeSettings(
        ssh_user="probe",
        ssh_password="secret",
        bmc_ip=f"10.1.{number // 250}.{number % 250 + 1}",
        bmc_user="admin",
        bmc_password="secret",
        bmc_identity=f"CZJ{number:05}",
    )


def test_failed_intervals_are_counted_up_to_the_flip_and_not_further(clean: ConsulCluster) -> None:
    cloud = Cloud(clean, ["c1", "c2"])
    for streak in (1, 2):
        cloud.report({"c1": streak}, OBSERVERS[:2])
        cloud.handle("ha-1")
        assert (cloud.value("c1", "internal/number_fails"), cloud.value("c1", "status/failed")) == (
            str(streak),
            "False",
        )
    woken = cloud.store.get(WAKE)
    cloud.report({"c1": 3}, OBSERVERS[:2])
    (log,) = cloud.handle("ha-2")
    assert "host=c1 step=flip number_fails=3" in log
    assert cloud.value("c1", "status/failed") == "True"
    assert cloud.store.get(WAKE) != woken
    cloud.report({})
    cloud.handle("ha-1")
    # That it is seen well again is what an incident that waits goes on by, once it fails anew.
    assert (cloud.value("c1", "status/failed"), cloud.value("c1", "internal/number_fails")) == ("True", "0")
    assert (cloud.value("c2", "status/failed"), cloud.value("c2", "internal/number_fails")) == ("False", "0")


@pytest.mark.fault(12)
def test_handlers_at_once_flip_a_node_once_and_count_each_interval_once(clean: ConsulCluster) -> None:
    nodes = [f"c{number}" for number in range(40)]
    cloud = Cloud(clean, nodes)
    cloud.report({"c0": 3} | dict.fromkeys(nodes[1:], 2))
    logs = "".join(cloud.handle(*OBSERVERS, *OBSERVERS))
    assert logs.count("step=flip") == 1
    assert [cloud.value(node, "internal/number_fails") for node in nodes] == ["3"] + ["2"] * 39
    assert all(logs.count(f"host={node} step=count") == 1 for node in nodes[1:])


def test_handlers_at_once_flip_every_node_where_that_is_allowed(clean: ConsulCluster) -> None:
    nodes = [f"c{number}" for number in range(6)]
    cloud = Cloud(clean, nodes)
    cloud.report(dict.fromkeys(nodes, 3))
    logs = "".join(cloud.handle(*OBSERVERS))
    assert logs.count("step=flip") == 6
    assert {cloud.value(node, "status/failed") for node in nodes} == {"True"}


@pytest.mark.fault(21)
def test_a_storm_is_held_and_says_so(clean: ConsulCluster) -> None:
    cloud = Cloud(clean, ["c1", "c2", "c3"], max_failed="2")
    cloud.report({"c1": 3, "c2": 3, "c3": 1})
    logs = cloud.handle(*OBSERVERS)
    assert all("host=c1 step=hold gate=max-failed" in log for log in logs)
    assert {cloud.value(node, "status/failed") for node in cloud.nodes} == {"False"}


@pytest.mark.fault(37)
def test_a_pause_holds_a_node_at_the_threshold(clean: ConsulCluster) -> None:
    cloud = Cloud(clean, ["c1"])
    cloud.report({"c1": 3})
    cloud.store.commit([put(PAUSED, Pause("ann", "", "").to_kv())])
    seen = look(cloud.store, SystemClock())
    (verdict,) = decide(seen).values()
    assert isinstance(verdict, Hold)
    assert [refusal.gate for refusal in verdict.closed] == [Gate.PAUSED]
    cloud.handle("ha-1")
    assert cloud.value("c1", "status/failed") == "False"


@pytest.mark.fault(4)
def test_with_two_of_three_observers_dead_nothing_is_counted(clean: ConsulCluster) -> None:
    cloud = Cloud(clean, ["c1"])
    for observer in OBSERVERS[1:]:
        clean.agents[observer].ask(f"/v1/agent/check/deregister/{SSH_CHECK}", method="PUT")
    until(lambda: _closed_gates(cloud) == [Gate.NO_QUORUM], "the votes to be gone")
    before = cloud.keys()
    cloud.report({"c1": 3}, ["ha-1"])
    cloud.handle("ha-1")
    assert cloud.keys() == before


def _closed_gates(cloud: Cloud) -> list[Gate]:
    seen = look(cloud.store, SystemClock())
    refusals = Summary.of(seen.view, decide(seen)).not_counted
    return [closed.gate for found in refusals.values() for closed in found]


@pytest.mark.parametrize("command", ["nova-ha-handle-failures", "nova-ha-check-cluster"])
def test_a_healthy_cluster_writes_nothing(clean: ConsulCluster, command: str) -> None:
    cloud = Cloud(clean, [f"c{number}" for number in range(20)])
    assert _runs_without_a_raft_entry(cloud, command)


def test_a_long_dead_host_writes_nothing(clean: ConsulCluster) -> None:
    cloud = Cloud(clean, ["c1", "c2"])
    cloud.report({"c1": 3})
    cloud.handle("ha-1")
    assert cloud.value("c1", "status/failed") == "True"
    assert _runs_without_a_raft_entry(cloud, "nova-ha-handle-failures")


def _runs_without_a_raft_entry(cloud: Cloud, command: str) -> bool:
    """Return whether such a run leaves Raft's log as it is.

    Consul writes to it by itself now and then (its leader a mark, once a minute): so several runs have a try.
    """
    keys = cloud.keys()
    for _ in range(8):
        before = _raft_index(cloud)
        process = cloud.start("ha-1", command)
        output, log = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 0, (output, log)
        assert cloud.keys() == keys
        if _raft_index(cloud) == before:
            return True
    return False


def _raft_index(cloud: Cloud) -> int:
    server = cloud.consul.datacenter.servers[0]
    return int(server.ask("/v1/agent/self")["Stats"]["raft"]["last_log_index"])


def test_two_hundred_of_a_thousand_failing_nodes_take_at_most_ten_transactions(clean: ConsulCluster) -> None:
    nodes = [f"c{number:04}" for number in range(1000)]
    cloud = Cloud(clean, ["c0000"])
    template = {
        entry.key.removeprefix(COMPUTE_NODES + "c0000/"): entry.value for entry in cloud.store.list(COMPUTE_NODES)
    }
    for number, node in enumerate(nodes[1:], start=1):
        values = {**template, "config/bmc/ip": f"10.1.{number // 250}.{number % 250 + 1}".encode()}
        values["config/bmc/identity"] = f"CZJ{number:05}".encode()
        for leaf in ("internal/runtime_config", "config/nova_host"):
            values[leaf] = template[leaf].replace(b"c0000", node.encode())
        cloud.store.commit([put(compute_node(node, leaf), value) for leaf, value in values.items()])
    cloud.nodes = nodes
    failing = nodes[::5]
    cloud.report(dict.fromkeys(failing, 1))
    written = {entry.key: entry.index for entry in cloud.store.list(COMPUTE_NODES)}
    logs = "".join(cloud.handle(*OBSERVERS))
    assert all(cloud.value(node, "internal/number_fails") == "1" for node in failing)
    assert logs.count("step=count") == len(failing)
    changed = {entry.index for entry in cloud.store.list(COMPUTE_NODES) if written[entry.key] != entry.index}
    assert len(changed) <= 10
