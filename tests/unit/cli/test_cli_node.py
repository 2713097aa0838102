"""Registering nodes: everything is judged before anything is written, and no password is ever shown."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest
from kit.fakes.typing_operator import Operator, Ran
from kit.fakes.world import World
from nova_ha.cli import identify
from nova_ha.cluster.schema import compute_node
from nova_ha.errors import BMCError


@pytest.fixture
def password(tmp_path: Path) -> str:
    file = tmp_path / "pw"
    file.write_text("s3cret-word\n")
    return str(file)


@pytest.fixture(autouse=True)
def machines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every host shows a key, and every BMC an identity that is its address."""
    monkeypatch.setattr(identify, "ssh_host_key", lambda node: host_key(node.ssh.address))
    monkeypatch.setattr(identify, "bmc_identity", lambda device, timeout_s: f"guid-{device.host}")


def host_key(address: str) -> str:
    kind = b"ssh-ed25519"
    return f"ssh-ed25519 {b64encode(len(kind).to_bytes(4, 'big') + kind + address.encode()).decode()}"


def add(nova_ha: Operator, password: str, name: str = "c9", **changed: str) -> Ran:
    given = {
        "ssh-user": "probe",
        "ssh-password-file": password,
        "bmc-ip": "10.9.9.9",
        "bmc-user": "admin",
        "bmc-password-file": password,
        **changed,
    }
    return nova_ha("node", "add", name, *(word for k, v in given.items() for word in (f"--{k}", v) if v != "none"))


def leaf(world: World, name: str, leaf: str) -> str | None:
    return world.store.value(compute_node(name, leaf))


def test_a_new_node_gets_every_key_in_one_transaction(nova_ha: Operator, world: World, password: str) -> None:
    assert add(nova_ha, password).out == "c9 is registered\n"
    keys = {key.removeprefix(compute_node("c9")) for key in world.store.data if key.startswith(compute_node("c9"))}
    assert keys == {
        "status/failed",
        "status/recovered",
        "internal/number_fails",
        "internal/runtime_config",
        "general/",
        "config/nova_host",
        *(f"config/ssh/{name}" for name in ("user", "password", "host_key")),
        *(f"config/bmc/{name}" for name in ("ip", "user", "password", "identity")),
    }
    assert leaf(world, "c9", "config/nova_host") == "c9"
    assert leaf(world, "c9", "status/failed") == "False"
    assert leaf(world, "c9", "config/bmc/password") == "s3cret-word"
    assert '"nova_host":"c9"' in (leaf(world, "c9", "internal/runtime_config") or "")
    assert len(world.store.commits) == 1


def test_the_identities_of_host_and_bmc_are_recorded(nova_ha: Operator, world: World, password: str) -> None:
    add(nova_ha, password)
    assert leaf(world, "c9", "config/ssh/host_key") == host_key("c9")
    assert leaf(world, "c9", "config/bmc/identity") == "guid-10.9.9.9"


def test_a_bmc_that_cannot_be_asked_is_a_warning(
    nova_ha: Operator, world: World, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(bmc: object, timeout_s: float) -> str:
        raise BMCError("unreachable")

    monkeypatch.setattr(identify, "bmc_identity", away)
    ran = add(nova_ha, password)
    assert ran.code == 0
    assert "Warning: c9: unreachable; `nova-ha doctor --record` tries again" in ran.err
    assert leaf(world, "c9", "config/bmc/identity") is None


def test_all_mistakes_are_reported_at_once_and_nothing_is_written(
    nova_ha: Operator, world: World, password: str
) -> None:
    ran = add(nova_ha, password, **{"ssh-user": "none", "bmc-port": "99999", "bmc-driver": "ilo", "ssh-port": "x"})
    assert (ran.code, ran.out) == (2, "")
    for word in ("config/ssh/user is missing", "bmc/port is '99999'", "bmc/driver is 'ilo'", "ssh/port is 'x'"):
        assert word in ran.err
    assert ran.err.count("\n") == 1
    assert leaf(world, "c9", "status/failed") is None


@pytest.mark.parametrize("name", ["a/b", "", "a b", "-c1", "ä", "a\nb"])
def test_a_name_that_consul_would_not_take_is_refused(
    nova_ha: Operator, world: World, password: str, name: str
) -> None:
    ran = add(nova_ha, password, name)
    assert ran.code == 2
    assert ran.out == ""
    assert not world.store.commits


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"bmc-ip": "127.0.0.1"}, "BMC address '127.0.0.1:623', which c1 has too"),
        ({"nova-host": "c2"}, "Nova host 'c2', which c2 has too"),
        ({"nova-host": "ha-1"}, "Nova host 'ha-1', which ha-1 has too"),
        ({"bmc-identity": "guid-c3"}, "BMC identity 'guid-c3', which c3 has too"),
    ],
)
def test_what_another_node_has_is_refused_and_names_it(
    nova_ha: Operator, password: str, changed: dict[str, str], what: str
) -> None:
    ran = add(nova_ha, password, **changed)
    assert ran.code == 2
    assert what in ran.err


