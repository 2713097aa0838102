"""Bad input and missing rights on a real Consul: one line with the key or host and what to do, and the exit code."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.machines.commands_at_work import Commands
from kit.machines.consul import ConsulCluster

NODE = ("--ssh-user", "probe", "--bmc-user", "admin", "--bmc-ip", "10.0.0.{}")
FILES = ("--ssh-password-file", "-", "--bmc-password-file", "-")
PASSWORDS = "s3cret-one\ns3cret-two\n"


def add(operator: Commands, name: str, last: int = 1, *words: str, well: bool = True):  # type: ignore[no-untyped-def]
    run = operator.well if well else operator
    options = [word.format(last) for word in NODE]
    return run("node", "add", name, "--no-probe", *options, *FILES, *words, given=PASSWORDS)


def test_a_cluster_is_registered_shown_and_removed_again(operator: Commands) -> None:
    assert operator.well("ha-node", "add", "ha-1").out == "ha-1 is registered\n"
    assert add(operator, "c1").out == "c1 is registered\n"
    assert [node["name"] for node in operator.well("node", "list", "--json").values] == ["c1"]
    shown = operator.well("node", "show", "c1")
    assert "s3cret" not in shown.out + shown.err
    assert operator.well("status", "--json").values["compute_nodes"][0]["state"] == "unknown"
    assert operator.well("config", "check").out == "no mistake found\n"
    operator.well("node", "remove", "c1")
    operator.well("ha-node", "remove", "ha-1")
    assert operator.well("node", "list", "--json").values == []


def test_the_two_passwords_are_the_two_lines_of_standard_input(operator: Commands, consul: ConsulCluster) -> None:
    add(operator, "c1")
    view = consul.datacenter.ask("/v1/kv/ha_cluster/compute_nodes/c1/config/?recurse")
    import base64

    values = {row["Key"].rpartition("/config/")[2]: base64.b64decode(row["Value"]).decode() for row in view}
    assert (values["ssh/password"], values["bmc/password"]) == ("s3cret-one", "s3cret-two")


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--bmc-port", "99999"), "ha_cluster/compute_nodes/c1/config/bmc/port is '99999', expected a port"),
        (("--bmc-tls", "no"), "ha_cluster/compute_nodes/c1/config/bmc/tls is 'no'"),
        (("--bmc-ip", ""), "ha_cluster/compute_nodes/c1/config/bmc/ip is missing"),
        (("--no-such-option",), "No such option"),
    ],
)
def test_a_bad_value_is_named_with_its_key(operator: Commands, words: tuple[str, ...], what: str) -> None:
    ran = add(operator, "c1", 1, *words, well=False)
    assert (ran.code, ran.out) == (2, "")
    assert what in ran.err
    assert "s3cret" not in ran.err
    assert operator.well("node", "list", "--json").values == []


def test_a_name_with_a_slash_is_refused(operator: Commands) -> None:
    ran = add(operator, "rack/c1", well=False)
    assert (ran.code, "no slash" in ran.err) == (2, True)


def test_an_unknown_option_is_refused_with_the_known_ones(operator: Commands) -> None:
    ran = operator("config", "set", "monitor/qourum", "2")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "ha_cluster/config/monitor/qourum is not an option" in ran.err
    assert "monitor/quorum" in ran.err


@pytest.mark.fault(28)
def test_a_key_broken_by_hand_is_named_and_the_others_go_on(operator: Commands, consul: ConsulCluster) -> None:
    add(operator, "c1")
    add(operator, "c2", 2)
    consul.client("ha-1", consul.datacenter.management_token).kv.put(
        "ha_cluster/compute_nodes/c1/status/failed", "perhaps"
    )
    nodes = {node["name"]: node for node in operator.well("status", "--json").values["compute_nodes"]}
    assert nodes["c1"]["state"] == "unreadable"
    assert "ha_cluster/compute_nodes/c1/status/failed is 'perhaps', expected True or False" in nodes["c1"]["reason"]
    assert nodes["c2"]["state"] == "unknown"
    checked = operator("config", "check")
    assert checked.code == 1
    assert "`consul kv put ha_cluster/compute_nodes/c1/status/failed VALUE`" in checked.out


COMMANDS = [
    ("status",),
    ("explain", "c1"),
    ("history",),
    ("metrics",),
    ("pause",),
    ("resume",),
    ("approve", "c1"),
    ("node", "list"),
    ("node", "show", "c1"),
    ("node", "add", "c1", "--no-probe", "--bmc-ip", "10.0.0.1"),
    ("node", "set", "c1", "--bmc-port", "1"),
    ("node", "remove", "c1"),
    ("node", "maintenance", "c1"),
    ("node", "confirm-off", "c1"),
    ("node", "retry", "c1"),
    ("ha-node", "list"),
    ("ha-node", "add", "ha-1"),
    ("ha-node", "remove", "ha-1"),
    ("config", "list"),
    ("config", "get", "session/ttl"),
    ("config", "set", "session/ttl", "20"),
    ("config", "check"),
]


@pytest.mark.fault(36)
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_token_without_rights_is_told_so_by_every_command(nobody: Commands, words: tuple[str, ...]) -> None:
    ran = nobody(*words)
    assert (ran.code, ran.out) == (1, ""), ran
    assert ran.err.count("\n") == 1
    assert "the token has not the right" in ran.err
    assert "consul.d/acl/" in ran.err


def test_the_token_of_an_ha_node_cannot_change_the_policy(ha_node: Commands) -> None:
    ran = ha_node("config", "set", "session/ttl", "20")
    assert ran.code == 1
    assert "ha_cluster/config/session/ttl" in ran.err
    assert "the token has not the right" in ran.err


@pytest.mark.fault(36)
def test_a_wrong_token_is_told_so(nobody: Commands) -> None:
    ran = nobody("status", CONSUL_HTTP_TOKEN="00000000-1111-2222-3333-444444444444")
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)


def test_a_token_file_that_cannot_be_read_is_named(nobody: Commands) -> None:
    ran = nobody("status", CONSUL_HTTP_TOKEN="", CONSUL_HTTP_TOKEN_FILE="/no/such/file")
    assert (ran.code, "CONSUL_HTTP_TOKEN_FILE" in ran.err) == (1, True)


def test_the_names_of_nodes_complete_from_consul(operator: Commands) -> None:
    add(operator, "compute-1")
    add(operator, "compute-2", 2)
    add(operator, "other", 3)
    ran = operator(_NOVA_HA_COMPLETE="bash_complete", COMP_WORDS="nova-ha explain comp", COMP_CWORD="2")
    assert sorted(line.rpartition(",")[2] for line in ran.out.split()) == ["compute-1", "compute-2"]


def test_a_cut_off_reader_ends_a_listing_quietly(operator: Commands, tmp_path: Path) -> None:
    import subprocess

    from kit.machines.commands_at_work import NOVA_HA

    script = f"{NOVA_HA} config list 2>{tmp_path}/err | true; echo ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", script], env=operator.environ, capture_output=True, text=True, check=False)
    assert ended.stdout.strip() in ("141", "0")  # 0 where it was done before the reader had gone
    assert (tmp_path / "err").read_text() == ""
