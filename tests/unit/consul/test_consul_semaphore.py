"""The semaphore's places: never more live holders than the limit, and no dead one keeps a place."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from kit.fakes.clock import FakeClock
from kit.fakes.kv_entries import an_entry
from kit.fakes.store import FakeStore
from nova_ha.cluster.schema import RECOVERY_SEMAPHORE as PREFIX
from nova_ha.consul.semaphore import Full, LimitConflict, Semaphore
from nova_ha.consul.transaction import Committed, Entry
from nova_ha.consul.values import LOCK_FLAGS, SEMAPHORE_FLAGS, SessionID
from nova_ha.errors import ConfigError

A, B, C = SessionID("a"), SessionID("b"), SessionID("c")


def entries(limit: int, holders: str, alive: str) -> list[Entry]:
    record = json.dumps({"Limit": limit, "Holders": dict.fromkeys(holders, True)})
    contenders = [an_entry(f"{PREFIX}/{s}", b"", 5, session=s, flags=SEMAPHORE_FLAGS) for s in alive]
    return [an_entry(f"{PREFIX}/.lock", record, 9, flags=SEMAPHORE_FLAGS), *contenders]


def record_in(operations: object) -> dict[str, object]:
    assert isinstance(operations, list)
    (written,) = (o for o in operations if o.key.endswith("/.lock"))
    return json.loads(written.value)  # type: ignore[no-any-return]


def test_without_a_record_every_place_is_free() -> None:
    semaphore = Semaphore.from_entries(PREFIX, [])
    assert (semaphore.limit, semaphore.holders, semaphore.index) == (None, frozenset(), 0)
    assert record_in(semaphore.take(A, 2)) == {"Limit": 2, "Holders": {"a": True}}


def test_taking_a_place_acquires_the_contender_key_and_writes_the_record_as_it_was_read() -> None:
    contender, record = Semaphore.from_entries(PREFIX, entries(2, "b", "b")).take(A, 2)  # type: ignore[misc]
    assert (contender.verb, contender.key, contender.session) == ("lock", f"{PREFIX}/a", "a")
    assert (record.verb, record.index) == ("cas", 9)
    assert contender.flags == record.flags == SEMAPHORE_FLAGS


def test_a_full_semaphore_names_its_holders() -> None:
    assert Semaphore.from_entries(PREFIX, entries(2, "bc", "bc")).take(A, 2) == Full(frozenset({B, C}))


def test_a_contender_that_only_waits_holds_no_place() -> None:
    semaphore = Semaphore.from_entries(PREFIX, entries(2, "b", "bc"))
    assert semaphore.live == {B}
    assert record_in(semaphore.take(A, 2)) == {"Limit": 2, "Holders": {"a": True, "b": True}}


def test_a_dead_holder_is_pruned() -> None:
    semaphore = Semaphore.from_entries(PREFIX, entries(2, "bc", "c"))
    assert (semaphore.holders, semaphore.live) == ({B, C}, {C})
    assert record_in(semaphore.take(A, 2)) == {"Limit": 2, "Holders": {"a": True, "c": True}}


def test_a_contender_key_that_nobody_holds_keeps_nobody_alive() -> None:
    left = an_entry(f"{PREFIX}/b", b"", 5, session="", flags=SEMAPHORE_FLAGS)
    assert Semaphore.from_entries(PREFIX, [*entries(1, "b", ""), left]).live == frozenset()


def test_a_contender_key_held_by_another_session_keeps_nobody_alive() -> None:
    foreign = an_entry(f"{PREFIX}/b", b"", 5, session="c", flags=SEMAPHORE_FLAGS)
    assert Semaphore.from_entries(PREFIX, [*entries(1, "b", ""), foreign]).live == frozenset()


def test_a_changed_limit_is_written_when_no_live_holder_is_left() -> None:
    assert record_in(Semaphore.from_entries(PREFIX, entries(2, "b", "")).take(A, 5)) == {
        "Limit": 5,
        "Holders": {"a": True},
    }


def test_a_raised_limit_waits_while_the_recorded_one_is_reached() -> None:
    assert Semaphore.from_entries(PREFIX, entries(1, "b", "b")).take(A, 3) == LimitConflict(1)


def test_a_raised_limit_is_not_written_while_there_are_live_holders() -> None:
    assert record_in(Semaphore.from_entries(PREFIX, entries(2, "b", "b")).take(A, 3))["Limit"] == 2


def test_a_lowered_limit_counts_at_once() -> None:
    assert Semaphore.from_entries(PREFIX, entries(5, "bc", "bc")).take(A, 2) == Full(frozenset({B, C}))


def test_giving_up_removes_the_holder_and_its_contender_key() -> None:
    operations = Semaphore.from_entries(PREFIX, entries(2, "ab", "ab")).give_up(A)
    assert [(o.verb, o.key) for o in operations] == [("delete", f"{PREFIX}/a"), ("cas", f"{PREFIX}/.lock")]
    assert record_in(operations) == {"Limit": 2, "Holders": {"b": True}}


def test_the_last_holder_removes_the_record() -> None:
    operations = Semaphore.from_entries(PREFIX, entries(2, "ab", "a")).give_up(A)
    assert [(o.verb, o.key, o.index) for o in operations][1] == ("delete-cas", f"{PREFIX}/.lock", 9)


def test_giving_up_what_was_pruned_already_touches_no_record() -> None:
    assert [o.verb for o in Semaphore.from_entries(PREFIX, entries(2, "b", "b")).give_up(A)] == ["delete"]


@pytest.mark.parametrize(
    ("value", "flags"),
    [
        (b"{}", SEMAPHORE_FLAGS),
        (b"\xff", SEMAPHORE_FLAGS),
        (b"[]", SEMAPHORE_FLAGS),
        (b'{"Limit":0,"Holders":{}}', SEMAPHORE_FLAGS),
        (b'{"Limit":true,"Holders":{}}', SEMAPHORE_FLAGS),
        (b'{"Limit":2,"Holders":["a"]}', SEMAPHORE_FLAGS),
        (b'{"Limit":2,"Holders":{}}', 0),
    ],
)
def test_no_place_is_given_by_a_record_that_is_no_semaphores_but_one_can_be_given_up(
    value: bytes, flags: int
) -> None:
    semaphore = Semaphore.from_entries(PREFIX, [an_entry(f"{PREFIX}/.lock", value, 9, flags=flags)])
    with pytest.raises(ConfigError, match=r"ha_cluster/locks/recovery/\.lock"):
        semaphore.take(A, 2)
    assert [(o.verb, o.key) for o in semaphore.give_up(A)] == [("delete", f"{PREFIX}/a")]


def test_a_plain_lock_on_the_record_takes_every_place() -> None:
    semaphore = Semaphore.from_entries(PREFIX, [an_entry(f"{PREFIX}/.lock", b"", 9, session="b", flags=LOCK_FLAGS)])
    assert semaphore.live == {B}
    assert semaphore.take(A, 1) == Full(frozenset({B}))
    assert semaphore.take(A, 2) == LimitConflict(1)


def test_what_a_plain_lock_left_behind_takes_no_place() -> None:
    semaphore = Semaphore.from_entries(PREFIX, [an_entry(f"{PREFIX}/.lock", b"", 9, flags=LOCK_FLAGS)])
    assert record_in(semaphore.take(A, 2)) == {"Limit": 2, "Holders": {"a": True}}


def test_holders_that_are_null_are_none() -> None:
    record = an_entry(f"{PREFIX}/.lock", b'{"Limit":2,"Holders":null}', 9, flags=SEMAPHORE_FLAGS)
    assert Semaphore.from_entries(PREFIX, [record]).holders == frozenset()


@given(st.binary(max_size=40), st.integers(0, 2**64 - 1) | st.just(SEMAPHORE_FLAGS))
def test_no_bytes_in_the_record_raise_anything(raw: bytes, flags: int) -> None:
    semaphore = Semaphore.from_entries(PREFIX, [an_entry(f"{PREFIX}/.lock", raw, 9, flags=flags)])
    assert semaphore.give_up(A)


class Contenders(RuleBasedStateMachine):
    """Drivers that come, finish and die in any order, with a limit that the operator changes."""

    def __init__(self) -> None:
        super().__init__()
        self.store = FakeStore(FakeClock())
        self.limit = 2
        self.most_allowed = 2
        self.holding: list[SessionID] = []

    @rule(limit=st.integers(1, 4))
    def the_operator_changes_the_limit(self, limit: int) -> None:
        self.limit = limit

    @rule()
    def a_driver_claims(self) -> None:
        session = self.store.create_session("driver", 3600, 0)
        taken = Semaphore.read(self.store, PREFIX).take(session, self.limit)
        if not isinstance(taken, list):
            assert self.holding, "an empty semaphore refuses nobody"
            return
        before = len(self.holding)
        assert before < self.limit
        assert isinstance(self.store.commit(taken), Committed)
        self.holding.append(session)

    @rule(which=st.integers(0, 3))
    def a_driver_finishes(self, which: int) -> None:
        if self.holding:
            session = self.holding.pop(which % len(self.holding))
            assert isinstance(self.store.commit(Semaphore.read(self.store, PREFIX).give_up(session)), Committed)

    @rule(which=st.integers(0, 3))
    def a_driver_dies(self, which: int) -> None:
        if self.holding:
            self.store.expire_session(self.holding.pop(which % len(self.holding)))

    @invariant()
    def the_live_holders_are_those_that_work(self) -> None:
        semaphore = Semaphore.read(self.store, PREFIX)
        assert semaphore.live == frozenset(self.holding)
        assert len(semaphore.live) <= (semaphore.limit or 0)


TestContenders = Contenders.TestCase
TestContenders.settings = settings(max_examples=40, stateful_step_count=25)