def test_a_bmc_whose_identity_is_another_nodes_is_found_although_its_address_differs(
    nova_ha: Operator, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identify, "bmc_identity", lambda bmc, timeout_s: "guid-c1")
    ran = add(nova_ha, password)
    assert (ran.code, "which c1 has too" in ran.err) == (2, True)


def test_an_ha_nodes_name_is_refused(nova_ha: Operator, password: str) -> None:
    assert add(nova_ha, password, "ha-1").code == 2


def test_adding_a_node_that_exists_never_touches_its_status(nova_ha: Operator, world: World, password: str) -> None:
    world.store.put(compute_node("c1", "status/failed"), "True")
    world.store.put(compute_node("c1", "internal/number_fails"), "3")
    before = {key: entry for key, entry in world.store.data.items() if "/c1/status/" in key or "number" in key}
    ran = add(nova_ha, password, "c1")
    assert ran.out == "c1 is changed\n"
    assert leaf(world, "c1", "config/bmc/ip") == "10.9.9.9"
    assert {key: world.store.data[key] for key in before} == before


def test_somebody_elses_write_in_between_is_try_again(nova_ha: Operator, world: World, password: str) -> None:
    def meanwhile(operations: object) -> None:
        world.store.before = None
        world.store.put(compute_node("c9", "status/failed"), "True")

    world.store.before = meanwhile
    ran = add(nova_ha, password)
    assert ran.code == 75
    assert "ha_cluster/compute_nodes/c9/status/failed" in ran.err
    assert leaf(world, "c9", "status/failed") == "True"
    assert leaf(world, "c9", "config/bmc/ip") is None


def test_set_changes_single_values_and_an_empty_one_removes_the_key(nova_ha: Operator, world: World) -> None:
    nova_ha.well("node", "set", "c1", "--bmc-port", "6230", "--nova-host", "c1.example.org")
    assert leaf(world, "c1", "config/bmc/port") == "6230"
    assert '"nova_host":"c1.example.org"' in (leaf(world, "c1", "internal/runtime_config") or "")
    assert leaf(world, "c1", "config/nova_host") == "c1.example.org"
    nova_ha.well("node", "set", "c1", "--bmc-port", "")
    assert leaf(world, "c1", "config/bmc/port") is None


def test_set_can_mend_one_of_two_bad_keys(nova_ha: Operator, world: World) -> None:
    world.store.put(compute_node("c1", "config/bmc/port"), "99999")
    world.store.put(compute_node("c1", "config/ssh/port"), "none")
    nova_ha.well("node", "set", "c1", "--bmc-port", "623")
    assert nova_ha("node", "set", "c1", "--ssh-port", "99999").code == 2


def test_set_with_probe_records_anew(nova_ha: Operator, world: World) -> None:
    nova_ha.well("node", "set", "c1", "--probe")
    assert leaf(world, "c1", "config/bmc/identity") == "guid-127.0.0.1"
    assert nova_ha.well("node", "set", "c1", "--probe").out == "c1 is as it was\n"


def test_set_of_an_unknown_node_writes_nothing(nova_ha: Operator, world: World) -> None:
    ran = nova_ha("node", "set", "nowhere", "--bmc-port", "1")
    assert (ran.code, "nova-ha node list" in ran.err) == (1, True)
    assert not world.store.commits


def test_a_node_is_removed_with_all_its_keys(nova_ha: Operator, world: World) -> None:
    nova_ha.well("node", "remove", "c1")
    assert not [key for key in world.store.data if key.startswith(compute_node("c1"))]


def test_a_node_with_dozens_of_general_keys_is_removed_whole(nova_ha: Operator, world: World) -> None:
    for number in range(150):
        world.store.put(compute_node("c1", f"general/{number}"), "x")
    nova_ha.well("node", "remove", "c1")
    assert not [key for key in world.store.data if key.startswith(compute_node("c1"))]


