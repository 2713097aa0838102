"""Nova's name of a compute node: what is believed, with an operator's word and without one."""

from __future__ import annotations

import pytest
from kit.fakes.kv_entries import compute_keys, ha_keys
from kit.fakes.store import FakeStore
from nova_ha.cluster.gate import Cause
from nova_ha.cluster.node import ComputeNode, RuntimeConfig
from nova_ha.cluster.nova_name import is_own_name
from nova_ha.cluster.view import ClusterView, read_view
from nova_ha.consul.transaction import Entry


def a_view(*nodes: list[Entry]) -> ClusterView:
    """What is read of these keys."""
    store = FakeStore()
    for entry in [entry for entries in nodes for entry in entries]:
        store.put(entry.key, entry.value)
    return read_view(store)


def keys(name: str, said: str | None, word: str | None = None) -> list[Entry]:
    """The keys of a node that says so, and of which an operator has said so."""
    value = None if said is None else RuntimeConfig(said).to_kv()
    ip = f"10.1.0.{sum(name.encode()) % 250}"
    return compute_keys(name, internal__runtime_config=value, config__nova_host=word, config__bmc__ip=ip)


@pytest.mark.parametrize(
    ("node", "host", "own"),
    [
        ("c1", "c1", True),
        ("c1", "C1", True),
        ("c1", "c1.example.org", True),
        ("c1.example.org", "c1", True),
        ("C1.Example.org", "c1.example.ORG", True),
        ("c1.one.org", "c1.two.org", False),
        ("c1", "c10", False),
        ("c1", "xc1", False),
        ("c1", "", False),
        ("c1", ".c1", False),
        ("c1", " c1", False),
        ("k1", "\u212a1", False),
        ("c1", "с1", False),  # a Cyrillic letter
    ],
)
def test_a_name_is_its_own_with_or_without_its_domain_in_any_case(node: str, host: str, own: bool) -> None:
    assert is_own_name(node, host) is own


@pytest.mark.parametrize(
    ("said", "word", "believed", "doubt"),
    [
        ("c1", None, "c1", None),
        ("C1.example.org", None, "C1.example.org", None),
        ("nova-1", None, None, Cause.NAME_NOT_ITS_OWN),
        ("nova-1", "nova-1", "nova-1", None),
        ("NOVA-1", "nova-1", "nova-1", None),
        ("c1", "nova-1", None, Cause.NAME_DIFFERS),
        ("c1.example.org", "c1", None, Cause.NAME_DIFFERS),
        (None, "c1", None, Cause.NAME_MISSING),
        (None, None, None, Cause.NAME_MISSING),
    ],
)
def test_the_word_of_an_operator_vouches_for_what_the_node_says(
    said: str | None, word: str | None, believed: str | None, doubt: Cause | None
) -> None:
    node = a_view(keys("c1", said, word)).compute_nodes["c1"]
    assert (node.nova_host, node.name_doubt) == (believed, doubt)


@pytest.mark.fault(48)
@pytest.mark.parametrize(
    ("others", "said"),
    [
        ([keys("c2", "c1.example.org", "c1.example.org")], "c1.example.org"),
        ([ha_keys("ha-1", config__nova_host="C1")], "c1"),
        ([ha_keys("c1.example.org")], "c1.example.org"),
        ([keys("c1.example.org", "c1.example.org")], "c1.example.org"),
        ([keys("c1.example.org", None)], "c1.example.org"),
    ],
)
def test_a_name_that_may_be_another_nodes_is_not_believed_without_a_word(
    others: list[list[Entry]], said: str
) -> None:
    view = a_view(keys("c1", said), *others)
    assert view.compute_nodes["c1"].name_doubt is Cause.NAME_OF_ANOTHER
    assert view.compute_nodes["c1"].nova_host is None
    assert view.problems == {}
    for name, other in view.compute_nodes.items():
        assert name == "c1" or other.nova_host == (other.runtime.nova_host if other.runtime else None)


def test_a_short_name_that_two_nodes_may_mean_is_neithers_but_each_ones_own_name_is() -> None:
    both = a_view(keys("c1.one.org", "c1"), keys("c1.two.org", "c1.two.org"))
    assert both.compute_nodes["c1.one.org"].nova_host is None
    assert both.compute_nodes["c1.two.org"].nova_host == "c1.two.org"


@pytest.mark.parametrize("written", ["c1", "c2", "C2", "ha-1", "nova-2", "c2.example.org", "\u202e", "x" * 4096])
def test_what_one_node_says_changes_nothing_of_any_other(written: str) -> None:
    def others(said: str | None) -> tuple[list[ComputeNode], object, object]:
        rest = [keys("c2", "c2"), keys("c3", "nova-2", "nova-2"), keys("c2.example.org", "c2.example.org")]
        view = a_view(keys("c1", said), *rest, ha_keys("ha-1"))
        return [node for name, node in view.compute_nodes.items() if name != "c1"], view.ha_nodes, view.problems

    assert others(written)[2] == others("c1")[2] == {}
    assert [n.nova_host for n in others(written)[0]] == [n.nova_host for n in others("c1")[0]]
