"""Possession is proved, not remembered: what may be sent is decided by the age of the last proof."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.fakes.clock import FakeClock
from kit.fakes.store import FakeStore
from kit.machines.by_hand import unlock
from nova_ha.consul.lock import HeldLock
from nova_ha.consul.session import LockLost, Session
from nova_ha.consul.transaction import Committed, Entry, Rejected, cas, delete, lock
from nova_ha.errors import ConfigError, ConsulError, ExitCode, OutcomeUnknown
from nova_ha.limits import LOCK_MARGIN_S as MARGIN_S

KEY = "ha_cluster/compute_nodes/c1/internal/.lock"
DELAY_S, CALL_S = 30.0, 8.0
ALLOWED_S = DELAY_S - CALL_S - MARGIN_S


class SlowStore(FakeStore):
    """Counts the proofs that are asked for; each takes `takes_s`, and fails while `deaf`."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.clock = clock
        self.asked = 0
        self.takes_s = 0.0
        self.deaf = False

    def get(self, key: str) -> Entry | None:
        self.asked += 1
        self.clock.advance(self.takes_s)
        if self.deaf:
            raise ConsulError("Consul has no leader")
        return super().get(key)


class World:
    """A lock that is held, just proved by the claim."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = SlowStore(self.clock)
        self.session = Session(self.store, self.store.create_session("driver", 3600, int(DELAY_S)), 3600, self.clock)
        self.held = HeldLock(self.store, self.clock, self.session, KEY, DELAY_S)
        before = self.clock.monotonic()
        assert isinstance(self.store.commit([lock(KEY, self.session.id)]), Committed)
        self.held.proven(before)


@pytest.fixture
def world() -> World:
    return World()


def test_a_fresh_proof_is_enough(world: World) -> None:
    world.clock.advance(ALLOWED_S / 2)
    world.held.require(CALL_S)
    assert world.store.asked == 0


def test_a_proof_older_than_half_of_what_is_allowed_is_renewed(world: World) -> None:
    world.clock.advance(ALLOWED_S / 2 + 0.1)
    world.held.require(CALL_S)
    assert world.store.asked == 1
    world.held.require(CALL_S)
    assert world.store.asked == 1


def test_a_proof_counts_from_before_it_was_asked_for(world: World) -> None:
    world.store.takes_s = ALLOWED_S / 2 + 0.1
    world.held.prove()
    world.store.takes_s = 0
    world.held.require(CALL_S)
    assert world.store.asked == 2


def test_a_proof_that_took_longer_than_is_allowed_is_none(world: World) -> None:
    world.clock.advance(ALLOWED_S)
    world.store.takes_s = ALLOWED_S + 0.1
    with pytest.raises(LockLost):
        world.held.require(CALL_S)


@pytest.mark.fault(10)
def test_a_driver_that_was_stopped_for_longer_than_the_lock_delay_asks_again(world: World) -> None:
    world.clock.advance(3 * DELAY_S)
    world.held.require(CALL_S)
    assert world.store.asked == 1


@pytest.mark.fault(7)
@pytest.mark.fault(13)
def test_it_is_lost_when_another_session_holds_it(world: World) -> None:
    world.store.drop(KEY)
    other = world.store.create_session("other", 15, 30)
    world.store.commit([lock(KEY, other)])
    with pytest.raises(LockLost, match=other) as caught:
        world.held.prove()
    assert KEY in str(caught.value)
    assert caught.value.exit_code is ExitCode.TRY_AGAIN


def test_it_is_lost_when_the_key_is_gone(world: World) -> None:
    world.store.expire_session(world.session.id)
    with pytest.raises(LockLost, match="not held"):
        world.held.prove()


@pytest.mark.fault(13)
def test_it_is_lost_with_its_session_and_nothing_is_asked(world: World) -> None:
    world.session.end()
    for call in (world.held.prove, lambda: world.held.require(CALL_S), lambda: world.held.commit([])):
        with pytest.raises(LockLost):
            call()
    assert world.store.asked == 0


def test_while_consul_is_away_a_recent_proof_is_enough(world: World) -> None:
    world.store.deaf = True
    world.clock.advance(ALLOWED_S - 1)
    world.held.require(CALL_S)
    assert world.store.asked == 1


@pytest.mark.fault(8)
@pytest.mark.fault(9)
def test_while_consul_is_away_it_is_asked_until_the_lock_delay_is_over(world: World) -> None:
    world.store.deaf = True
    world.clock.advance(ALLOWED_S + 1)
    with pytest.raises(LockLost, match="no leader"):
        world.held.require(CALL_S)
    assert DELAY_S - 1.5 < world.clock.monotonic() <= DELAY_S
    assert world.store.asked > 3


def test_consul_back_in_time_is_a_new_proof(world: World) -> None:
    world.store.deaf = True
    world.clock.advance(ALLOWED_S + 1)
    sleep = world.clock.sleep

    def heal(seconds: float) -> None:
        sleep(seconds)
        world.store.deaf = False

    world.clock.sleep = heal  # type: ignore[method-assign]
    world.held.require(CALL_S)
    assert world.clock.monotonic() < DELAY_S


def test_a_call_that_no_proof_could_cover_is_a_mistake_of_the_policy(world: World) -> None:
    with pytest.raises(ConfigError, match="session/lock_delay"):
        world.held.require(DELAY_S - MARGIN_S)


def test_a_write_depends_on_the_lock_and_proves_it(world: World) -> None:
    world.clock.advance(ALLOWED_S)
    assert isinstance(world.held.commit([cas("x", b"1", 0)]), Committed)
    world.held.require(CALL_S)
    assert world.store.asked == 0
    assert world.store.commits[-1][0].verb == "check-session"


@pytest.mark.fault(10)
@pytest.mark.fault(13)
def test_a_write_without_the_lock_writes_nothing(world: World) -> None:
    world.store.expire_session(world.session.id)
    with pytest.raises(LockLost):
        world.held.commit([cas("x", b"1", 0)])
    assert "x" not in world.store.data


def test_a_write_refused_for_another_reason_is_handed_back_and_proves_nothing(world: World) -> None:
    world.clock.advance(ALLOWED_S)
    assert isinstance(world.held.commit([cas("x", b"1", 99)]), Rejected)
    world.held.require(CALL_S)
    assert world.store.asked == 1


def test_a_write_whose_answer_was_lost_is_passed_on_and_proves_nothing(world: World) -> None:
    world.store.mute = True
    with pytest.raises(OutcomeUnknown):
        world.held.commit([cas("x", b"1", 0)])
    world.clock.advance(ALLOWED_S)
    world.held.require(CALL_S)
    assert world.store.asked == 1


@pytest.mark.parametrize("release", [lambda s: delete(KEY), lambda s: unlock(KEY, s)], ids=["deleted", "unlocked"])
def test_what_was_released_may_not_be_used_any_more(world: World, release: Callable[..., object]) -> None:
    assert isinstance(world.held.commit([release(world.session.id)]), Committed)  # type: ignore[list-item]
    with pytest.raises(LockLost, match="released"):
        world.held.require(CALL_S)


def test_a_release_that_was_refused_releases_nothing(world: World) -> None:
    assert isinstance(world.held.commit([cas("x", b"", 99), delete(KEY)]), Rejected)
    world.held.require(CALL_S)


EVENTS = st.lists(st.sampled_from(["prove", "write", "expire", "deafen", "hear"]) | st.floats(0, 40), max_size=25)


@pytest.mark.fault(10)
@given(EVENTS)
def test_no_call_is_ever_let_out_that_could_end_when_another_holds_the_lock(events: list[str | float]) -> None:
    """Whatever happens, when `require` returns, the call ends before the lock delay after the loss is over."""
    world = World()
    lost_at: float | None = None

    def expire() -> None:
        nonlocal lost_at
        if lost_at is None:
            world.store.expire_session(world.session.id)
            lost_at = world.clock.monotonic()

    for event in events:
        if isinstance(event, float):
            world.clock.advance(event)
        elif event == "expire":
            expire()
        elif event in ("deafen", "hear"):
            world.store.deaf = event == "deafen"
        try:
            if event == "write":
                world.held.commit([])
            elif event == "prove":
                world.held.prove()
            world.held.require(CALL_S)
        except LockLost:
            continue
        if lost_at is not None:
            assert world.clock.monotonic() + CALL_S + MARGIN_S <= lost_at + DELAY_S
