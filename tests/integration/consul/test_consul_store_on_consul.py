"""The store on a real Consul: what is read, and every way in which a transaction can be refused."""

from __future__ import annotations

import pytest
from kit.machines.by_hand import unlock, write_by_hand
from kit.machines.consul import ConsulCluster
from kit.machines.sessions import session_gone, session_ids
from nova_ha.consul.store import Store, connect
from nova_ha.consul.transaction import (
    Committed,
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
from nova_ha.consul.values import LOCK_FLAGS, SessionID
from nova_ha.errors import ConsulError


def committed(store: Store, *operations: Operation) -> Committed:
    outcome = store.commit(operations)
    assert isinstance(outcome, Committed), outcome
    return outcome


def rejected(store: Store, *operations: Operation) -> Rejected:
    outcome = store.commit(operations)
    assert isinstance(outcome, Rejected)
    return outcome


@pytest.fixture
def session(store: Store) -> SessionID:
    return store.create_session("trial", 15, 1)


@pytest.mark.parametrize("name", ["plain", "a b", "ü/ß", "100%", "a?b=c#d", "a+b", "a;b", "trailing/"])
@pytest.mark.parametrize("value", [b"", b"True", bytes(range(256))], ids=["empty", "text", "all bytes"])
def test_any_key_and_value_reads_as_it_was_written(store: Store, prefix: str, name: str, value: bytes) -> None:
    key = f"{prefix}/{name}"
    write_by_hand(store, put(key, b"before"))
    before = store.get(key)
    assert before is not None
    written = committed(store, cas(key, value, before.index))
    entry = store.get(key)
    assert entry is not None
    assert (entry.key, entry.value, entry.index) == (key, value, written.indexes[key])
    assert store.list(prefix + "/") == [entry]
    assert list(store.keys(prefix + "/")) == [key]


def test_what_does_not_exist_is_none_or_empty(store: Store, prefix: str) -> None:
    assert store.get(prefix) is None
    assert store.list(prefix) == []
    assert list(store.keys(prefix)) == []
    assert store.fetch("/v1/kv/" + prefix) is None


def test_a_transaction_writes_everything_at_one_index(store: Store, prefix: str, session: SessionID) -> None:
    outcome = committed(
        store, cas(f"{prefix}/a", b"1", 0), put(f"{prefix}/b", b"2"), lock(f"{prefix}/c", session, b"3")
    )
    assert len(set(outcome.indexes.values())) == 1
    found = {entry.key: entry for entry in store.list(prefix)}
    assert [found[f"{prefix}/{name}"].value for name in "abc"] == [b"1", b"2", b"3"]
    assert (found[f"{prefix}/c"].session, found[f"{prefix}/c"].flags) == (session, LOCK_FLAGS)


def test_a_refused_transaction_writes_nothing_and_names_what_failed(store: Store, prefix: str) -> None:
    outcome = rejected(store, put(f"{prefix}/a", b"1"), cas(f"{prefix}/b", b"2", 99), put(f"{prefix}/c", b"3"))
    assert outcome.keys == {f"{prefix}/b"}
    assert "stale" in str(outcome)
    assert store.list(prefix) == []


@pytest.mark.fault(15)
def test_each_kind_of_staleness_is_a_refusal(store: Store, prefix: str) -> None:
    index = committed(store, put(f"{prefix}/there", b"x")).indexes[f"{prefix}/there"]
    for stale in (
        cas(f"{prefix}/there", b"y", 0),
        cas(f"{prefix}/there", b"y", index - 1),
        cas(f"{prefix}/absent", b"y", index),
        delete_cas(f"{prefix}/there", index - 1),
        unchanged(f"{prefix}/there", 0),
        unchanged(f"{prefix}/there", index - 1),
        unchanged(f"{prefix}/absent", index),
    ):
        outcome = rejected(store, stale)
        assert [failure.operation for failure in outcome.failures] == [stale]
        assert not any(f.lock_delayed or f.held_by_another or session_gone(f) for f in outcome.failures)


def test_what_is_unchanged_lets_the_rest_pass(store: Store, prefix: str) -> None:
    index = committed(store, put(f"{prefix}/there", b"x")).indexes[f"{prefix}/there"]
    committed(store, unchanged(f"{prefix}/there", index), unchanged(f"{prefix}/absent", 0), delete(f"{prefix}/none"))
    committed(store, delete_cas(f"{prefix}/there", index))
    assert store.list(prefix) == []


def test_writing_the_same_value_again_leaves_the_index(store: Store, prefix: str) -> None:
    index = committed(store, put(prefix, b"True")).indexes[prefix]
    assert committed(store, cas(prefix, b"True", index)).indexes[prefix] == index


def test_a_lock_that_another_session_holds_is_refused_as_held(store: Store, prefix: str, session: SessionID) -> None:
    committed(store, lock(prefix, session))
    other = store.create_session("other", 15, 1)
    (failure,) = rejected(store, lock(prefix, other)).failures
    assert (failure.held_by_another, failure.lock_delayed, session_gone(failure)) == (True, False, False)
    for operation in (held(prefix, other), unlock(prefix, other)):
        assert rejected(store, operation).keys == {prefix}
    committed(store, held(prefix, session))


def test_a_lock_whose_session_ended_is_refused_for_its_delay(store: Store, prefix: str) -> None:
    session = store.create_session("trial", 15, 60)
    committed(store, lock(prefix, session))
    store.destroy_session(session)
    assert store.get(prefix) is None
    (failure,) = rejected(store, lock(prefix, store.create_session("next", 15, 1))).failures
    assert (failure.lock_delayed, failure.held_by_another, session_gone(failure)) == (True, False, False)
    assert rejected(store, held(prefix, session)).keys == {prefix}


@pytest.mark.parametrize("give_back", [lambda k, s: unlock(k, s), lambda k, s: delete(k)], ids=["unlock", "delete"])
def test_a_lock_that_was_given_back_is_free_at_once(
    store: Store, prefix: str, session: SessionID, give_back: object
) -> None:
    committed(store, lock(prefix, session))
    committed(store, held(prefix, session), give_back(prefix, session))  # type: ignore[operator]
    store.destroy_session(session)
    committed(store, lock(prefix, store.create_session("next", 15, 1)))


@pytest.mark.parametrize("gone", ["6e6d3f60-7b0c-4e05-8f27-5f1a7a2f1b11", "not-even-an-id"])
def test_a_session_that_does_not_live_locks_nothing(store: Store, prefix: str, gone: str) -> None:
    (failure,) = rejected(store, lock(prefix, SessionID(gone))).failures
    assert (session_gone(failure), failure.held_by_another, failure.lock_delayed) == (True, False, False)


def test_a_session_lives_until_it_is_destroyed(store: Store, session: SessionID) -> None:
    assert session in session_ids(store)
    assert store.renew_session(session)
    store.destroy_session(session)
    store.destroy_session(session)
    assert session not in session_ids(store)
    assert not store.renew_session(session)


def test_a_session_is_bound_to_the_local_node_and_its_serf_health(store: Store, session: SessionID) -> None:
    (made,) = store.fetch(f"/v1/session/info/{session}", consistent=True)
    assert made["Node"] == store.node_name() == "ha-1"
    assert (made["Behavior"], made["TTL"], made["LockDelay"]) == ("delete", "15s", 1e9)
    assert (made.get("NodeChecks") or made.get("Checks")) == ["serfHealth"]


def test_a_store_again_is_another_connection_to_the_same_agent(store: Store, prefix: str) -> None:
    again = store.again()
    assert again.client is not store.client
    committed(again, put(prefix, b"x"))
    assert store.get(prefix) == again.get(prefix)


def test_more_than_consul_takes_is_an_error_and_writes_nothing(store: Store, prefix: str) -> None:
    for operations in (
        [put(f"{prefix}/{n}", b"") for n in range(200)],
        [put(f"{prefix}/x", b"x" * (2 * 1024 * 1024))],
    ):
        with pytest.raises(ConsulError):
            store.commit(operations)
    assert store.list(prefix) == []


def test_an_agent_that_is_absent_is_named_as_such() -> None:
    away = connect({"CONSUL_HTTP_ADDR": "127.15.0.1:9"}, call_timeout_s=2)
    for call in (
        lambda: away.get("x"),
        lambda: away.commit([put("x", b"")]),
        lambda: away.create_session("x", 15, 1),
    ):
        with pytest.raises(ConsulError, match="no Consul agent answers") as caught:
            call()
        assert "CONSUL_HTTP_ADDR" in caught.value.remedy


def test_no_proxy_of_the_environment_stands_between(
    consul: ConsulCluster, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.15.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    committed(consul.store(), put(prefix, b"x"))
