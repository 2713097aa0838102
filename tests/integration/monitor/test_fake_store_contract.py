"""What a store does, on the real Consul and on the unit tests' fake: so that the fake cannot drift."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from kit.fakes.clock import FakeClock
from kit.fakes.store import FakeStore
from kit.machines.by_hand import unlock
from kit.machines.consul import ConsulCluster
from kit.machines.sessions import session_gone, session_ids
from nova_ha.consul.store import Store
from nova_ha.consul.transaction import (
    Committed,
    Entry,
    Operation,
    Rejected,
    cas,
    delete,
    delete_cas,
    held,
    lock,
    put,
    unchanged,
)
from nova_ha.consul.values import LOCK_FLAGS, MAX_OPERATIONS, SessionID
from nova_ha.errors import ConfigError, ConsulError
from nova_ha.sandbox.waiting import until

NOBODY = SessionID("11111111-1111-1111-1111-111111111111")
# What a real Consul may be late by on a busy machine; the fake is on the second.
LATE_S = 60.0
# Waits for the condition, for so many seconds at most, and for LATE_S on the real Consul.
Eventually = Callable[[Callable[[], bool], float], object]


@pytest.fixture(params=["real", "fake"])
def rig(request: pytest.FixtureRequest) -> tuple[Store, Eventually]:
    """A store with nothing in it, and how one waits for what time alone brings."""
    if request.param == "fake":
        clock = FakeClock()
        return FakeStore(clock), partial(_advance, clock)
    cluster: ConsulCluster = request.getfixturevalue("clean")
    return cluster.store(), lambda look, within_s: bool(until(look, "what time brings", within_s + LATE_S))


def _advance(clock: FakeClock, look: Callable[[], bool], within_s: float) -> None:
    clock.advance(within_s)
    assert look()


@pytest.fixture
def store(rig: tuple[Store, Eventually]) -> Store:
    return rig[0]


def entry(store: Store, key: str) -> Entry:
    found = store.get(key)
    assert found is not None
    return found


def done(outcome: Committed | Rejected) -> Committed:
    assert isinstance(outcome, Committed), outcome
    return outcome


def words(outcome: Committed | Rejected) -> list[tuple[str, str]]:
    assert isinstance(outcome, Rejected), outcome
    return [(failure.operation.verb, failure.what) for failure in outcome.failures]


def test_a_cas_from_absent_writes_once(store: Store) -> None:
    assert done(store.commit([cas("a", b"1", 0)])).indexes == {"a": entry(store, "a").index}
    assert words(store.commit([cas("a", b"2", 0)])) == [("cas", 'failed to set key "a", index is stale')]
    assert entry(store, "a").value == b"1"


def test_two_writes_of_one_key_in_a_transaction_give_it_a_new_index_at_the_same_value(store: Store) -> None:
    store.commit([put("a", b"True")])
    store.commit([put("b", b"later")])
    done(store.commit([cas("a", b"False", entry(store, "a").index), put("a", b"True")]))
    assert entry(store, "a").value == b"True"
    assert entry(store, "a").index > entry(store, "b").index


@pytest.mark.parametrize("wrong", [1, 10**9])
def test_a_cas_at_another_index_is_refused(store: Store, wrong: int) -> None:
    store.commit([put("a", b"1")])
    assert words(store.commit([cas("a", b"2", wrong)])) == [("cas", 'failed to set key "a", index is stale')]
    assert words(store.commit([cas("b", b"2", wrong)])) == [("cas", 'failed to set key "b", index is stale')]


def test_writing_the_same_again_leaves_the_index(store: Store) -> None:
    store.commit([put("a", b"1")])
    before = entry(store, "a")
    assert done(store.commit([cas("a", b"1", before.index)])).indexes == {"a": before.index}
    store.commit([put("a", b"1")])
    assert entry(store, "a") == before
    store.commit([put("a", b"2")])
    assert entry(store, "a").index > before.index


def test_checks_of_an_index_and_of_absence_say_what_they_found(store: Store) -> None:
    index = done(store.commit([put("a", b"1")])).indexes["a"]
    assert done(store.commit([unchanged("a", index), unchanged("b", 0)])).indexes == {"a": index}
    assert words(store.commit([unchanged("a", 3), unchanged("a", 0), unchanged("b", 3)])) == [
        ("check-index", f'failed index check for key "a", current modify index {index} != 3'),
        ("check-not-exists", 'key "a" exists'),
        ("check-index", 'failed to check index, key "b" doesn\'t exist'),
    ]


def test_a_refused_transaction_writes_nothing_and_names_every_failure(store: Store) -> None:
    store.commit([put("a", b"1")])
    outcome = store.commit([put("b", b"1"), cas("a", b"2", 3), unchanged("a", 3), cas("c", b"", 0)])
    assert isinstance(outcome, Rejected)
    assert [failure.operation.verb for failure in outcome.failures] == ["cas", "check-index"]
    assert outcome.keys == {"a"}
    assert store.keys("") == ["a"]


def test_an_operation_sees_what_those_before_it_did(store: Store) -> None:
    assert words(store.commit([put("a", b"1"), unchanged("a", 0)])) == [("check-not-exists", 'key "a" exists')]
    session = store.create_session("test", 10, 0)
    outcome = done(store.commit([lock("l", session), held("l", session), put("m", b"")]))
    assert len(set(outcome.indexes.values())) == 1


def test_deleting_what_is_absent_is_no_failure_but_what_has_changed_is(store: Store) -> None:
    done(store.commit([delete("a"), delete_cas("a", 3)]))
    index = done(store.commit([put("a", b"1")])).indexes["a"]
    assert words(store.commit([delete_cas("a", 3)])) == [("delete-cas", 'failed to delete key "a", index is stale')]
    done(store.commit([delete_cas("a", index)]))
    assert store.get("a") is None


def test_reads_are_in_order_and_a_folder_is_a_key(store: Store) -> None:
    store.commit([put("b/2", b"2"), put("b/", b""), put("b/1", b"1"), put("a", b"")])
    assert [(e.key, e.value) for e in store.list("b/")] == [("b/", b""), ("b/1", b"1"), ("b/2", b"2")]
    assert store.keys("b/") == ["b/", "b/1", "b/2"]
    assert store.list("zz") == []
    assert store.keys("zz") == []
    assert store.get("b") is None


def test_a_lock_has_one_holder_and_counts_its_holders(store: Store) -> None:
    ann, bob = store.create_session("ann", 10, 0), store.create_session("bob", 10, 0)
    done(store.commit([lock("l", ann, b"v")]))
    assert entry(store, "l") == Entry("l", b"v", entry(store, "l").index, ann, 1, LOCK_FLAGS)
    assert words(store.commit([lock("l", bob)])) == [("lock", 'failed to lock key "l", lock is already held')]
    done(store.commit([unlock("l", ann)]))
    assert entry(store, "l").session == ""
    done(store.commit([lock("l", bob)]))
    assert (entry(store, "l").session, entry(store, "l").lock_index) == (bob, 2)


def test_locking_again_changes_only_the_value(store: Store) -> None:
    ann = store.create_session("ann", 10, 0)
    index = done(store.commit([lock("l", ann, b"v")])).indexes["l"]
    assert done(store.commit([lock("l", ann, b"v")])).indexes == {"l": index}
    done(store.commit([lock("l", ann, b"w")]))
    assert (entry(store, "l").value, entry(store, "l").lock_index) == (b"w", 1)


def test_only_the_holder_can_unlock(store: Store) -> None:
    ann, bob = store.create_session("ann", 10, 0), store.create_session("bob", 10, 0)
    store.commit([lock("l", ann)])
    refusal = ("unlock", 'failed to unlock key "l", lock isn\'t held, or is held by another session')
    assert words(store.commit([unlock("l", bob)])) == [refusal]
    done(store.commit([unlock("l", ann)]))
    assert words(store.commit([unlock("l", ann)])) == [refusal]


def test_a_session_that_does_not_live_gets_no_lock(store: Store) -> None:
    outcome = store.commit([lock("l", NOBODY)])
    assert words(outcome) == [("lock", f'invalid session "{NOBODY}"')]
    assert isinstance(outcome, Rejected)
    assert session_gone(outcome.failures[0])


def test_a_write_to_a_held_key_keeps_its_session_and_forgets_flags_and_lock_index(store: Store) -> None:
    ann = store.create_session("ann", 10, 0)
    store.commit([lock("l", ann, b"v")])
    store.commit([put("l", b"w")])
    found = entry(store, "l")
    assert (found.value, found.session, found.lock_index, found.flags) == (b"w", ann, 0, 0)


def test_a_check_of_the_session_says_who_holds_the_key(store: Store) -> None:
    ann, bob = store.create_session("ann", 10, 0), store.create_session("bob", 10, 0)
    store.commit([lock("l", ann), put("free", b"")])
    done(store.commit([held("l", ann)]))
    assert words(store.commit([held("l", bob), held("free", bob), held("none", bob)])) == [
        ("check-session", f'failed session check for key "l", current session "{ann}" != "{bob}"'),
        ("check-session", f'failed session check for key "free", current session "" != "{bob}"'),
        ("check-session", 'failed to check session, key "none" doesn\'t exist'),
    ]


def test_a_destroyed_session_leaves_its_keys_deleted_and_under_the_lock_delay(rig: tuple[Store, Eventually]) -> None:
    store, eventually = rig
    ann, bob = store.create_session("ann", 10, 60), store.create_session("bob", 300, 1)
    cid = store.create_session("cid", 10, 1)
    store.commit([lock(f"long-{ann}", ann, b"v"), lock("short", cid, b"v")])
    for session in (ann, cid):
        store.destroy_session(session)
    assert store.get(f"long-{ann}") is None
    assert store.get("short") is None
    outcome = store.commit([put("other", b""), lock(f"long-{ann}", bob), unchanged(f"long-{ann}", 3)])
    assert words(outcome) == [("lock", f'failed to lock key "long-{ann}" due to lock delay')]
    assert isinstance(outcome, Rejected)
    assert outcome.failures[0].lock_delayed
    eventually(lambda: isinstance(store.commit([lock("short", bob)]), Committed), 5)
    assert entry(store, "short").lock_index == 1


def test_unlocking_first_costs_no_delay_and_neither_does_deleting_the_key(store: Store) -> None:
    ann, bob = store.create_session("ann", 10, 30), store.create_session("bob", 10, 30)
    store.commit([lock("l", ann), lock("m", ann)])
    done(store.commit([unlock("l", ann), delete("m")]))
    store.destroy_session(ann)
    done(store.commit([lock("l", bob), lock("m", bob)]))


def test_a_session_lives_until_it_is_destroyed_and_destroying_twice_is_no_failure(store: Store) -> None:
    ann = store.create_session("ann", 10, 0)
    assert ann in session_ids(store)
    assert store.renew_session(ann)
    store.destroy_session(ann)
    store.destroy_session(ann)
    assert ann not in session_ids(store)
    assert not store.renew_session(ann)


def test_a_session_that_is_not_renewed_ends_within_twice_its_ttl(rig: tuple[Store, Eventually]) -> None:
    store, eventually = rig
    ann = store.create_session("ann", 10, 0)
    store.commit([lock("l", ann)])
    eventually(lambda: ann in session_ids(store), 5)
    eventually(lambda: ann not in session_ids(store), 25)
    assert store.get("l") is None


@pytest.mark.parametrize("name", ["a:b", "a b", "a..b", "ü", "a%"])
def test_a_new_key_whose_name_some_consul_refuse_is_not_written(store: Store, name: str) -> None:
    session = store.create_session("x", 15, 1)
    for operation in (put(name, b""), cas(name, b"", 0), lock(name, session)):
        with pytest.raises(ConfigError, match="is not written"):
            store.commit([put("beside", b""), operation])
    assert store.keys("") == []


def most_operations(store: Store) -> int:
    """Return how many operations a transaction may have, by the agent's version; the fake is 1.8.7."""
    if isinstance(store, FakeStore):
        return 64
    major, minor, *_ = store.fetch("/v1/agent/self")["Config"]["Version"].split(".")
    return 64 if (int(major), int(minor)) < (1, 14) else 128


def test_as_many_operations_as_its_version_takes_are_a_transaction_and_one_more_is_not(store: Store) -> None:
    most = most_operations(store)
    assert most >= MAX_OPERATIONS
    done(store.commit([put(f"k{number}", b"") for number in range(most)]))
    with pytest.raises(ConsulError):
        store.commit([put(f"m{number}", b"") for number in range(most + 1)])
    assert store.keys("m") == []


def test_the_store_names_its_own_node(store: Store) -> None:
    assert store.node_name() == "ha-1"


def test_flags_are_written_and_forgotten_with_the_value(store: Store) -> None:
    index = done(store.commit([cas("f", b"", 0, flags=7)])).indexes["f"]
    assert entry(store, "f").flags == 7
    store.commit([Operation("cas", "f", b"", index)])
    assert entry(store, "f").flags == 0
