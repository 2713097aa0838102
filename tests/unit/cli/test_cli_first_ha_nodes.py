"""The first HA nodes of a cluster whose policy was written before: each is taken, and what lacks is said."""

from __future__ import annotations

import pytest
from kit.fakes.typing_operator import Operator
from kit.fakes.world import World
from nova_ha.cluster.view import read_view


@pytest.fixture
def empty() -> World:
    return World(compute=1, ha=0)


@pytest.fixture
def first(empty: World, capsys: pytest.CaptureFixture[str]) -> Operator:
    return Operator(empty, capsys)


def test_a_quorum_set_beforehand_lets_ha_nodes_be_added_one_by_one(first: Operator, empty: World) -> None:
    first.well("config", "set", "monitor/quorum", "2")
    said = first.well("ha-node", "add", "ha-1")
    assert said.out == "ha-1 is registered\n"
    assert (
        "nothing is decided yet: ha_cluster/config/monitor/quorum is 2, but only 1 HA node is registered" in said.err
    )
    assert read_view(empty.store).policy_problems
    assert "nothing is decided" not in first.well("ha-node", "add", "ha-2").err
    assert not read_view(empty.store).policy_problems


def test_a_quorum_of_one_still_refuses_a_second_ha_node(first: Operator) -> None:
    first.well("config", "set", "monitor/quorum", "1")
    first.well("ha-node", "add", "ha-1")
    refused = first("ha-node", "add", "ha-2")
    assert refused.code == 2
    assert "one of them alone could fence; write 1! if you mean it" in refused.err


def test_an_ha_node_that_the_quorum_needs_is_not_removed(first: Operator) -> None:
    first.well("config", "set", "monitor/quorum", "2")
    for name in ("ha-1", "ha-2"):
        first.well("ha-node", "add", name)
    refused = first("ha-node", "remove", "ha-2")
    assert refused.code == 3
    assert "monitor/quorum is 2, but only 1 HA node is registered" in refused.err
