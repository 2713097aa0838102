"""A session renews itself until it is ended, and says so when it is lost."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from kit.fakes.clock import FakeClock
from kit.fakes.store import FakeStore
from nova_ha.consul.session import STALLED_AFTER_S, Session
from nova_ha.consul.store import connect
from nova_ha.consul.transaction import lock
from nova_ha.consul.values import SessionID
from nova_ha.errors import ConsulError, OutcomeUnknown
from nova_ha.sandbox.waiting import until

TTL_S = 0.03


class RenewalsWatched(FakeStore):
    """Counts renewals; `deaf` lets them fail."""

    def __init__(self) -> None:
        super().__init__(FakeClock())
        self.renewed = 0
        self.tried = 0
        self.deaf = False
        self.connections = 1

    def again(self) -> FakeStore:
        self.connections += 1
        return self

    def renew_session(self, session: SessionID) -> bool:
        self.tried += 1
        if self.deaf:
            raise ConsulError("Consul has no leader")
        self.renewed += 1
        return super().renew_session(session)


@pytest.fixture
def store() -> RenewalsWatched:
    return RenewalsWatched()


def a_session(store: FakeStore, clock: FakeClock | None = None) -> Session:
    return Session(store, store.create_session("driver", 15, 30), TTL_S, clock)


def test_it_is_created_on_the_local_node_and_renewed_on_a_connection_of_its_own(store: RenewalsWatched) -> None:
    with Session.create(store, "driver", 15, 30) as session:
        session.ttl_s = TTL_S
        assert store.consul.sessions[session.id].ttl_s == 15
        assert store.consul.sessions[session.id].lock_delay_s == 30
        assert not session.lost
        assert store.connections == 2


def test_it_is_renewed_again_and_again(store: RenewalsWatched) -> None:
    session = a_session(store)
    session.keep_alive()
    session.keep_alive()
    until(lambda: store.renewed >= 3, "three renewals", 10, 0.005)
    assert not session.lost
    assert [t.name for t in threading.enumerate()].count(f"session {session.id}") == 1
    session.end()


def test_after_its_end_it_is_destroyed_and_renewed_no_more(store: RenewalsWatched) -> None:
    session = a_session(store)
    session.keep_alive()
    session.end()
    assert session.lost
    assert session.id not in store.consul.sessions
    assert f"session {session.id}" not in [thread.name for thread in threading.enumerate()]
    session.keep_alive()
    assert f"session {session.id}" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.fault(13)
def test_it_is_lost_when_consul_does_not_know_it_any_more(store: RenewalsWatched) -> None:
    session = a_session(store)
    session.keep_alive()
    store.expire_session(session.id)
    until(lambda: session.lost, "the loss to be seen", 10, 0.005)
    session.end()


@pytest.mark.fault(9)
def test_renewals_that_fail_are_tried_again_and_forgotten_when_one_succeeds(store: RenewalsWatched) -> None:
    session = a_session(store, FakeClock())
    store.deaf = True
    session.keep_alive()
    until(lambda: store.tried >= 3, "three tries", 10, 0.005)
    store.deaf = False
    until(lambda: store.renewed >= 1, "a renewal", 10, 0.005)
    assert not session.lost
    session.end()


def test_it_is_lost_when_it_was_not_renewed_for_as_long_as_consul_may_wait(store: RenewalsWatched) -> None:
    clock = FakeClock()
    session = a_session(store, clock)
    store.deaf = True
    session.keep_alive()
    clock.advance(2 * TTL_S)
    tried = store.tried
    until(lambda: store.tried > tried + 1, "one more try", 10, 0.005)
    assert not session.lost
    clock.advance(0.001)
    until(lambda: session.lost, "the loss to be seen", 10, 0.005)
    session.end()


def test_a_renewal_starts_the_count_over(store: RenewalsWatched) -> None:
    clock = FakeClock()
    session = a_session(store, clock)
    session.keep_alive()
    clock.advance(1.5 * TTL_S)
    renewed = store.renewed
    until(lambda: store.renewed > renewed + 1, "a renewal at this time", 10, 0.005)
    store.deaf = True
    clock.advance(1.5 * TTL_S)
    tried = store.tried
    until(lambda: store.tried > tried + 1, "a try that fails", 10, 0.005)
    assert not session.lost
    session.end()


def test_it_is_renewed_no_more_when_its_owner_hangs(store: RenewalsWatched, caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    session = a_session(store, clock)
    clock.advance(STALLED_AFTER_S)
    session.progress()
    session.keep_alive()
    until(lambda: store.renewed >= 2, "two renewals")
    assert not session.lost
    clock.advance(STALLED_AFTER_S + 1)
    until(lambda: session.lost, "the end of the renewals")
    assert "shown no progress for 600 s" in caplog.text
    assert session.id in store.consul.sessions  # it ends by its TTL, and the lock delay runs from then on


def test_ending_it_never_raises(store: RenewalsWatched, caplog: pytest.LogCaptureFixture) -> None:
    session = a_session(store)
    store.silent = True
    with caplog.at_level(logging.WARNING):
        session.end()
    assert session.id in caplog.text


def test_what_it_holds_at_its_end_is_free_again(store: RenewalsWatched) -> None:
    with a_session(store) as session:
        store.commit([lock("k/.lock", session.id)])
        assert store.data["k/.lock"].session == session.id
    assert "k/.lock" not in store.data


def test_a_session_whose_creation_was_not_answered_is_as_good_as_none() -> None:
    class Mute(FakeStore):
        def create_session(self, name: str, ttl_s: int, lock_delay_s: int) -> SessionID:
            raise OutcomeUnknown("Consul took creating a session but did not answer")

    with pytest.raises(ConsulError):
        Session.create(Mute(), "driver", 15, 30)


def test_a_session_is_made_with_the_fields_that_consul_names_today(monkeypatch: pytest.MonkeyPatch) -> None:
    """`Checks` is their name of before Consul 1.7, which the clients still write."""
    store, sent = connect({}), []

    def put(callback: Callable[[Any], Any], path: str, data: str) -> dict[str, str]:
        sent.append((path, json.loads(data)))
        return {"ID": "s"}

    monkeypatch.setattr(store.client.http, "put", put)
    assert store.create_session("driver", 15, 30) == "s"
    wanted = {"Behavior": "delete", "TTL": "15s", "LockDelay": "30s", "NodeChecks": ["serfHealth"]}
    assert sent == [("/v1/session/create", {"Name": "driver", **wanted})]
