"""Fault 48: a compute node's token writes another name into its `runtime_config`: at most its own node is out."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import suppress

import pytest
from kit.clouds.observed_cloud import THRESHOLD, ObservedCloud
from kit.fakes.store import FakeStore
from kit.shown import shows
from nova_ha.checks.inputs import read_inputs
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.node import RuntimeConfig
from nova_ha.cluster.schema import CONFIG, NOVA_HOST, RUNTIME_CONFIG, STORAGE, compute_node
from nova_ha.cluster.view import read_view
from nova_ha.consul.transaction import Entry, Operation
from nova_ha.consul.trouble import forbidden
from nova_ha.errors import NotAllowed

OLD_AND_NEW = pytest.mark.parametrize("vouched", [True, False], ids=["vouched", "old-cluster"])


def says(cloud: ObservedCloud, host: str, node: str = "c1") -> None:
    """The agent of the node says that Nova knows it by that name."""
    cloud.store.put(compute_node(node, RUNTIME_CONFIG), RuntimeConfig(host).to_kv())


def words(cloud: ObservedCloud, vouched: bool) -> None:
    """Let operators have said Nova's name of each node, or of none."""
    for name in cloud.names:
        cloud.store.drop(compute_node(name, NOVA_HOST))
        if vouched:
            cloud.store.put(compute_node(name, NOVA_HOST), name)


def unregistered(cloud: ObservedCloud, name: str) -> None:
    """The host belongs to Nova alone; its nova-compute is stopped while its guests run."""
    for key in [key for key in cloud.store.data if key.startswith(compute_node(name))]:
        cloud.store.drop(key)
    cloud.nova.silent.add(name)
    cloud.intervals(20)


def assert_nothing_done(cloud: ObservedCloud) -> None:
    """No power was cut, and Nova was asked for nothing."""
    assert cloud.fenced == []
    assert cloud.nova.calls == []


@pytest.mark.fault(48)
@OLD_AND_NEW
def test_the_name_of_an_unregistered_host_evacuates_nobody(cloud: ObservedCloud, vouched: bool) -> None:
    words(cloud, vouched)
    unregistered(cloud, "c4")
    says(cloud, "c4")
    cloud.fails("c1")
    cloud.turns(2)
    assert_nothing_done(cloud)
    incident = cloud.incident("c1")
    assert incident is not None
    assert incident.gate is Gate.RUNTIME_CONFIG
    if vouched:
        shows(
            48,
            "c1: waits for the operator: runtime-config: ha_cluster/compute_nodes/c1/internal/runtime_config says "
            "that Nova's name is 'c4', ha_cluster/compute_nodes/c1/config/nova_host says 'c1'",
            cloud.timer("ha-1"),
        )


@pytest.mark.fault(48)
@OLD_AND_NEW
@pytest.mark.parametrize("victim", ["c2", "C2", "ha-1", "ha-2"])
def test_another_nodes_name_takes_only_the_writer_out(cloud: ObservedCloud, vouched: bool, victim: str) -> None:
    words(cloud, vouched)
    says(cloud, victim)
    assert read_view(cloud.store).problems == {}
    cloud.fails("c1", "c2")
    cloud.turns(2)
    cloud.assert_recovered_so_far("c2")
    assert cloud.fenced == ["c2"]
    incident = cloud.incident("c1")
    assert incident is not None
    assert incident.gate is Gate.RUNTIME_CONFIG
    assert not cloud.nova.doubled


@pytest.mark.fault(48)
def test_a_node_of_which_nobody_knows_novas_name_is_said_before_it_fails(cloud: ObservedCloud) -> None:
    words(cloud, vouched=False)
    says(cloud, "nova-1")
    shows(
        48,
        "c1: runtime-config: ha_cluster/compute_nodes/c1/internal/runtime_config says that Nova's name is 'nova-1', "
        "and no operator has said so: `nova-ha node migrate-keys c1`",
        cloud.timer("ha-1"),
    )
    assert cloud.timer("ha-1").startswith("WAITING 1 waiting for the operator")
    assert "`nova-ha node migrate-keys c1`" in cloud.says("status")


@pytest.mark.fault(48)
@OLD_AND_NEW
@pytest.mark.parametrize("first", ["c1", "c4"])
def test_a_name_that_changes_with_each_write_of_ours_evacuates_nobody_elses_servers(
    cloud: ObservedCloud, vouched: bool, first: str
) -> None:
    words(cloud, vouched)
    unregistered(cloud, "c4")
    names = itertools.cycle(["c4", "c1", "c4"])
    others = {server for name in ("c2", "c3", "c4") for server in cloud.servers[name]}

    def meanwhile(operations: Sequence[Operation]) -> None:
        says(cloud, next(names))

    cloud.fails("c1")
    says(cloud, first)
    cloud.store.before = meanwhile
    for _ in range(6):
        cloud.turns()
        says(cloud, next(names))
    cloud.store.before = None
    assert set(cloud.fenced) <= {"c1"}
    assert not [call for call in cloud.nova.calls if others & set(call)]
    assert not cloud.nova.doubled
    assert not cloud.nova.unfenced


