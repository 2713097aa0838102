"""The checks as real Consul agents run them, under ACLs: what arrives as votes, and what is written."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kit.machines.bmc import start_bmcs
from kit.machines.consul import ConsulCluster
from kit.machines.sshd import start_sshd
from nova_ha.cluster.node import RuntimeConfig, SSHConfig
from nova_ha.cluster.view import read_view
from nova_ha.consul.transaction import cas, put
from nova_ha.power.device import FenceDevice
from nova_ha.probe.observation import Report
from nova_ha.probe.votes import NodeVotes, read_votes
from nova_ha.sandbox.consul import CONFIGURATION
from nova_ha.sandbox.network import Network
from nova_ha.sandbox.waiting import until

BIN = Path(sys.executable).parent
# Long enough for a sweep on a busy machine.
INTERVAL_S = 6
LIMIT_S = 240.0
OBSERVER = {
    "check_update_interval": "0s",
    "enable_local_script_checks": True,
    "service": {
        "id": "nova-ha",
        "name": "nova-ha",
        "checks": [
            {
                "id": "nova-ha-ssh",
                "name": "SSH",
                "args": ["nova-ha-check-ssh", "--interval", str(INTERVAL_S)],
                "interval": f"{INTERVAL_S}s",
                "timeout": "60s",
                "status": "warning",
                "output_max_size": 65536,
            }
        ],
    },
}

Talk = Callable[[socket.socket, threading.Event], None]


@pytest.fixture
def observers() -> Iterator[ConsulCluster]:
    """Two HA nodes whose agents sweep."""
    with ConsulCluster(clients=2, acl=True, settings=OBSERVER) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def plain() -> Iterator[ConsulCluster]:
    """One HA node whose agent runs nothing by itself."""
    with ConsulCluster(acl=True, files=[CONFIGURATION / "compute-node.hcl"]) as cluster:
        yield cluster


def register(cluster: ConsulCluster, node: str, ssh: SSHConfig | None = None, bmc: FenceDevice | None = None) -> None:
    keys: dict[str, object] = {"status/failed": "False"}
    if ssh:
        keys |= {"config/ssh/address": ssh.address, "config/ssh/port": ssh.port}
        keys |= {"config/ssh/user": ssh.user, "config/ssh/password": ssh.password}
    if bmc:
        keys |= {"config/bmc/ip": bmc.host, "config/bmc/port": bmc.port}
        keys |= {"config/bmc/user": bmc.user, "config/bmc/password": bmc.password}
        keys |= {"config/bmc/identity": bmc.identity} if bmc.identity else {}
    write(cluster, node, keys)


def write(cluster: ConsulCluster, node: str, keys: Mapping[str, object]) -> None:
    operations = [put(f"ha_cluster/compute_nodes/{node}/{leaf}", str(value).encode()) for leaf, value in keys.items()]
    cluster.store().commit(operations)


def register_ha_nodes(cluster: ConsulCluster, *names: str) -> None:
    cluster.store().commit([put(f"ha_cluster/ha_nodes/{name}/status/in_use", b"False") for name in names])


def votes_on(cluster: ConsulCluster, node: str) -> NodeVotes:
    store = cluster.store()
    return read_votes(store, read_view(store)).of(node)


def ssh_check(cluster: ConsulCluster, agent: str = "ha-1") -> Mapping[str, Any]:
    rows = cluster.datacenter.ask(f"/v1/health/node/{agent}")
    return next(row for row in rows if row["CheckID"] == "nova-ha-ssh")


def run(
    cluster: ConsulCluster, name: str, *arguments: str, agent: str = "ha-1", **environ: str
) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **cluster.agents[agent].access, **environ}
    return subprocess.run(
        [BIN / name, *arguments], env=env, capture_output=True, text=True, timeout=LIMIT_S, stdin=subprocess.DEVNULL
    )


class Counter:
    """A peer that closes every connection without a banner, and counts them."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, connection: socket.socket, over: threading.Event) -> None:
        self.seen += 1


def test_a_failing_node_is_counted_to_the_threshold_and_then_nothing_is_written(
    observers: ConsulCluster, peer: Callable[[Talk], SSHConfig]
) -> None:
    counter = Counter()
    register_ha_nodes(observers, "ha-1", "ha-2")
    register(observers, "c1", ssh=peer(counter))
    until(lambda: votes_on(observers, "c1").agreed(2) == 3, "both observers to have seen three failures", LIMIT_S)
    assert votes_on(observers, "c1").in_words() == "ha-1 3x no banner, ha-2 3x no banner"
    assert ssh_check(observers)["Status"] == "critical"

    before, after = ssh_check(observers), counter.seen
    until(lambda: counter.seen >= after + 6, "some more sweeps", LIMIT_S)
    assert ssh_check(observers)["ModifyIndex"] == before["ModifyIndex"]

    write(observers, "c1", {"status/failed": "True"})
    until(lambda: ssh_check(observers)["Status"] == "passing", "a failed node to be nobody's alarm", LIMIT_S)
    assert votes_on(observers, "c1").agreed(2) == 3


