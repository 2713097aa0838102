"""Real Consul agents with the configuration and the policies that the project ships."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.machines.commands import CHECKS, Commands
from kit.machines.consul import ConsulCluster
from kit.machines.sessions import session_ids
from nova_ha.cluster.schema import PAUSED, WAKE
from nova_ha.consul.transaction import Committed, delete, put, unchanged
from nova_ha.errors import ConsulError, HAError
from nova_ha.sandbox.consul import CONFIGURATION, Agent
from nova_ha.sandbox.provide import find_consul
from nova_ha.sandbox.waiting import until


@pytest.mark.parametrize("name", ["ha-node.hcl", "compute-node.hcl"])
def test_consul_accepts_the_configuration_of_each_role(name: str, tmp_path: Path) -> None:
    needed = tmp_path / "needed.json"
    needed.write_text(json.dumps({"data_dir": str(tmp_path)}))
    command = [str(find_consul()), "validate", str(CONFIGURATION / name), str(needed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_a_check_that_has_not_run_yet_is_a_warning_and_never_critical(an_untried_cluster: ConsulCluster) -> None:
    checks = an_untried_cluster.agents["ha-1"].ask("/v1/agent/checks")
    untried = [check for check in checks.values() if not check["Output"]]
    assert "nova-ha-bmc" in [check["CheckID"] for check in untried]
    assert {check["Status"] for check in untried} == {"warning"}


def test_the_scripts_of_an_agent_inherit_its_environment(
    an_observed_cluster: ConsulCluster, commands: Commands
) -> None:
    agent = an_observed_cluster.agents["ha-1"]
    seen = until(lambda: commands.calls("nova-ha-check-ssh"), "the SSH check to run")[0].split(";")
    assert f"CONSUL_HTTP_ADDR={agent.http_address}" in seen
    assert f"CONSUL_HTTP_TOKEN={agent.token}" in seen
    assert "OS_CLOUD=rehearsal" in seen


def test_a_changed_observation_calls_the_failures_handler(
    an_observed_cluster: ConsulCluster, commands: Commands
) -> None:
    until(lambda: commands.calls("nova-ha-check-ssh"), "the SSH check to run")
    before = len(commands.calls("nova-ha-handle-failures"))
    script = commands.directory / "nova-ha-check-ssh"
    script.write_text("#!/bin/sh\necho FAILING 1 of 1\nexit 2\n")
    until(lambda: len(commands.calls("nova-ha-handle-failures")) > before, "the failures handler to be called")


@pytest.mark.parametrize("key", ["ha_cluster/wake", "ha_cluster/locks/recovery/.lock"])
def test_a_wake_and_a_changed_lock_call_the_recovery_handler(
    an_observed_cluster: ConsulCluster, commands: Commands, key: str
) -> None:
    before = len(commands.calls("nova-ha-handle-recovery"))
    assert isinstance(an_observed_cluster.store().commit([put(key, b"anew")]), Committed)
    until(lambda: len(commands.calls("nova-ha-handle-recovery")) > before, "the recovery handler to be called")


def test_a_setting_after_the_shipped_file_changes_one_check_and_leaves_the_others(commands: Commands) -> None:
    faster = {
        "service": {
            "name": "nova-ha",
            "id": "nova-ha",
            "checks": [{"id": "nova-ha-ssh", "name": "SSH", "args": ["nova-ha-check-cluster"], "interval": "1s"}],
        }
    }
    environ = {"PATH": f"{commands.directory}:/bin:/usr/bin"}
    with ConsulCluster(files=[CONFIGURATION / "ha-node.hcl"], settings=faster, environ=environ) as cluster:
        checks = cluster.agents["ha-1"].ask("/v1/agent/checks")
        assert set(checks) == {"nova-ha-ssh", "nova-ha-bmc", "nova-ha-cluster"}
        until(lambda: len(commands.calls("nova-ha-check-cluster")) > 2, "the changed check to run every second")
        assert commands.calls(CHECKS[0]) == []


def test_an_agent_that_is_ended_has_not_left_and_keeps_its_sessions() -> None:
    with ConsulCluster(clients=2) as cluster:
        session = cluster.store("ha-2").create_session("driver", ttl_s=60, lock_delay_s=1)
        cluster.agents["ha-2"].stop()
        members = cluster.agents["ha-1"].ask("/v1/agent/members")
        left = 3
        assert left not in [member["Status"] for member in members]
        assert session in session_ids(cluster.store("ha-1"))
        cluster.agents["ha-2"].start()
        cluster.datacenter.await_members()


def test_three_servers_choose_another_leader_when_theirs_is_killed() -> None:
    with ConsulCluster(servers=3) as cluster:
        first = cluster.datacenter.leader
        first.kill()
        until(lambda: cluster.datacenter.await_leader() != f"{first.address}:8300", "another leader")


def test_an_agent_that_cannot_start_says_why() -> None:
    with ConsulCluster(clients=0) as cluster:
        agent = cluster.datacenter.client("ha-1", cluster.network.ha_node(1), settings={"no_such_option": 1})
        with pytest.raises(HAError, match="no_such_option"):
            agent.start()


# --- rights under default deny


@pytest.fixture(scope="module")
def a_guarded_cluster() -> Iterator[ConsulCluster]:
    with ConsulCluster(clients=1, acl=True) as cluster:
        cluster.datacenter.define_policy("operator", (CONFIGURATION / "acl/operator.hcl").read_text())
        template = (CONFIGURATION / "acl/compute-node.hcl.in").read_text()
        cluster.datacenter.define_policy("compute-1", template.replace("@NODE@", "compute-1"))
        cluster.add("compute-1", cluster.network.host(1), policies=["compute-1"], files=[COMPUTE])
        cluster.add("operator", cluster.network.host(2), policies=["operator"])
        yield cluster


COMPUTE = CONFIGURATION / "compute-node.hcl"
NODE = "ha_cluster/compute_nodes/compute-1/"
WRITES = {
    NODE + "status/failed": ("ha-1", "operator"),
    NODE + "internal/runtime_config": ("ha-1", "compute-1", "operator"),
    NODE + "internal/runtime_config_of_another": ("ha-1", "operator"),
    "ha_cluster/compute_nodes/compute-2/internal/runtime_config": ("ha-1", "operator"),
    NODE + "config/nova_host": ("ha-1", "operator"),
    "ha_cluster/ha_nodes/ha-1/status/in_use": ("ha-1", "operator"),
    "ha_cluster/incidents/open/compute-1": ("ha-1", "operator"),
    "ha_cluster/locks/recovery/.lock": ("ha-1", "operator"),
    "ha_cluster/wake": ("ha-1", "operator"),
    "ha_cluster/paused": ("ha-1", "operator"),
    "ha_cluster/config/monitor/quorum": ("operator",),
    "elsewhere": (),
}


@pytest.mark.parametrize("role", ["ha-1", "compute-1", "operator"])
@pytest.mark.parametrize("key", WRITES)
def test_each_role_may_write_its_own_keys_and_no_others(
    a_guarded_cluster: ConsulCluster, key: str, role: str
) -> None:
    store = a_guarded_cluster.store(role)
    if role in WRITES[key]:
        assert isinstance(store.commit([put(key, b"value")]), Committed)
        return
    with pytest.raises(ConsulError, match="has not the right"):
        store.commit([put(key, b"value")])


def test_an_ha_node_may_let_a_flip_depend_on_the_absence_of_the_pause(a_guarded_cluster: ConsulCluster) -> None:
    store = a_guarded_cluster.store("ha-1")
    a_guarded_cluster.store("operator").commit([delete(PAUSED)])
    assert isinstance(store.commit([unchanged(PAUSED, 0), put(WAKE, b"anew")]), Committed)


def test_a_compute_node_cannot_read_the_passwords(a_guarded_cluster: ConsulCluster) -> None:
    key = NODE + "config/bmc/password"
    a_guarded_cluster.store("ha-1").commit([put(key, b"secret")])
    assert a_guarded_cluster.store("ha-1").list(NODE + "config/") != []
    assert a_guarded_cluster.store("compute-1").list(NODE + "config/") == []


def test_an_ha_node_sees_the_observers_and_may_hold_sessions(a_guarded_cluster: ConsulCluster) -> None:
    store = a_guarded_cluster.store("ha-1")
    assert store.node_name() == "ha-1"
    nodes = {check["Node"] for check in store.fetch("/v1/health/state/any")}
    assert {"server-1", "ha-1", "compute-1"} <= nodes
    session = store.create_session("driver", ttl_s=15, lock_delay_s=1)
    assert store.renew_session(session)


def test_a_compute_node_knows_its_own_name_and_gets_no_session(a_guarded_cluster: ConsulCluster) -> None:
    store = a_guarded_cluster.store("compute-1")
    assert store.node_name() == "compute-1"
    with pytest.raises(HAError):
        store.create_session("driver", ttl_s=15, lock_delay_s=1)


def test_nobody_may_register_a_script_over_the_api(a_guarded_cluster: ConsulCluster) -> None:
    agent: Agent = a_guarded_cluster.agents["ha-1"]
    script = {"Name": "evil", "Args": ["/bin/true"], "Interval": "5s", "ServiceID": ""}
    with pytest.raises(HAError, match=r"answers [45]"):
        agent.ask(
            "/v1/agent/check/register", method="PUT", body=script, token=a_guarded_cluster.datacenter.management_token
        )
