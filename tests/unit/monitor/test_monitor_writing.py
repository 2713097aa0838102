"""What the monitor writes: together, alone, only what it read, and nothing where nothing changes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from kit.fakes.clock import FakeClock
from kit.fakes.cluster import fails_of, is_failed, register
from kit.fakes.observers import HA_NODES, a_report, publish
from kit.fakes.store import FakeStore
from kit.fakes.values import NOW, a_maintenance, an_approval
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.node import Pause
from nova_ha.cluster.schema import CONFIG, PAUSED, WAKE, compute_node, open_incident
from nova_ha.consul.transaction import Operation
from nova_ha.consul.values import MAX_OPERATIONS
from nova_ha.errors import ConfigError, OutcomeUnknown, TryAgain
from nova_ha.monitor.look import decide, look
from nova_ha.monitor.summary import Summary
from nova_ha.monitor.writing import ROUNDS, count_failures

CLOCK = FakeClock()
FAILED, FAILS, FOUND = "status/failed", "internal/number_fails", "config/approval"


def a_cluster(streaks: dict[str, Sequence[int | None]], limit: str = "100") -> FakeStore:
    store = FakeStore(CLOCK)
    register(store, streaks)
    store.put(CONFIG + "monitor/max_failed", limit)
    report(store, streaks)
    return store


def report(store: FakeStore, streaks: dict[str, Sequence[int | None]]) -> None:
    columns = range(3)
    publish(store, {f"ha-{n + 1}": a_report({node: row[n] for node, row in streaks.items()}) for n in columns})


def writes(store: FakeStore) -> list[list[Operation]]:
    return [[o for o in operations if o.verb in ("set", "cas")] for operations in store.commits]


def interfere(store: FakeStore, *changes: tuple[str, str]) -> None:
    """Let somebody else write these keys just before the first commit."""

    def change(_: Sequence[Operation]) -> None:
        store.before = None
        for key, value in changes:
            store.put(key, value)

    store.before = change


def test_a_failed_interval_is_counted_and_wakes_nobody() -> None:
    store = a_cluster({"c1": [1, 1, 0], "c2": [0, 0, 0]})
    summary = count_failures(store, CLOCK)
    assert summary.counted == {"c1": 1}
    assert (fails_of(store, "c1"), is_failed(store, "c1"), store.value(WAKE)) == (1, False, None)


def test_the_threshold_sets_failed_and_wakes_in_one_transaction_of_its_own() -> None:
    store = a_cluster({"c1": [3, 3, 0], "c2": [1, 1, 0]})
    summary = count_failures(store, CLOCK)
    assert (summary.flipped, summary.counted) == (["c1"], {"c2": 1})
    assert is_failed(store, "c1")
    assert [{o.key for o in transaction} for transaction in writes(store)] == [
        {compute_node("c2", FAILS)},
        {compute_node("c1", FAILS), compute_node("c1", FAILED), WAKE},
    ]


def test_each_flip_wakes_anew() -> None:
    store = a_cluster({"c1": [3, 3, 3], "c2": [0, 0, 0]})
    count_failures(store, CLOCK)
    first = store.value(WAKE)
    report(store, {"c1": [3, 3, 3], "c2": [3, 3, 3]})
    count_failures(store, CLOCK)
    assert store.value(WAKE) not in (None, first)


@pytest.mark.fault(26)
def test_a_second_run_writes_nothing() -> None:
    store = a_cluster({"c1": [3, 3, 3], "c2": [2, 2, 2], "c3": [0, 0, 0]})
    count_failures(store, CLOCK)
    store.commits.clear()
    assert count_failures(store, CLOCK) == Summary()
    assert store.commits == []


def test_a_healthy_cluster_writes_nothing() -> None:
    store = a_cluster({f"c{n}": [0, 0, 0] for n in range(100)})
    count_failures(store, CLOCK)
    assert store.commits == []


def test_a_node_that_answers_again_is_counted_down_to_zero() -> None:
    store = a_cluster({"c1": [2, 2, 2]})
    count_failures(store, CLOCK)
    report(store, {"c1": [2, 0, 0]})
    count_failures(store, CLOCK)
    assert fails_of(store, "c1") == 0


def test_two_hundred_counts_take_few_transactions_within_consuls_limit() -> None:
    store = a_cluster({f"c{n}": [1, 1, 1] for n in range(200)})
    count_failures(store, CLOCK)
    assert len(store.commits) <= 10
    assert all(len(operations) <= MAX_OPERATIONS for operations in store.commits)
    assert all(fails_of(store, f"c{n}") == 1 for n in range(200))


def test_a_held_node_is_counted_up_to_the_threshold_and_reported() -> None:
    store = a_cluster({"c1": [3, 3, 3]})
    store.put(PAUSED, Pause("ann", "upgrade", "").to_kv())
    summary = count_failures(store, CLOCK)
    assert [refusal.gate for refusal in summary.held["c1"]] == [Gate.PAUSED]
    assert (fails_of(store, "c1"), is_failed(store, "c1")) == (3, False)


def test_one_node_alone_can_be_counted() -> None:
    store = a_cluster({"c1": [1, 1, 1], "c2": [1, 1, 1]})
    assert count_failures(store, CLOCK, "c2").counted == {"c2": 1}
    with pytest.raises(ConfigError, match="no compute node 'c3'"):
        count_failures(store, CLOCK, "c3")


@pytest.mark.fault(28)
def test_a_node_with_a_broken_key_is_left_out_and_the_others_are_counted() -> None:
    store = a_cluster({"c1": [1, 1, 1], "c2": [1, 1, 1]})
    store.put(compute_node("c1", FAILS), "many")
    summary = count_failures(store, CLOCK)
    assert summary.counted == {"c2": 1}
    assert "internal/number_fails is 'many'" in summary.not_counted["c1"][0].why
    assert store.value(compute_node("c1", FAILS)) == "many"


@pytest.mark.parametrize("missing", [FAILS, FAILED])
def test_a_node_registered_by_hand_without_its_counters_gets_them(missing: str) -> None:
    store = a_cluster({"c1": [1, 1, 1]})
    store.drop(compute_node("c1", missing))
    count_failures(store, CLOCK)
    assert fails_of(store, "c1") == 1
    report(store, {"c1": [3, 3, 3]})
    count_failures(store, CLOCK)
    assert is_failed(store, "c1")


# --- somebody else writes meanwhile ---


@pytest.mark.fault(15)
def test_a_count_that_somebody_else_wrote_first_is_not_overwritten() -> None:
    store = a_cluster({"c1": [2, 2, 2], "c2": [1, 1, 1]})
    interfere(store, (compute_node("c1", FAILS), "2"))
    summary = count_failures(store, CLOCK)
    assert summary.counted == {"c2": 1}
    assert fails_of(store, "c1") == 2


@pytest.mark.fault(15)
def test_a_node_that_was_flipped_meanwhile_is_not_counted() -> None:
    store = a_cluster({"c1": [1, 1, 1], "c2": [1, 1, 1]})
    interfere(store, (compute_node("c1", FAILED), "True"), (compute_node("c1", FAILS), "3"))
    assert count_failures(store, CLOCK).counted == {"c2": 1}
    assert fails_of(store, "c1") == 3


@pytest.mark.fault(57)
def test_a_failed_node_that_fails_anew_wakes_the_recovery() -> None:
    store = a_cluster({"c1": [2, 2, 2]})
    store.put(compute_node("c1", FAILED), "True")
    count_failures(store, CLOCK)
    assert (fails_of(store, "c1"), store.value(WAKE)) == (2, None)
    report(store, {"c1": [3, 3, 3]})
    count_failures(store, CLOCK)
    assert fails_of(store, "c1") == 3
    assert store.value(WAKE)


@pytest.mark.parametrize("streak", [1, 3])
def test_a_node_that_was_removed_meanwhile_does_not_come_back(streak: int) -> None:
    store = a_cluster({"c1": [streak] * 3})
    store.drop(compute_node("c1", FAILS))
    store.drop(compute_node("c1", FAILED))

    def remove(_: Sequence[Operation]) -> None:
        store.drop(compute_node("c1"))

    store.before = remove
    count_failures(store, CLOCK)
    assert [key for key in store.data if "/c1/" in key] == []


@pytest.mark.fault(15)
@pytest.mark.parametrize(
    ("key", "value", "gate"),
    [
        (PAUSED, Pause("ann", "", "").to_kv().decode(), Gate.PAUSED),
        (compute_node("c1", "config/maintenance"), a_maintenance().to_kv().decode(), None),
        (open_incident("c1"), "{}", None),
    ],
)
def test_a_gate_that_closes_between_the_look_and_the_flip_holds(key: str, value: str, gate: Gate | None) -> None:
    store = a_cluster({"c1": [3, 3, 3]})
    interfere(store, (key, value))
    summary = count_failures(store, CLOCK)
    assert not is_failed(store, "c1")
    assert summary.flipped == []
    if gate:
        assert [refusal.gate for refusal in summary.held["c1"]] == [gate]


def test_an_approval_that_is_taken_back_meanwhile_lets_nothing_pass() -> None:
    store = a_cluster({"c1": [3, 3, 3], "c2": [3, 3, 3], "c3": [1, 1, 1]}, limit="2")
    store.put(compute_node("c1", FOUND), an_approval(Gate.MAX_FAILED).to_kv())

    def take_back(operations: Sequence[Operation]) -> None:
        store.drop(compute_node("c1", FOUND))

    store.before = take_back
    summary = count_failures(store, CLOCK)
    assert not is_failed(store, "c1")
    assert set(summary.held) == {"c1", "c2"}


@pytest.mark.fault(47)
def test_an_approval_ends_in_one_transaction_with_the_failure_that_it_was_given_for() -> None:
    store = a_cluster({"c1": [2, 2, 2], "c2": [2, 2, 2]})
    count_failures(store, CLOCK)
    for name in ("c1", "c2"):
        store.put(compute_node(name, FOUND), an_approval(Gate.MAX_FAILED).to_kv())
    store.commits.clear()
    report(store, {"c1": [0, 0, 0], "c2": [1, 1, 1]})
    count_failures(store, CLOCK)
    [operations] = store.commits
    assert ("delete-cas", compute_node("c1", FOUND)) in {(o.verb, o.key) for o in operations}
    assert (fails_of(store, "c1"), store.value(compute_node("c1", FOUND))) == (0, None)
    assert (fails_of(store, "c2"), store.value(compute_node("c2", FOUND)) is None) == (1, False)


@pytest.mark.fault(15)
@pytest.mark.fault(47)
@pytest.mark.parametrize("before", [True, False])
def test_an_approval_that_comes_or_changes_while_its_failure_ends_ends_with_it(before: bool) -> None:
    store = a_cluster({"c1": [2, 2, 2]})
    count_failures(store, CLOCK)
    if before:
        store.put(compute_node("c1", FOUND), an_approval(Gate.REPEAT).to_kv())
    report(store, {"c1": [0, 0, 0]})
    interfere(store, (compute_node("c1", FOUND), an_approval(Gate.MAX_FAILED).to_kv().decode()))
    count_failures(store, CLOCK)
    assert (fails_of(store, "c1"), store.value(compute_node("c1", FOUND))) == (0, None)


def test_two_hundred_failures_that_end_with_their_approvals_stay_within_consuls_limit() -> None:
    names = [f"c{n}" for n in range(200)]
    store = a_cluster({name: [2, 2, 2] for name in names})
    count_failures(store, CLOCK)
    for name in names[:100]:
        store.put(compute_node(name, FOUND), an_approval(Gate.MAX_FAILED).to_kv())
    store.commits.clear()
    report(store, {name: [0, 0, 0] for name in names})
    count_failures(store, CLOCK)
    assert len(store.commits) <= 10
    assert all(len(operations) <= MAX_OPERATIONS for operations in store.commits)
    assert all((fails_of(store, name), store.value(compute_node(name, FOUND))) == (0, None) for name in names)


@pytest.mark.fault(47)
def test_a_failing_node_whose_approval_has_ended_is_held() -> None:
    store = a_cluster({name: [3, 3, 3] for name in ("c1", "c2", "c3")}, limit="2")
    store.put(compute_node("c1", FOUND), an_approval(Gate.MAX_FAILED, ends_in_s=0).to_kv())
    assert [refusal.gate for refusal in count_failures(store, CLOCK).held["c1"]] == [Gate.MAX_FAILED]


def test_an_approval_that_was_not_needed_is_not_waited_for() -> None:
    store = a_cluster({"c1": [3, 3, 3]})
    interfere(store, (compute_node("c1", FOUND), an_approval(Gate.MAX_FAILED).to_kv().decode()))
    assert count_failures(store, CLOCK).flipped == ["c1"]


@pytest.mark.fault(15)
@pytest.mark.fault(21)
def test_a_flip_elsewhere_is_seen_by_a_run_that_looked_before_it() -> None:
    """Two runs, each seeing one other node fail, must not flip three nodes where two may."""
    store = a_cluster({"c1": [3, 3, 3], "c2": [0, 0, 0], "c3": [0, 0, 0]}, limit="2")
    other = store.at("ha-2")

    def others_flip(_: Sequence[Operation]) -> None:
        store.before = None
        report(store, {"c1": [0, 0, 0], "c2": [3, 3, 3], "c3": [3, 3, 3]})
        assert count_failures(other, CLOCK).flipped == ["c2", "c3"]
        report(store, {"c1": [3, 3, 3], "c2": [0, 0, 0], "c3": [0, 0, 0]})

    store.before = others_flip
    summary = count_failures(store, CLOCK)
    assert not is_failed(store, "c1")
    assert [refusal.gate for refusal in summary.held["c1"]] == [Gate.MAX_FAILED]


def test_a_flip_while_the_votes_are_being_read_is_seen_too(monkeypatch: pytest.MonkeyPatch) -> None:
    store = a_cluster({"c1": [3, 3, 3], "c2": [0, 0, 0], "c3": [0, 0, 0]}, limit="2")
    other, fetch = store.at("ha-2"), store.fetch

    def others_flip(path: str, *, consistent: bool = False) -> object:
        monkeypatch.undo()
        report(store, {"c1": [0, 0, 0], "c2": [3, 3, 3], "c3": [3, 3, 3]})
        assert count_failures(other, CLOCK).flipped == ["c2", "c3"]
        report(store, {"c1": [3, 3, 3], "c2": [0, 0, 0], "c3": [0, 0, 0]})
        return fetch(path, consistent=consistent)

    monkeypatch.setattr(store, "fetch", others_flip)
    assert list(count_failures(store, CLOCK).held) == ["c1"]
    assert not is_failed(store, "c1")


@pytest.mark.fault(12)
@pytest.mark.fault(26)
def test_two_runs_at_once_flip_a_node_once() -> None:
    store = a_cluster({"c1": [3, 3, 3]})
    other = store.at("ha-2")

    def other_run(_: Sequence[Operation]) -> None:
        store.before = None
        assert count_failures(other, CLOCK).flipped == ["c1"]

    store.before = other_run
    assert count_failures(store, CLOCK).flipped == []
    assert is_failed(store, "c1")


def test_a_run_that_never_wins_gives_up_and_says_what_changed() -> None:
    store = a_cluster({"c1": [3, 3, 3]})
    turns = iter(range(100))
    store.before = lambda _: store.put(WAKE, f"turn {next(turns)}")
    with pytest.raises(TryAgain, match="ha_cluster/wake"):
        count_failures(store, CLOCK)
    assert len(store.commits) == ROUNDS
    assert not is_failed(store, "c1")


def test_a_lost_answer_is_looked_after_by_the_next_run() -> None:
    store = a_cluster({"c1": [3, 3, 3]})
    store.mute = True
    with pytest.raises(OutcomeUnknown):
        count_failures(store, CLOCK)
    store.mute = False
    assert count_failures(store, CLOCK) == Summary()
    assert is_failed(store, "c1")


def test_what_would_be_done_is_what_is_done() -> None:
    store = a_cluster({"c1": [3, 3, 3], "c2": [1, 1, 1], "c3": [3, 3, 3], "c4": [None, None, 1]})
    store.put(compute_node("c3", "config/maintenance"), a_maintenance().to_kv())
    seen = look(store, CLOCK)
    planned = Summary.of(seen.view, decide(seen))
    assert store.commits == []
    done = count_failures(store, CLOCK)
    assert planned.to_json() == done.to_json()
    assert planned.in_words() == [
        "c2: number_fails is 1",
        "c1: status/failed is True",
        "c4: not counted, no-quorum: 1 of 3 HA nodes vote, 2 needed: "
        "ha-1 unknown (wrong password), ha-2 unknown (wrong password), ha-3 1x timed out",
    ]


def test_the_log_has_a_line_for_each_decision(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "nova_ha")
    store = a_cluster({"c1": [3, 3, 3], "c2": [1, 1, 1], "c3": [3, 3, 3], "c4": [None, None, 1]})
    store.put(compute_node("c3", "config/maintenance"), a_maintenance().to_kv())
    store.put(compute_node("c3", FOUND), an_approval(Gate.MAINTENANCE).to_kv())
    store.put(compute_node("c1", FAILED), "maybe")
    count_failures(store, CLOCK)
    lines = [record.getMessage() for record in caplog.records]
    assert "host=c2 step=count number_fails=1 was=0" in lines
    assert any(line.startswith("host=c3 step=flip number_fails=3 approved_by=ann gate=maintenance") for line in lines)
    assert any("step=not-counted gate=unreadable hosts=1" in line and "c1 (" in line for line in lines)
    assert any("step=not-counted gate=no-quorum hosts=1" in line and "c4 (" in line for line in lines)


@pytest.mark.fault(25)
def test_the_clock_of_the_run_ends_a_maintenance() -> None:
    store = a_cluster({"c1": [3, 3, 3]})
    store.put(compute_node("c1", "config/maintenance"), a_maintenance(ends_in_s=60).to_kv())
    clock = FakeClock(NOW)
    for elapsed, number in [(59, 0), (1, 1), (5, 2), (5, 3)]:
        clock.advance(elapsed)
        count_failures(store, clock)
        assert fails_of(store, "c1") == number
    assert is_failed(store, "c1")


@pytest.mark.fault(28)
def test_a_node_that_has_only_its_config_is_counted_and_holds_up_no_other() -> None:
    """Registered by hand: the count that is written becomes the last of its keys, by which it is known."""
    store, clock = FakeStore(FakeClock()), FakeClock()
    names = [f"c{number}" for number in range(1, 11)]
    register(store, names)
    for leaf in ("config/ssh/user", "config/ssh/password"):
        store.put(compute_node("bare", leaf), "word")
    for c1, bare in ((0, 1), (0, 0), (1, 0), (2, 0), (3, 0)):
        streaks = {**dict.fromkeys(names, 0), "c1": c1, "bare": bare}
        publish(store, {ha: a_report(streaks) for ha in HA_NODES})
        count_failures(store, clock)
    assert is_failed(store, "c1")
    assert store.value(compute_node("bare", "internal/number_fails")) == "0"