@pytest.mark.fault(48)
@OLD_AND_NEW
def test_a_name_that_changes_after_the_claim_changes_nothing_of_its_recovery(
    cloud: ObservedCloud, vouched: bool
) -> None:
    words(cloud, vouched)
    cloud.fails("c1")
    cloud.after_writing(b'"claimed"', lambda: says(cloud, "c2"))
    cloud.turns(2)
    assert cloud.fenced == ["c1"]
    assert not cloud.nova.doubled
    assert not [call for call in cloud.nova.calls if set(call) & set(cloud.servers["c2"])]


@pytest.mark.fault(48)
def test_what_its_token_can_write_registers_nobody(cloud: ObservedCloud) -> None:
    cloud.store.put(compute_node("c9", RUNTIME_CONFIG), RuntimeConfig("c9").to_kv())
    cloud.store.put(compute_node("ha-1", RUNTIME_CONFIG), RuntimeConfig("ha-1").to_kv())
    view = read_view(cloud.store)
    assert {*view.compute_nodes} == {*cloud.names}
    assert view.problems == {}


@pytest.mark.fault(48)
def test_its_operator_gives_the_word_and_it_is_recovered(cloud: ObservedCloud) -> None:
    words(cloud, vouched=False)
    says(cloud, "C1")
    cloud.store.put(compute_node("c1", RUNTIME_CONFIG), RuntimeConfig("elsewhere").to_kv())
    cloud.fails("c1")
    cloud.turns()
    assert_nothing_done(cloud)
    cloud.says("node", "set", "c1", "--nova-host", "c1")
    cloud.says("node", "retry", "c1")
    cloud.turns(2)
    assert cloud.fenced == ["c1"]
    assert not cloud.nova.servers("c1")


@pytest.mark.fault(48)
@pytest.mark.parametrize(
    "value",
    [
        b"x" * 500_000,
        b'{"version":1,"nova_host":"' + b"c" * 500_000 + b'"}',
        b'{"version":1,"nova_host":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        '{"version":1,"nova_host":"\u202ec1\u0000\u2028"}'.encode(),
        b'{"version":1,"nova_host":"\\u212a1"}',
        b'{"version":1,"nova_host":"c1\\u0000"}',
        b'{"version":1,"nova_host":""}',
        b"",
    ],
    ids=["rubbish", "long", "deep", "odd", "kelvin", "nul", "no-name", "empty"],
)
def test_whatever_is_in_it_the_others_are_recovered(cloud: ObservedCloud, value: bytes) -> None:
    cloud.store.put(compute_node("c1", RUNTIME_CONFIG), value)
    cloud.hangs("c1")
    cloud.fails("c2")
    cloud.turns(2)
    cloud.assert_recovered_so_far("c2")
    assert cloud.fenced == ["c2"]
    for command in (["status"], ["node", "show", "c1"], ["node", "list"], ["doctor"], ["explain", "c1"]):
        assert "Traceback" not in cloud.says(*command)


@pytest.mark.fault(48)
def test_the_name_of_an_ha_node_does_not_keep_servers_from_it(cloud: ObservedCloud) -> None:
    """The disks of the writer's own host are local, by an operator's word: those of the HA node are not."""
    cloud.store.put(compute_node("c1", STORAGE), "local")
    says(cloud, "ha-1")
    cloud.fails("c3")
    cloud.turns()
    cloud.assert_recovered("c3")


@pytest.fixture
def without_the_policy(cloud: ObservedCloud, monkeypatch: pytest.MonkeyPatch) -> ObservedCloud:
    """The HA nodes' token has all its rights but that of reading `ha_cluster/config/`; its list comes empty."""
    read, listed = FakeStore.get, FakeStore.list

    def get(store: FakeStore, key: str) -> Entry | None:
        if key.startswith(CONFIG):
            raise forbidden(f"key {key}")
        return read(store, key)

    def list_(store: FakeStore, prefix: str) -> list[Entry]:
        return [entry for entry in listed(store, prefix) if not entry.key.startswith(CONFIG)]

    monkeypatch.setattr(FakeStore, "get", get)
    monkeypatch.setattr(FakeStore, "list", list_)
    return cloud


@pytest.mark.fault(36)
def test_a_policy_that_the_token_must_not_read_is_not_taken_for_the_defaults(
    without_the_policy: ObservedCloud,
) -> None:
    """`recovery/mode` is `approve`, and its default is `auto`."""
    cloud = without_the_policy
    cloud.store.put("ha_cluster/config/recovery/mode", "approve")
    cloud.hangs("c1")
    cloud.intervals(THRESHOLD)
    with suppress(NotAllowed):
        cloud.turns(1)
    assert not cloud.failed("c1")
    assert_nothing_done(cloud)


@pytest.mark.fault(36)
def test_nor_by_the_last_look_nor_by_an_observer(without_the_policy: ObservedCloud) -> None:
    for read in (read_view, lambda store: read_inputs(store, "nova-ha-ssh")):
        with pytest.raises(NotAllowed, match=f"{CONFIG}.*the token has not the right"):
            read(without_the_policy.store)