@pytest.mark.fault(4)
def test_a_dead_observers_last_words_are_no_vote(observers: ConsulCluster, peer: Callable[[Talk], SSHConfig]) -> None:
    register_ha_nodes(observers, "ha-1", "ha-2")
    register(observers, "c1", ssh=peer(Counter()))
    until(lambda: votes_on(observers, "c1").agreed(2), "both observers to vote", LIMIT_S)
    observers.agents["ha-2"].kill()
    until(lambda: votes_on(observers, "c1").streaks["ha-2"] is None, "the dead observer's vote to go", LIMIT_S)
    assert "3x" not in votes_on(observers, "c1").reasons["ha-2"]
    assert votes_on(observers, "c1").agreed(2) is None
    assert "no banner" in ssh_check(observers, "ha-2")["Output"]


@pytest.mark.fault(24)
def test_an_agent_that_left_is_told_from_one_that_died(observers: ConsulCluster) -> None:
    def left() -> frozenset[str]:
        store = observers.store()
        return read_votes(store, read_view(store)).left

    assert left() == frozenset()
    observers.agents["ha-2"].ask("/v1/agent/leave", method="PUT", token=observers.datacenter.management_token)
    until(lambda: left() == {"ha-2"}, "the leave to be known")


@pytest.mark.fault(28)
def test_one_sweep_tells_well_failing_unknown_and_malformed_nodes_apart(
    plain: ConsulCluster, network: Network, tmp_path: Path
) -> None:
    with start_sshd(tmp_path, network.host(1)) as sshd:
        register(plain, "well-1", ssh=sshd.config)
        register(plain, "wrong-1", ssh=replace(sshd.config, password="wrong-secret"))
        register(plain, "dead-1", ssh=SSHConfig(network.host(9), 22, "u", "p"))
        register(plain, "odd-1", ssh=SSHConfig(network.host(1), 22, "u", "p"))
        write(plain, "odd-1", {"config/ssh/port": "ssh"})
        register(plain, "bare-1")
        done = run(plain, "nova-ha-check-ssh", "--interval", "60", "--host-limit", "20")
    report = Report.from_output(done.stdout)
    assert isinstance(report, Report), done
    assert done.returncode == 2
    assert {name: seen.why for name, seen in report.failing.items()} == {"dead-1": "refused"}
    assert {name: seen.why for name, seen in report.unknown.items()} == {
        "wrong-1": "wrong password",
        "bare-1": "no credentials in config/ssh/user and config/ssh/password",
        "odd-1": "ha_cluster/compute_nodes/odd-1/config/ssh/port is 'ssh', expected a port from 1 to 65535",
    }
    assert report.swept == 5
    assert "secret" not in done.stdout + done.stderr


@pytest.mark.parametrize("command", [("nova-ha-check-ssh",), ("nova-ha", "check", "ssh")])
def test_with_names_it_is_a_check_of_just_those(
    plain: ConsulCluster, network: Network, tmp_path: Path, command: tuple[str, ...]
) -> None:
    with start_sshd(tmp_path, network.host(1)) as sshd:
        register(plain, "named-1", ssh=sshd.config)
        register(plain, "named-2", ssh=SSHConfig(network.host(9), 22, "u", "p"))
        good = run(plain, *command, "--host-limit", "20", "named-1")
        assert (good.returncode, good.stdout) == (0, "OK named-1 login works\n")
        both = run(plain, *command, "--host-limit", "20", "named-1", "named-2")
        assert (both.returncode, both.stdout) == (2, "OK named-1 login works\nFAILING named-2 refused\n")
    none = run(plain, *command, "nobody", "--json")
    assert none.returncode == 1
    assert json.loads(none.stdout) == {"nobody": {"state": "unknown", "why": "is not registered"}}


@pytest.mark.fault(8)
def test_without_consul_a_check_cannot_tell_and_gives_no_vote(plain: ConsulCluster, network: Network) -> None:
    for name in ("nova-ha-check-ssh", "nova-ha-check-bmc", "nova-ha-check-runtime"):
        done = run(plain, name, CONSUL_HTTP_ADDR=f"{network.host(9)}:1")
        assert (done.returncode, done.stdout.count("\n")) == (1, 1), done
        assert done.stdout.startswith("UNKNOWN cannot tell: ")
        assert not isinstance(Report.from_output(done.stdout), Report)


@pytest.mark.fault(8)
def test_a_consul_that_never_answers_ends_the_check_by_its_deadline(
    plain: ConsulCluster, peer: Callable[[Talk], SSHConfig]
) -> None:
    deaf = peer(lambda connection, over: over.wait(2 * LIMIT_S) and None)
    # It ends by itself, or `run` would say that it did not.
    done = run(plain, "nova-ha-check-ssh", CONSUL_HTTP_ADDR=f"{deaf.address}:{deaf.port}")
    assert (done.returncode, done.stdout[:19]) == (1, "UNKNOWN cannot tell")


