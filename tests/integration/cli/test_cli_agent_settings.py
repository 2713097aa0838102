"""What doctor and the timer say of real agents that run otherwise than consul.d/ha-node.hcl has it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from kit.machines.commands import Commands as StandIns
from kit.machines.commands_at_work import Commands
from kit.machines.consul import ConsulCluster
from nova_ha.cluster.registry import add_ha_node
from nova_ha.sandbox.consul import CONFIGURATION, Agent, commands_path

SHIPPED = CONFIGURATION / "ha-node.hcl"
TIMER = Path(sys.executable).parent / "nova-ha-check-cluster"
# What the second file of each agent says, after the shipped one.
SECOND_FILES = {
    "shipped": "",
    "late": 'check_update_interval = "5m"',
    "discards": "# Less load.\ndiscard_check_output = true\n",
    "short": '{"check_output_max_size": 4096}',
    "reloaded": 'check_update_interval = "1m"',
    "slow": 'service { id = "nova-ha", name = "nova-ha", checks = [{ id = "nova-ha-ssh", name = "SSH", '
    'args = ["nova-ha-check-ssh", "--paced"], interval = "20s", timeout = "10s", output_max_size = 65536 }] }',
}
# The sandbox's own file comes last.
LAST_FILES = {"leaves": {"leave_on_terminate": True}}


@pytest.fixture(scope="module")
def agents(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsulCluster]:
    """One HA node for each configuration, and `bare`, which has loaded nothing of ours."""
    folder = tmp_path_factory.mktemp("files")
    stand_ins = StandIns(folder)
    environ = {"PATH": f"{stand_ins.directory}{os.pathsep}{commands_path()}"}
    with ConsulCluster(clients=0, acl=True, environ=environ) as cluster:
        for number, (name, text) in enumerate([*SECOND_FILES.items(), *dict.fromkeys(LAST_FILES, "").items()], 1):
            second = folder / f"zz-{name}.{'json' if text.startswith('{') else 'hcl'}"
            second.write_text(text)
            settings = LAST_FILES.get(name, {})
            cluster.add(name, cluster.network.ha_node(number), files=[SHIPPED, second], settings=settings)
        cluster.add("bare", cluster.network.ha_node(99))
        cluster.datacenter.await_members()
        store = cluster.store("shipped")
        for name in cluster.agents:
            add_ha_node(store, name)
        yield cluster


def doctor(agent: Agent, **variables: str) -> dict[str, list[Mapping[str, Any]]]:
    """What it says of the agent and of our checks, by subject."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in Commands(agent.access)("doctor", "--quick", "--json", **variables).values:
        if row["area"] == "Consul" and row["subject"].startswith(("agent", "nova-ha")):
            found.setdefault(row["subject"], []).append(row)
    return found


def timer(agent: Agent, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, **agent.access, **variables}
    return subprocess.run([TIMER], env=environ, capture_output=True, text=True, timeout=120, check=False)


def test_the_shipped_configuration_runs_as_it_is_meant_to(agents: ConsulCluster) -> None:
    found = doctor(agents.agents["shipped"])
    assert {row["level"] for rows in found.values() for row in rows} == {"ok"}
    [row] = found["agent"]
    version = agents.agents["shipped"].ask("/v1/agent/self")["Config"]["Version"]
    assert row["what"].startswith(f"Consul {version}: check_update_interval 0s; ")
    ran = timer(agents.agents["shipped"])
    assert (ran.returncode, ran.stdout) == (0, "OK nothing waits, of 0 compute nodes\n")


