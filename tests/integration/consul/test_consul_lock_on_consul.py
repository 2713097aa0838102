"""Locks on a real Consul: one of two contenders gets them, and `consul lock` and we keep each other out."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from kit.machines.by_hand import unlock
from kit.machines.consul import ConsulCluster
from kit.machines.sessions import session_ids
from nova_ha.clock import SystemClock
from nova_ha.consul.lock import HeldLock
from nova_ha.consul.semaphore import Full, LimitConflict, Semaphore
from nova_ha.consul.session import LockLost, Session
from nova_ha.consul.store import Store
from nova_ha.consul.transaction import Committed, Rejected, cas, delete, held, lock, put
from nova_ha.consul.values import SEMAPHORE_FLAGS, SessionID
from nova_ha.sandbox.provide import find_consul
from nova_ha.sandbox.waiting import until

LIMIT_S = 60.0
# For sessions that are to live as long as their test, however long that takes: Consul ends them after twice as long.
LONG_S = 600


class ConsulLock:
    """The real `consul lock`, whose child runs until `finish`."""

    def __init__(self, cluster: ConsulCluster, *arguments: str) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [str(find_consul()), "lock", "-pass-stdin", "-verbose", *arguments, "echo inside; cat"],
            env={"PATH": "/usr/bin:/bin", **cluster.agents["ha-1"].access},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line.strip())

    @property
    def inside(self) -> bool:
        return "inside" in self.lines

    def await_inside(self) -> None:
        until(lambda: self.inside or self.process.poll() is not None, "consul lock to get in")
        assert self.inside, self.lines

    def finish(self) -> int:
        """Let the child end, and return the exit code of `consul lock`."""
        assert self.process.stdin
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        code = self.process.wait(LIMIT_S)
        self.reader.join(LIMIT_S)
        assert not self.reader.is_alive(), "its child still runs"
        return code

    def kill(self) -> None:
        """End it; its child ends with its standard input."""
        self.process.kill()
        self.process.wait(LIMIT_S)
        assert self.process.stdin
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.reader.join(LIMIT_S)


@pytest.fixture
def running(consul: ConsulCluster) -> Iterator[list[ConsulLock]]:
    """Whatever is put in here is ended after the test."""
    started: list[ConsulLock] = []
    yield started
    for one in started:
        if one.process.poll() is None:
            one.kill()


@pytest.fixture
def session(store: Store) -> Iterator[SessionID]:
    made = store.create_session("driver", LONG_S, 1)
    yield made
    store.destroy_session(made)


def commit(store: Store, *operations: object) -> bool:
    return isinstance(store.commit(list(operations)), Committed)  # type: ignore[arg-type]


# --- contenders ---


@pytest.mark.fault(7)
@pytest.mark.fault(12)
def test_of_contenders_at_the_same_moment_exactly_one_gets_all_the_locks(consul: ConsulCluster, prefix: str) -> None:
    """Each transaction takes three locks, a place and a CAS; the losers leave nothing."""
    together = threading.Barrier(6)

    def claim(number: int) -> tuple[SessionID, bool]:
        store = consul.store()
        session = store.create_session(f"driver-{number}", LONG_S, 1)
        places = Semaphore.read(store, prefix).take(session, 5)
        assert isinstance(places, list)
        together.wait(LIMIT_S)
        locks = [lock(f"{prefix}-{what}/.lock", session) for what in ("ha", "node")]
        return session, commit(store, *locks, *places, cas(f"{prefix}-incident", session.encode(), 0))

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(claim, range(6)))
    (winner,) = [session for session, won in results if won]
    left = {entry.key: entry for entry in consul.store().list(prefix)}
    assert left[f"{prefix}-incident"].value == winner.encode()
    assert {entry.session for entry in left.values() if entry.session} == {winner}
    for session, _ in results:
        consul.store().destroy_session(session)


@pytest.mark.fault(10)
@pytest.mark.fault(13)
def test_a_lock_lost_on_a_real_consul_is_lost_for_good(store: Store, prefix: str) -> None:
    with Session.create(store, "driver", 15, 1) as session:
        held_lock = HeldLock(store, SystemClock(), session, f"{prefix}/.lock", 30)
        assert commit(store, lock(held_lock.key, session.id))
        held_lock.prove()
        held_lock.require(8)
        assert isinstance(held_lock.commit([put(prefix, b"1")]), Committed)
        store.destroy_session(session.id)
        with pytest.raises(LockLost):
            held_lock.commit([put(prefix, b"2")])
        with pytest.raises(LockLost):
            held_lock.prove()
    entry = store.get(prefix)
    assert entry is not None
    assert entry.value == b"1"


def test_a_session_is_renewed_beyond_its_ttl(store: Store) -> None:
    """Three renewals by the thread, each accepted by Consul."""
    session = Session(store, store.create_session("driver", 10, 1), 0.3)
    first = session._renewed_at
    session.keep_alive()
    until(lambda: session._renewed_at > first + 0.3, "renewals")
    assert not session.lost
    session.end()
    assert session.id not in session_ids(store)


def test_a_session_that_was_destroyed_is_seen_as_lost(store: Store) -> None:
    session = Session(store, store.create_session("driver", 10, 1), 0.3)
    session.keep_alive()
    store.destroy_session(session.id)
    until(lambda: session.lost, "the loss to be seen")
    session.end()


# --- `consul lock PREFIX` ---


def test_consul_lock_keeps_us_out_until_it_is_done(
    consul: ConsulCluster, store: Store, prefix: str, session: SessionID, running: list[ConsulLock]
) -> None:
    operator = ConsulLock(consul, prefix)
    running.append(operator)
    operator.await_inside()
    outcome = store.commit([lock(f"{prefix}/.lock", session)])
    assert isinstance(outcome, Rejected)
    assert outcome.failures[0].held_by_another
    assert operator.finish() == 0
    assert commit(store, lock(f"{prefix}/.lock", session))


@pytest.mark.parametrize("release", ["unlock", "delete"])
def test_we_keep_consul_lock_out_until_we_give_the_lock_back(
    consul: ConsulCluster, store: Store, prefix: str, session: SessionID, running: list[ConsulLock], release: str
) -> None:
    key = f"{prefix}/.lock"
    assert commit(store, lock(key, session))
    impatient = ConsulLock(consul, "-timeout=1s", "-monitor-retry=0", prefix)
    running.append(impatient)
    assert impatient.finish() != 0
    assert not impatient.inside
    patient = ConsulLock(consul, prefix)
    running.append(patient)
    until(lambda: len(patient.lines) > 0, "consul lock to try")
    assert commit(store, held(key, session), unlock(key, session) if release == "unlock" else delete(key))
    patient.await_inside()
    assert patient.finish() == 0


# --- `consul lock -n LIMIT PREFIX` ---


def take(store: Store, prefix: str, session: SessionID, limit: int) -> bool | Full | LimitConflict:
    taken = Semaphore.read(store, prefix).take(session, limit)
    return commit(store, *taken) if isinstance(taken, list) else taken


def give_up(store: Store, prefix: str, session: SessionID) -> None:
    assert commit(store, *Semaphore.read(store, prefix).give_up(session))


def test_consul_lock_takes_a_place_beside_ours_and_we_see_it(
    consul: ConsulCluster, store: Store, prefix: str, session: SessionID, running: list[ConsulLock]
) -> None:
    assert take(store, prefix, session, 2) is True
    operator = ConsulLock(consul, "-n", "2", prefix)
    running.append(operator)
    operator.await_inside()
    semaphore = Semaphore.read(store, prefix)
    assert (semaphore.limit, len(semaphore.live)) == (2, 2)
    third = store.create_session("third", LONG_S, 1)
    assert take(store, prefix, third, 2) == Full(semaphore.live)
    assert operator.finish() == 0
    assert take(store, prefix, third, 2) is True
    give_up(store, prefix, session)
    give_up(store, prefix, third)
    assert store.list(prefix) == []


def test_we_take_a_place_beside_consul_lock(
    consul: ConsulCluster, store: Store, prefix: str, session: SessionID, running: list[ConsulLock]
) -> None:
    operator = ConsulLock(consul, "-n", "2", prefix)
    running.append(operator)
    operator.await_inside()
    assert take(store, prefix, session, 2) is True
    assert len(Semaphore.read(store, prefix).live) == 2
    assert operator.finish() == 0
    assert Semaphore.read(store, prefix).live == {session}
    give_up(store, prefix, session)


def test_a_waiting_consul_lock_is_woken_when_we_give_our_place_up(
    consul: ConsulCluster, store: Store, prefix: str, session: SessionID, running: list[ConsulLock]
) -> None:
    second = store.create_session("second", LONG_S, 1)
    assert take(store, prefix, session, 2) is True
    assert take(store, prefix, second, 2) is True
    waiting = ConsulLock(consul, "-n", "2", prefix)
    running.append(waiting)
    until(lambda: len(store.list(prefix + "/")) == 4, "its contender key")
    assert Semaphore.read(store, prefix).live == {session, second}
    assert not waiting.inside
    give_up(store, prefix, session)
    waiting.await_inside()
    give_up(store, prefix, second)
    assert waiting.finish() == 0


def test_a_plain_consul_lock_on_the_semaphore_takes_every_place(
    consul: ConsulCluster, store: Store, prefix: str, session: SessionID, running: list[ConsulLock]
) -> None:
    operator = ConsulLock(consul, prefix)
    running.append(operator)
    operator.await_inside()
    assert take(store, prefix, session, 2) == LimitConflict(1)
    assert operator.finish() == 0
    assert take(store, prefix, session, 2) is True
    late = ConsulLock(consul, "-n", "1", prefix)
    running.append(late)
    assert late.finish() != 0
    assert not late.inside
    give_up(store, prefix, session)


def test_another_limit_than_the_recorded_one_is_refused_by_both_sides(
    consul: ConsulCluster, store: Store, prefix: str, session: SessionID, running: list[ConsulLock]
) -> None:
    second, third = (store.create_session(name, LONG_S, 1) for name in ("second", "third"))
    assert take(store, prefix, session, 2) is True
    other = ConsulLock(consul, "-n", "3", prefix)
    running.append(other)
    assert other.finish() != 0
    assert "semaphore limit conflict" in " ".join(other.lines)
    assert take(store, prefix, second, 3) is True
    assert Semaphore.read(store, prefix).limit == 2
    assert take(store, prefix, third, 3) == LimitConflict(2)


def test_the_limit_changes_when_nobody_is_inside(
    consul: ConsulCluster, store: Store, prefix: str, session: SessionID, running: list[ConsulLock]
) -> None:
    dead = store.create_session("dead", LONG_S, 1)
    assert take(store, prefix, dead, 1) is True
    store.destroy_session(dead)
    assert take(store, prefix, session, 3) is True
    assert Semaphore.read(store, prefix).limit == 3
    beside = ConsulLock(consul, "-n", "3", prefix)
    running.append(beside)
    beside.await_inside()


def test_consul_lock_prunes_our_dead_holders(
    consul: ConsulCluster, store: Store, prefix: str, running: list[ConsulLock]
) -> None:
    dead = [store.create_session("dead", LONG_S, 1) for _ in range(2)]
    for one in dead:
        assert take(store, prefix, one, 2) is True
    for one in dead:
        store.destroy_session(one)
    assert Semaphore.read(store, prefix).holders == set(dead)
    operator = ConsulLock(consul, "-n", "2", prefix)
    running.append(operator)
    operator.await_inside()
    assert Semaphore.read(store, prefix).holders.isdisjoint(dead)


def test_we_prune_the_dead_holders_that_consul_lock_left(
    consul: ConsulCluster, store: Store, prefix: str, session: SessionID, running: list[ConsulLock]
) -> None:
    operators = [ConsulLock(consul, "-n", "2", prefix) for _ in range(2)]
    running.extend(operators)
    for operator in operators:
        operator.await_inside()
    left = Semaphore.read(store, prefix).live
    assert take(store, prefix, session, 2) == Full(left)
    for operator in operators:
        operator.kill()
    for one in left:
        store.destroy_session(one)
    assert Semaphore.read(store, prefix).holders == left
    assert take(store, prefix, session, 2) is True
    assert Semaphore.read(store, prefix).holders == {session}


def test_what_consul_lock_writes_is_what_we_write(
    consul: ConsulCluster, store: Store, prefix: str, session: SessionID, running: list[ConsulLock]
) -> None:
    operator = ConsulLock(consul, "-n", "2", f"{prefix}/theirs")
    running.append(operator)
    operator.await_inside()
    assert take(store, f"{prefix}/ours", session, 2) is True

    def layout(name: str) -> list[tuple[str, int, bytes, bool]]:
        entries = store.list(f"{prefix}/{name}/")
        (holder,) = (entry.session for entry in entries if entry.session)
        return [
            (
                entry.key.removeprefix(f"{prefix}/{name}/").replace(holder, "S"),
                entry.flags,
                entry.value.replace(holder.encode(), b"S").replace(b" ", b"") if ".lock" in entry.key else b"",
                bool(entry.session),
            )
            for entry in entries
        ]

    assert layout("ours") == layout("theirs")
    assert {flags for _, flags, _, _ in layout("ours")} == {SEMAPHORE_FLAGS}