@pytest.mark.fault(36)
def test_a_token_without_rights_cannot_tell(plain: ConsulCluster) -> None:
    done = run(plain, "nova-ha-check-runtime", CONSUL_HTTP_TOKEN="00000000-0000-0000-0000-00000000dead")
    assert done.returncode == 1
    assert done.stdout.startswith("UNKNOWN")


def test_bmcs_are_told_by_whether_they_could_fence_now(plain: ConsulCluster, tmp_path: Path) -> None:
    with start_bmcs(tmp_path, 3) as bmcs:
        for number, bmc in enumerate(bmcs, 1):
            register(plain, f"bmc-{number}", bmc=replace(bmc.device, identity=bmc.identity))
        register(plain, "bmc-4", bmc=replace(bmcs[0].device, password="wrong"))
        register(plain, "bmc-5")
        register(plain, "bmc-6", bmc=bmcs[0].device)
        bmcs[1].power = "off"
        write(plain, "bmc-3", {"config/bmc/identity": "005cb4e7-0989-eb11-8000-7cc255106afe"})
        done = run(plain, "nova-ha-check-bmc", "bmc-1", "bmc-2", "bmc-3", "bmc-4", "bmc-5", "bmc-6")
    lines = done.stdout.splitlines()
    assert done.returncode == 2, done
    assert lines[0] == "OK bmc-1 powered on, can be fenced"
    assert lines[1] == "UNKNOWN bmc-2 powered off"
    assert lines[2].startswith("FAILING bmc-3 cannot be fenced: the BMC's identity is ")
    assert lines[3] == "FAILING bmc-4 cannot be fenced: login refused"
    assert lines[4] == "UNKNOWN bmc-5 has no BMC"
    assert lines[5] == "UNKNOWN bmc-6 is not fenced without you: no identity of its BMC is recorded"


@pytest.fixture
def compute(plain: ConsulCluster, network: Network) -> Iterator[str]:
    """A compute node with an agent of its own, whose token is that of consul.d/acl/compute-node.hcl.in."""
    name = f"compute-{time.monotonic_ns()}"
    rules = (CONFIGURATION / "acl/compute-node.hcl.in").read_text().replace("@NODE@", name)
    plain.datacenter.define_policy(name, rules)
    plain.add(name, plain.network.host(len(plain.agents)), policies=(name,))
    yield name
    plain.agents[name].kill()


def nova_conf(tmp_path: Path, host: str) -> str:
    (tmp_path / "nova.conf").write_text(f"[DEFAULT]\nhost = {host}\n")
    return str(tmp_path / "nova.conf")


def test_a_compute_node_keeps_its_own_runtime_config_and_writes_only_on_change(
    plain: ConsulCluster, compute: str, tmp_path: Path
) -> None:
    key = f"ha_cluster/compute_nodes/{compute}/internal/runtime_config"
    write(plain, compute, {"internal/runtime_config": RuntimeConfig(nova_host="old").to_kv().decode()})
    for _ in range(2):
        done = run(plain, "nova-ha-check-runtime", "--nova-conf", nova_conf(tmp_path, "new"), agent=compute)
        assert done.returncode == 0, done
        assert done.stdout.startswith(f"OK {compute} is Nova's host new, instances in /var/lib/nova/instances")
    first = plain.store().get(key)
    assert first is not None
    assert RuntimeConfig.from_kv(first.value).nova_host == "new"
    run(plain, "nova-ha-check-runtime", "--nova-conf", nova_conf(tmp_path, "new"), agent=compute)
    assert plain.store().get(key) == first
    run(plain, "nova-ha-check-runtime", "--nova-conf", nova_conf(tmp_path, "newer"), agent=compute)
    assert plain.store().get(key) != first


def test_a_compute_node_that_is_not_registered_writes_nothing(
    plain: ConsulCluster, compute: str, tmp_path: Path
) -> None:
    done = run(plain, "nova-ha-check-runtime", "--nova-conf", nova_conf(tmp_path, "x"), agent=compute)
    assert (done.returncode, "is not registered" in done.stdout) == (1, True), done
    assert plain.store().keys(f"ha_cluster/compute_nodes/{compute}") == []


def test_an_unreadable_runtime_config_is_mended(plain: ConsulCluster, compute: str, tmp_path: Path) -> None:
    key = f"ha_cluster/compute_nodes/{compute}/internal/runtime_config"
    plain.store().commit([cas(key, b"{", 0)])
    done = run(plain, "nova-ha-check-runtime", "--nova-conf", nova_conf(tmp_path, "x"), agent=compute)
    assert done.returncode == 0, done
    shown = run(plain, "nova-ha-check-runtime", compute, "nobody")
    assert shown.returncode == 1
    assert shown.stdout.splitlines()[0].startswith(f"OK {compute} is Nova's host x")
    assert shown.stdout.splitlines()[1] == "UNKNOWN nobody is not registered"
