"""Hosts whose Consul agent has left on purpose, which not every observer's agent knows for as long as it matters."""

from __future__ import annotations

from datetime import timedelta

import pytest
from kit.fakes.clock import FakeClock
from kit.fakes.cluster import is_failed, register
from kit.fakes.observers import HA_NODES, a_report, publish
from kit.fakes.store import FakeStore
from nova_ha.cluster.schema import LEFT, compute_node
from nova_ha.monitor.writing import count_failures
from nova_ha.recovery.operator import maintenance

NAMES = ("c1", "c2", "c3", "c4")
KEY = compute_node("c1", LEFT)


@pytest.fixture
def store() -> FakeStore:
    """The agent of c1 has left, and so all observers see it fail once."""
    store = FakeStore(FakeClock())
    register(store, NAMES)
    seen(store, 1, left=["c1"])
    count_failures(store, FakeClock())
    return store


def seen(store: FakeStore, streak: int, left: list[str], alive: tuple[str, ...] = ()) -> None:
    """Let all observers see c1 fail so often, and the agent that is asked know who has left."""
    reports = {ha: a_report({**dict.fromkeys(NAMES, 0), "c1": streak}) for ha in HA_NODES}
    publish(store, reports, left=left, alive=alive)


@pytest.mark.fault(24)
def test_a_host_that_left_is_not_set_failed_by_an_observer_whose_agent_was_restarted_since(store: FakeStore) -> None:
    for streak in (2, 3):
        seen(store, streak, left=[])
        count_failures(store.at("ha-2"), FakeClock())
    assert not is_failed(store, "c1")
    assert store.value(KEY) == "True"


@pytest.mark.fault(24)
def test_whoever_flips_has_seen_that_nobody_has_noted_a_leave_meanwhile(store: FakeStore) -> None:
    store.drop(KEY)
    seen(store, 3, left=[])

    other = store.at("ha-2")

    def noted(operations: object) -> None:
        other.before = None
        store.put(KEY, "True")

    other.before = noted
    count_failures(other, FakeClock())
    assert not is_failed(store, "c1")


def test_a_host_that_is_well_again_may_fail_like_any_other(store: FakeStore) -> None:
    for streak in (0, 1, 3):
        seen(store, streak, left=[])
        count_failures(store, FakeClock())
    assert store.value(KEY) is None
    assert is_failed(store, "c1")


def test_a_host_whose_agent_lives_again_may_fail_like_any_other(store: FakeStore) -> None:
    seen(store, 3, left=[], alive=("c1",))
    count_failures(store, FakeClock())
    assert store.value(KEY) is None
    seen(store, 3, left=[])
    count_failures(store, FakeClock())
    assert is_failed(store, "c1")


def test_a_leave_is_noted_once_and_only_of_a_host_that_fails(store: FakeStore) -> None:
    index = store.consul.index
    count_failures(store, FakeClock())
    assert store.consul.index == index
    seen(store, 1, left=["c1", "c2"])
    count_failures(store, FakeClock())
    assert store.value(compute_node("c2", LEFT)) is None


@pytest.mark.fault(24)
def test_a_leave_is_remembered_over_a_maintenance(store: FakeStore) -> None:
    clock = FakeClock()
    maintenance(store, clock, "c1", until=clock.now() + timedelta(minutes=10), by="ann")
    seen(store, 2, left=["c1"])
    count_failures(store, clock)
    clock.advance(700)
    for _ in range(2):
        seen(store, 3, left=[])
        count_failures(store, clock)
        clock.advance(60)
    assert not is_failed(store, "c1")


@pytest.mark.fault(21)
@pytest.mark.fault(24)
def test_remembered_leaves_are_no_part_of_a_storm() -> None:
    store, names = FakeStore(FakeClock()), [f"c{number}" for number in range(1, 11)]
    register(store, names)
    for streak, left in ((1, ["c1", "c2"]), (3, [])):
        away = dict.fromkeys(("c1", "c2", "c3"), streak)
        publish(store, {ha: a_report({**dict.fromkeys(names, 0), **away}) for ha in HA_NODES}, left=left)
        count_failures(store, FakeClock())
    assert [name for name in names if is_failed(store, name)] == ["c3"]


def test_many_leaves_are_noted_together() -> None:
    store, names = FakeStore(FakeClock()), [f"c{number}" for number in range(200)]
    register(store, names)
    publish(store, {ha: a_report(dict.fromkeys(names, 1)) for ha in HA_NODES}, left=names)
    transactions: list[object] = []
    store.before = transactions.append
    count_failures(store, FakeClock())
    assert len(transactions) <= 14
    assert all(store.value(compute_node(name, LEFT)) == "True" for name in names)
