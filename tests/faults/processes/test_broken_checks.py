"""Fault 22 on real agents: every observer's check is broken, each in another way, while a host is dead indeed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from kit.machines.consul import ConsulCluster
from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.schema import compute_node, ha_node
from nova_ha.cluster.view import read_view
from nova_ha.consul.transaction import put
from nova_ha.probe.votes import read_votes
from nova_ha.sandbox.consul import commands_path
from nova_ha.sandbox.waiting import until

PATIENCE_S = 240.0
BIN = Path(sys.executable).parent
# What runs in place of the check on each HA node, and what the votes then say of it.
BROKEN = {
    "ha-1": (["nova-ha-check-ssh", "--no-such-option"], "UNKNOWN wrong usage: No such option"),
    "ha-2": (["nova-ha-check-shh"], "nova-ha-check-shh"),
    "ha-3": (["sh", "-c", "nova-ha-check-shh --interval 2"], "not found"),
}


def observer(args: list[str]) -> Mapping[str, Any]:
    """Return the settings of an agent whose SSH check is this."""
    check = {"id": "nova-ha-ssh", "name": "SSH", "args": args, "interval": "1s", "status": "warning"}
    service = {"id": "nova-ha", "name": "nova-ha", "checks": [check]}
    return {"check_update_interval": "0s", "enable_local_script_checks": True, "service": service}


@pytest.fixture
def cluster() -> Iterator[ConsulCluster]:
    """Three HA nodes with broken checks, and two hosts at addresses where nobody listens."""
    with ConsulCluster(clients=0, acl=True, environ={"PATH": commands_path()}) as running:
        for number, (name, (args, _)) in enumerate(BROKEN.items(), start=1):
            running.add(name, running.network.ha_node(number), settings=observer(args))
        running.datacenter.await_members()
        for name in BROKEN:
            running.store().commit([put(ha_node(name, "status/in_use"), b"False")])
        for number in (1, 2):
            register(running, f"c{number}", running.network.host(number))
        yield running


def register(cluster: ConsulCluster, node: str, address: str) -> None:
    leaves = {"status/failed": "False", "config/ssh/address": address, "config/ssh/user": "probe"}
    leaves |= {"config/ssh/password": "secret", "internal/number_fails": "0"}
    cluster.store().commit([put(compute_node(node, leaf), text.encode()) for leaf, text in leaves.items()])


@pytest.mark.fault(22)
def test_checks_that_all_agents_cannot_run_fail_no_host(cluster: ConsulCluster) -> None:
    until(
        lambda: all(why in words(cluster) for _, why in BROKEN.values()),
        f"all checks to have run: {words(cluster)}",
        PATIENCE_S,
    )
    for name in BROKEN:
        done = handle_failures(cluster, name)
        assert done.returncode == 0, done.stderr
        assert "not-counted gate=no-quorum hosts=2" in done.stderr
    for node in ("c1", "c2"):
        found = ComputeNode.from_entries(node, cluster.store().list(compute_node(node, "")))
        assert (found.failed, found.number_fails) == (False, 0)


@pytest.mark.fault(22)
def test_a_broken_check_is_critical_for_consul_only_where_it_cannot_be_ours(cluster: ConsulCluster) -> None:
    """Whatever Consul makes of it, a usage error of ours is a warning, and no word of it is a vote."""
    until(lambda: BROKEN["ha-1"][1] in words(cluster), "the check to have run", PATIENCE_S)
    status = {row["CheckID"]: row["Status"] for row in cluster.datacenter.ask("/v1/health/node/ha-1")}
    assert status["nova-ha-ssh"] == "warning"
    store = cluster.store()
    assert read_votes(store, read_view(store)).of("c1").votes == ()


def words(cluster: ConsulCluster) -> str:
    store = cluster.store()
    return read_votes(store, read_view(store)).of("c1").in_words()


def handle_failures(cluster: ConsulCluster, name: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": commands_path(), **cluster.agents[name].access}
    command = [str(BIN / "nova-ha-handle-failures")]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