@pytest.mark.parametrize("value", ["True", "perhaps"])
def test_a_failed_node_is_not_removed(nova_ha: Operator, world: World, value: str) -> None:
    world.store.put(compute_node("c1", "status/failed"), value)
    assert nova_ha("node", "remove", "c1").code == 3
    assert leaf(world, "c1", "status/failed") == value


def test_a_node_with_an_open_incident_is_not_removed(nova_ha: Operator, world: World) -> None:
    world.hang("c1")
    world.revive("c1")
    world.recover()
    world.store.put(compute_node("c1", "status/failed"), "False")
    ran = nova_ha("node", "remove", "c1")
    assert (ran.code, "open incident" in ran.err) == (3, True)


def test_a_node_that_fails_while_it_is_removed_stays(nova_ha: Operator, world: World) -> None:
    def meanwhile(operations: object) -> None:
        world.store.before = None
        world.store.put("ha_cluster/incidents/open/c1", "{}")

    world.store.before = meanwhile
    assert nova_ha("node", "remove", "c1").code == 75
    assert leaf(world, "c1", "status/failed") == "False"


def test_no_listing_shows_a_password(nova_ha: Operator, world: World) -> None:
    world.store.put(compute_node("c1", "config/ssh/password"), "another-secret")
    for words in (
        ["node", "list"],
        ["node", "list", "--json"],
        ["node", "show", "c1"],
        ["node", "show", "c1", "--json"],
    ):
        ran = nova_ha.well(*words)
        assert "c1" in ran.out
        assert "secret" not in ran.out + ran.err


def test_show_names_each_problem_with_what_mends_it(nova_ha: Operator, world: World) -> None:
    world.store.put(compute_node("c1", "config/bmc/tls"), "maybe")
    assert "mend it with `nova-ha node set c1 --bmc-tls TLS`" in nova_ha.well("node", "show", "c1").out


def test_the_policy_of_a_compute_node_is_the_template_of_consul_d(nova_ha: Operator) -> None:
    template = Path(__file__).parents[3] / "consul.d/acl/compute-node.hcl.in"
    assert nova_ha.well("node", "acl", "c1").out == template.read_text().replace("@NODE@", "c1")
    assert nova_ha("node", "acl", "a/b").code == 2


def test_a_host_key_that_is_none_is_refused_and_nothing_is_written(nova_ha: Operator, world: World) -> None:
    before = dict(world.store.data)
    ran = nova_ha("node", "set", "c1", "--ssh-host-key", "garbage")
    assert ran.code == 2
    assert "config/ssh/host_key is not a public key" in ran.err
    assert world.store.data == before


def test_the_policy_of_a_node_with_dots_in_its_name_can_be_created_as_it_is_printed(nova_ha: Operator) -> None:
    """Consul has neither policies nor node identities with dots in their names."""
    printed = nova_ha.well("node", "acl", "compute-1.example.org").out
    [create] = [line for line in printed.splitlines() if "acl policy create" in line]
    assert "-name nova-ha-compute-1-example-org " in create
    assert "-node-identity" not in printed
    assert 'node "compute-1.example.org" { policy = "write" }' in printed
    assert "-node-identity compute-1:dc1" in nova_ha.well("node", "acl", "compute-1").out


def test_an_agent_that_writes_all_the_time_does_not_keep_its_node_from_being_removed(
    nova_ha: Operator, world: World
) -> None:
    def meanwhile(operations: object) -> None:
        world.store.put(compute_node("c1", "internal/runtime_config"), '{"version":1,"nova_host":"x"}')

    world.store.before = meanwhile
    nova_ha.well("node", "remove", "c1")
    assert leaf(world, "c1", "config/nova_host") is None


def test_a_node_of_which_there_is_only_what_its_agent_wrote_is_added_as_a_new_one(
    nova_ha: Operator, world: World, password: str
) -> None:
    world.store.put(compute_node("c9", "internal/runtime_config"), '{"version":1,"nova_host":"ha-1"}')
    assert add(nova_ha, password).out == "c9 is registered\n"
    assert leaf(world, "c9", "status/failed") == "False"
    assert '"nova_host":"c9"' in (leaf(world, "c9", "internal/runtime_config") or "")


def test_a_name_that_another_node_has_without_an_operators_word_is_refused_for_an_ha_node_too(
    nova_ha: Operator, world: World
) -> None:
    world.store.drop(compute_node("c2", "config/nova_host"))
    ran = nova_ha("ha-node", "add", "ha-9", "--nova-host", "C2")
    assert (ran.code, "Nova host 'C2', which c2 has too" in ran.err) == (2, True)
