"""Removing nodes: what was judged is what is removed, and nothing that somebody has begun meanwhile is lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from kit.fakes.clock import FakeClock
from kit.fakes.cluster import register
from kit.fakes.store import FakeStore
from nova_ha.cluster.registry import remove_compute_node, remove_ha_node
from nova_ha.cluster.schema import compute_node, ha_node
from nova_ha.consul.transaction import Entry, lock
from nova_ha.errors import TryAgain


class Between(FakeStore):
    """Lets something happen once, right after the whole view has been read: the semaphore is its last part."""

    happen: Callable[[], object] | None = None

    def list(self, prefix: str) -> Sequence[Entry]:
        found = super().list(prefix)
        if self.happen and prefix.startswith("ha_cluster/locks/recovery"):
            happen, self.happen = self.happen, None
            happen()
        return found


@pytest.fixture
def store() -> Between:
    store = Between(FakeClock())
    register(store, ["c1", "c2"])
    return store


def takes(store: Between, key: str) -> None:
    store.commit([lock(key, store.create_session("nova-ha c1", 15, 30))])


def test_a_node_that_fails_meanwhile_is_not_forgotten(store: Between) -> None:
    store.happen = lambda: store.put(compute_node("c1", "status/failed"), "True")
    with pytest.raises(TryAgain):
        remove_compute_node(store, "c1")
    assert store.value(compute_node("c1", "status/failed")) == "True"


def test_a_node_whose_lock_is_taken_meanwhile_is_not_forgotten(store: Between) -> None:
    store.happen = lambda: takes(store, compute_node("c1", "internal/.lock"))
    with pytest.raises(TryAgain):
        remove_compute_node(store, "c1")
    assert store.value(compute_node("c1", "status/failed")) == "False"


def test_an_ha_node_that_claims_meanwhile_is_not_forgotten(store: Between) -> None:
    def claims() -> None:
        takes(store, ha_node("ha-1", "internal/.lock"))
        store.put(ha_node("ha-1", "status/in_use"), "True")

    store.happen = claims
    with pytest.raises(TryAgain):
        remove_ha_node(store, "ha-1")
    assert store.value(ha_node("ha-1", "status/in_use")) == "True"


def test_what_nobody_touches_is_removed_whole(store: Between) -> None:
    remove_compute_node(store, "c1")
    remove_ha_node(store, "ha-1")
    assert store.keys(compute_node("c1")) == store.keys(ha_node("ha-1")) == []