@pytest.mark.parametrize(
    ("name", "subject", "setting", "effect", "file"),
    [
        ("late", "agent", "check_update_interval is 5m0s", "up to 5m0s late", "zz-late.hcl"),
        ("discards", "agent", "discard_check_output is true", "does not see which hosts fail", "zz-discards.hcl"),
        ("short", "agent", "check_output_max_size is 4096", "loses its beginning", "zz-short.json"),
        ("leaves", "agent", "leave_on_terminate is true", "loses its lock", "leaves/sandbox.json"),
        ("slow", "nova-ha-ssh", "interval is 20s, needed is at most 1s", "less often", "zz-slow.hcl"),
    ],
)
def test_a_setting_that_another_file_overrides_is_named_with_its_effect_and_that_file(
    agents: ConsulCluster, name: str, subject: str, setting: str, effect: str, file: str
) -> None:
    found = doctor(agents.agents[name])
    bad = [row for rows in found.values() for row in rows if row["level"] == "bad"]
    assert [row["subject"] for row in bad] == [subject]
    assert bad[0]["what"].startswith(setting)
    assert effect in bad[0]["what"]
    assert f"/{file}: mend it there" in bad[0]["remedy"]
    ran = timer(agents.agents[name])
    assert ran.returncode == 1
    headline, line = ran.stdout.splitlines()
    assert headline == "WAITING 1 waiting for the operator, of 0 compute nodes"
    assert setting in line
    assert effect in line
    assert "nova-ha doctor" in line


def test_an_agent_that_has_loaded_nothing_of_ours_is_told_what_to_load(agents: ConsulCluster) -> None:
    found = doctor(agents.agents["bare"])
    bad = {(row["subject"], row["what"].partition(" is ")[0]) for rows in found.values() for row in rows}
    assert ("agent", "enable_local_script_checks") in bad
    assert {("nova-ha-ssh", "its definition"), ("nova-ha-cluster", "its definition")} <= bad
    [row] = [row for row in found["agent"] if row["what"].startswith("enable_local")]
    assert "no check is run" in row["what"]
    assert row["remedy"].startswith("no file of the agent sets it: let it load consul.d/ha-node.hcl")


def test_a_file_that_was_mended_is_told_from_one_that_is_still_to_be_mended(agents: ConsulCluster) -> None:
    late = agents.agents["late"]
    [file] = [Path(row["remedy"].split()[2].rstrip(":")) for row in doctor(late)["agent"] if row["level"] == "bad"]
    file.write_text(SECOND_FILES["late"].replace("5m", "0s"))
    try:
        [row] = [row for row in doctor(late)["agent"] if row["level"] == "bad"]
        assert row["remedy"].startswith(f"{file} has it right by now: restart the agent")
    finally:
        file.write_text(SECOND_FILES["late"])


def test_a_reload_is_not_taken_for_a_restart(agents: ConsulCluster) -> None:
    """Some versions show the reloaded interval while they go on with the old one."""
    late = agents.agents["reloaded"]
    [file] = [Path(row["remedy"].split()[2].rstrip(":")) for row in doctor(late)["agent"] if row["level"] == "bad"]
    file.write_text('check_update_interval = "0s"')
    os.utime(file, (time.time() + 2, time.time() + 2))  # a restart within the same second is not told apart
    late.ask("/v1/agent/reload", method="PUT", token=agents.datacenter.management_token)
    rows = [row for row in doctor(late)["agent"] if row["level"] != "ok"]
    assert len(rows) == 1
    assert f"{file}" in rows[0]["what"] + rows[0]["remedy"]
    assert "restart the agent" in rows[0]["remedy"]


def test_a_token_that_may_not_read_the_agent_gives_one_clear_finding_and_no_alarm(agents: ConsulCluster) -> None:
    rules = (
        'key_prefix "" { policy = "read" } service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }'
    )
    agents.datacenter.define_policy("no-agent", rules)
    token = {"CONSUL_HTTP_TOKEN": agents.datacenter.token("nobody", ["no-agent"])}
    late = agents.agents["late"]
    [row] = doctor(late, **token)["agent"]
    assert (row["level"], "its settings are not known: Consul refuses" in row["what"]) == ("warning", True)
    assert "consul.d/acl/" in row["remedy"]
    ran = timer(late, **token)
    assert (ran.returncode, ran.stdout) == (0, "OK nothing waits, of 0 compute nodes\n")
