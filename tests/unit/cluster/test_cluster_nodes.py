"""Nodes read from their keys: what cannot be read is a problem that names its key, and stops that node alone."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.fakes.kv_entries import NOW, an_entry, compute_keys, ha_keys
from nova_ha.cluster.node import ComputeNode, HANode, Maintenance, RuntimeConfig
from nova_ha.cluster.schema import compute_node

LEAVES = (
    "status/failed",
    "status/recovered",
    "internal/number_fails",
    "internal/left",
    "internal/runtime_config",
    "config/nova_host",
    "config/ssh/address",
    "config/ssh/port",
    "config/ssh/user",
    "config/ssh/password",
    "config/ssh/host_key",
    "config/bmc/ip",
    "config/bmc/user",
    "config/bmc/password",
    "config/bmc/driver",
    "config/bmc/port",
    "config/bmc/identity",
    "config/bmc/tls",
    "config/bmc/system",
    "config/approval",
    "config/maintenance",
)


def a_node(name: str = "c1", /, **changed: str | bytes | None) -> ComputeNode:
    return ComputeNode.from_entries(name, compute_keys(name, **changed))


def test_a_sound_node_has_no_problem_and_the_defaults() -> None:
    node = a_node()
    assert node.problems == ()
    assert node.nova_host == "nova-c1"
    assert (node.ssh.address, node.ssh.port, node.ssh.host_key) == ("c1", 22, None)
    assert node.bmc is not None
    assert (node.bmc.driver, node.bmc.port, node.bmc.identity, node.bmc.tls) == ("ipmi", 623, None, "verify")
    assert (node.failed, node.recovered, node.number_fails, node.lock_session) == (False, False, 0, "")


@pytest.mark.fault(43)
@pytest.mark.parametrize("own", [0, -1, 121, 10**9, True, "30", 10.5, [30]])
def test_an_interval_of_its_own_that_is_none_is_a_problem_that_names_it(own: object) -> None:
    record = json.dumps({"version": 1, "nova_host": "c1", "report_interval_s": own})
    node = a_node(internal__runtime_config=record)
    [problem] = node.problems
    assert str(problem).endswith("/internal/runtime_config has no number from 1 to 120 in 'report_interval_s'")


@pytest.mark.fault(43)
@pytest.mark.parametrize(("own", "by_policy", "every_s"), [(None, 10, 10), (5, 10, 10), (30, 10, 30), (30, 60, 60)])
def test_the_longer_of_its_own_interval_and_the_policys_is_its_cadence(
    own: int | None, by_policy: int, every_s: int
) -> None:
    node = a_node(internal__runtime_config=RuntimeConfig("c1", report_interval_s=own).to_kv())
    assert node.report_interval_s(by_policy) == every_s
    assert a_node(internal__runtime_config=None).report_interval_s(by_policy) == by_policy


@pytest.mark.fault(34)
@pytest.mark.parametrize(
    ("host", "own"),
    [
        *(("h1", True), ("H1", True), ("h1.example.org", True), ("nova-9", True), ("Nova-9.Example.Org", True)),
        *(("h10", False), ("nova-9.other.org", False), ("", False), (None, False)),
    ],
)
def test_an_ha_node_knows_its_own_host_by_both_its_names_with_and_without_a_domain(
    host: str | None, own: bool
) -> None:
    assert HANode.from_entries("h1", ha_keys("h1", config__nova_host="nova-9.example.org")).is_on(host) is own


def test_which_of_several_systems_the_host_is_is_a_key_of_its_own() -> None:
    node = a_node(config__bmc__system="/redfish/v1/Systems/DGX")
    assert node.bmc is not None
    assert node.bmc.system == "/redfish/v1/Systems/DGX"


def test_the_default_port_is_that_of_the_driver() -> None:
    node = a_node(config__bmc__driver="Redfish")
    assert node.bmc is not None
    assert (node.bmc.driver, node.bmc.port) == ("redfish", 443)


@pytest.mark.parametrize("leaf", LEAVES)
def test_a_key_with_rubbish_is_a_problem_that_names_it(leaf: str) -> None:
    node = a_node("c1", **{leaf.replace("/", "__"): b"\xff\x00"})
    assert [problem.key for problem in node.problems] == [f"ha_cluster/compute_nodes/c1/{leaf}"]


@given(st.dictionaries(st.sampled_from(LEAVES), st.binary(max_size=30) | st.just(b"{}"), max_size=6))
def test_no_bytes_in_any_key_raise_anything(changed: dict[str, bytes]) -> None:
    node = a_node("c1", **{leaf.replace("/", "__"): raw for leaf, raw in changed.items()})
    assert {problem.key for problem in node.problems} <= {compute_node("c1", leaf) for leaf in LEAVES}


@given(st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=20)), max_size=4))
def test_keys_that_nobody_knows_are_ignored(strangers: list[tuple[str, bytes]]) -> None:
    entries = [an_entry(compute_node("c1", "strange/" + leaf), raw) for leaf, raw in strangers]
    assert ComputeNode.from_entries("c1", [*compute_keys("c1"), *entries]).problems == ()


@given(st.text(max_size=20))
def test_a_node_of_any_name_is_read(name: str) -> None:
    ComputeNode.from_entries(name, compute_keys(name))
    HANode.from_entries(name, ha_keys(name))


def test_a_name_that_consul_cannot_have_is_a_problem() -> None:
    assert "not a node's name" in str(ComputeNode.from_entries("a b", compute_keys("a b")).problems[0])


@pytest.mark.parametrize("missing", ["ip", "user", "password"])
def test_a_bmc_without_all_of_its_keys_is_a_problem(missing: str) -> None:
    node = a_node("c1", **{f"config__bmc__{missing}": None})
    assert node.bmc is None
    assert [str(p) for p in node.problems] == [f"ha_cluster/compute_nodes/c1/config/bmc/{missing} is missing"]


def test_a_node_without_any_bmc_is_sound_and_has_none() -> None:
    node = a_node(config__bmc__ip=None, config__bmc__user=None, config__bmc__password=None)
    assert node.bmc is None
    assert node.problems == ()


def test_missing_ssh_credentials_are_none_and_no_problem() -> None:
    node = a_node(config__ssh__user=None, config__ssh__password=None)
    assert (node.ssh.user, node.ssh.password, node.problems) == (None, None, ())


def test_a_node_without_runtime_config_has_no_nova_host() -> None:
    assert a_node(internal__runtime_config=None).nova_host is None


@pytest.mark.parametrize(
    ("text", "tls"),
    [("verify", "verify"), ("insecure", "insecure"), ("sha256:" + "AB:" * 31 + "ab", "sha256:" + "ab" * 32)],
)
def test_the_ways_to_trust_a_bmc(text: str, tls: str) -> None:
    node = a_node(config__bmc__tls=text)
    assert node.bmc is not None
    assert node.bmc.tls == tls


@pytest.mark.parametrize("text", ["", "no", "sha256:", "sha256:" + "g" * 64, "sha1:" + "a" * 40])
def test_anything_else_is_no_way_to_trust_a_bmc(text: str) -> None:
    assert a_node(config__bmc__tls=text).problems


def test_passwords_are_never_in_a_repr() -> None:
    node = a_node()
    assert node.bmc is not None
    assert node.bmc.password == "bmcpass"
    assert node.ssh.password == "sshpass"
    for shown in (repr(node), str(node), repr(node.bmc), repr(node.ssh)):
        assert "bmcpass" not in shown
        assert "sshpass" not in shown


def test_a_maintenance_ends_by_itself() -> None:
    node = a_node(config__maintenance=Maintenance(NOW, "ann", "").to_kv())
    assert node.maintained(NOW - timedelta(seconds=1))
    assert not node.maintained(NOW)


def test_every_key_keeps_its_index_and_an_absent_one_has_none() -> None:
    node = a_node()
    assert node.index("status/failed") == 7
    assert node.index("config/approval") == 0


def test_the_session_of_the_lock_is_known() -> None:
    lock = an_entry(compute_node("c1", "internal/.lock"), b"", session="s-1")
    assert ComputeNode.from_entries("c1", [*compute_keys("c1"), lock]).lock_session == "s-1"


def test_an_ha_node_has_its_own_name_in_nova_by_default() -> None:
    assert HANode.from_entries("h1", ha_keys("h1")).nova_host == "h1"
    assert HANode.from_entries("h1", ha_keys("h1", config__nova_host="n9")).nova_host == "n9"


def test_an_ha_node_with_rubbish_in_in_use_has_a_problem() -> None:
    node = HANode.from_entries("h1", ha_keys("h1", status__in_use="maybe"))
    assert [p.key for p in node.problems] == ["ha_cluster/ha_nodes/h1/status/in_use"]
