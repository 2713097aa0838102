"""Random orders of failures, sweeps, runs, crashes and lost races: what must hold after each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from kit.fakes.clock import FakeClock
from kit.fakes.cluster import fails_of, is_failed, register
from kit.fakes.observers import HA_NODES, a_report, publish
from kit.fakes.store import FakeStore
from kit.fakes.values import a_maintenance, an_approval
from nova_ha.clock import to_key
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import Incident, IncidentState
from nova_ha.cluster.node import Pause
from nova_ha.cluster.schema import CONFIG, PAUSED, closed_incident, compute_node, open_incident
from nova_ha.consul.transaction import Operation
from nova_ha.errors import ConsulError, OutcomeUnknown
from nova_ha.monitor.writing import count_failures

NODES = [f"c{number}" for number in range(5)]
LIMIT, THRESHOLD, WINDOW_S = 2, 2, 60
NODE, OBSERVER = st.sampled_from(NODES), st.sampled_from(HA_NODES)


class Crash(Exception):
    """The handler's process ends here."""


class Monitor(RuleBasedStateMachine):
    """Hosts that fail, observers that sweep, handlers that run, an operator, and a recovery that does its part."""

    @initialize()
    def begin(self) -> None:
        self.clock = FakeClock()
        self.store = FakeStore(self.clock)
        register(self.store, NODES)
        self.store.put(CONFIG + "monitor/max_failed", str(LIMIT))
        self.store.put(CONFIG + "monitor/window", str(WINDOW_S))
        self.store.put(CONFIG + "monitor/fail_threshold", str(THRESHOLD))
        self.down: set[str] = set()
        self.streaks = {observer: dict.fromkeys(NODES, 0) for observer in HA_NODES}
        self.dead: set[str] = set()
        self.fenced: list[tuple[str, float, bool]] = []
        self.failed_before: set[str] = set()
        self.publish()

    def publish(self) -> None:
        reports = {observer: a_report(dict(streaks)) for observer, streaks in self.streaks.items()}
        publish(self.store, reports, dead=self.dead)

    # --- the world ---

    @rule(nodes=st.sets(NODE, min_size=1))
    def hosts_fail(self, nodes: set[str]) -> None:
        self.down |= nodes

    @rule(nodes=st.sets(NODE, min_size=1))
    def hosts_answer_again(self, nodes: set[str]) -> None:
        self.down -= nodes

    @rule(observers=st.sets(OBSERVER, min_size=1), times=st.integers(1, 3))
    def observers_sweep(self, observers: set[str], times: int) -> None:
        for observer in observers:
            own = self.streaks[observer]
            for node in NODES:
                own[node] = min(own[node] + times, THRESHOLD) if node in self.down else 0
        self.publish()

    @rule(observer=OBSERVER)
    def an_observer_dies_or_comes_back(self, observer: str) -> None:
        self.dead ^= {observer}
        self.publish()

    @rule(seconds=st.integers(1, WINDOW_S))
    def time_goes_by(self, seconds: int) -> None:
        self.clock.advance(seconds)

    # --- the handlers ---

    @rule(observer=OBSERVER)
    def a_handler_runs(self, observer: str) -> None:
        self.run(self.store.at(observer))
        self.a_second_run_writes_nothing()

    @rule(observer=OBSERVER, step=st.integers(0, 2))
    def a_handler_dies_before_a_write(self, observer: str, step: int) -> None:
        store = self.store.at(observer)
        store.before = at_step(step, self.crash)
        self.run(store)

    @rule(observer=OBSERVER)
    def an_answer_is_lost(self, observer: str) -> None:
        store = self.store.at(observer)
        store.mute = True
        self.run(store)

    @rule(slow=OBSERVER, fast=OBSERVER, step=st.integers(0, 2), nodes=st.sets(NODE), up=st.booleans())
    def another_handler_runs_between_look_and_write(
        self, slow: str, fast: str, step: int, nodes: set[str], up: bool
    ) -> None:
        store = self.store.at(slow)

        def other_run() -> None:
            before = {observer: dict(streaks) for observer, streaks in self.streaks.items()}
            for streaks in self.streaks.values():
                streaks.update(dict.fromkeys(NODES, 0))
                streaks.update(dict.fromkeys(nodes, THRESHOLD))
            self.publish()
            self.run(self.store.at(fast))
            if up:
                self.streaks = before
                self.publish()

        store.before = at_step(step, other_run)
        self.run(store)

    def run(self, store: FakeStore) -> None:
        # Not TryAgain: with one other run at most, somebody must have won.
        with suppress(Crash, ConsulError, OutcomeUnknown):
            count_failures(store, self.clock)

    def crash(self) -> None:
        raise Crash

    def a_second_run_writes_nothing(self) -> None:
        store = self.store.at("ha-1")
        self.run(store)
        assert store.commits == []

    # --- the operator, and the recovery ---

    @rule(node=NODE)
    def an_operator_approves(self, node: str) -> None:
        approval = an_approval(Gate.MAX_FAILED, ends_in_s=self.clock.monotonic() + WINDOW_S)
        self.store.put(compute_node(node, "config/approval"), approval.to_kv())

    @rule(node=NODE)
    def an_operator_plans_a_maintenance(self, node: str) -> None:
        planned = a_maintenance(ends_in_s=self.clock.monotonic() + 20)
        self.store.put(compute_node(node, "config/maintenance"), planned.to_kv())

    @rule(pause=st.booleans())
    def an_operator_pauses_or_resumes(self, pause: bool) -> None:
        if pause:
            self.store.put(PAUSED, Pause("ann", "", "").to_kv())
        else:
            self.store.drop(PAUSED)

    @rule(node=NODE)
    def an_operator_breaks_or_mends_a_key(self, node: str) -> None:
        key = compute_node(node, "config/bmc/driver")
        self.store.put(key, "ipmi" if self.store.value(key) == "?" else "?")

    @rule(node=NODE)
    def an_operator_resets(self, node: str) -> None:
        if self.store.value(open_incident(node)) is None:
            self.store.put(compute_node(node, "status/failed"), "False")
            self.store.put(compute_node(node, "status/recovered"), "False")
            self.failed_before.discard(node)

    @rule(node=NODE)
    def a_recovery_claims(self, node: str) -> None:
        if not is_failed(self.store, node) or self.store.value(compute_node(node, "status/recovered")) == "True":
            return
        approved = self.store.value(compute_node(node, "config/approval")) is not None
        incident = Incident(node, self.clock.now(), IncidentState.FENCING)
        self.store.put(compute_node(node, "status/recovered"), "True")
        self.store.put(open_incident(node), incident.to_kv())
        self.store.drop(compute_node(node, "config/approval"))
        self.fenced.append((node, self.clock.monotonic(), approved))

    @rule(node=NODE)
    def a_recovery_finishes(self, node: str) -> None:
        entry = self.store.get(open_incident(node))
        if entry:
            started = Incident.from_kv(entry.value).started
            self.store.drop(open_incident(node))
            self.store.put(closed_incident(node, to_key(started)), entry.value)

    # --- what must hold ---

    @invariant()
    def no_more_hosts_are_fenced_in_a_window_than_the_limit(self) -> None:
        now = self.clock.monotonic()
        recent = {node for node, at, approved in self.fenced if not approved and now - at < WINDOW_S}
        assert len(recent) <= LIMIT, self.fenced

    @invariant()
    def failed_is_only_ever_reset_by_the_operator(self) -> None:
        failed = {node for node in NODES if is_failed(self.store, node)}
        assert self.failed_before <= failed
        self.failed_before = failed

    @invariant()
    def no_count_is_higher_than_any_streak_can_be(self) -> None:
        assert all(0 <= fails_of(self.store, node) <= THRESHOLD for node in NODES)


def at_step(step: int, act: Callable[[], None]) -> Callable[[Sequence[Operation]], None]:
    """Return a hook that acts before the commit of this number, once."""
    remaining = [step]

    def before(_: Sequence[Operation]) -> None:
        remaining[0] -= 1
        if remaining[0] == -1:
            act()

    return before


Monitor.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestMonitor = Monitor.TestCase

# Written in words once, since the machine above is free to find other ways.
ONE_AFTER_THE_OTHER = timedelta(seconds=10)


@pytest.mark.fault(21)
def test_nodes_that_fail_one_after_the_other_are_not_let_through_one_by_one() -> None:
    machine = Monitor()
    machine.begin()
    for node in NODES:
        machine.hosts_fail({node})
        for _ in range(THRESHOLD):
            machine.observers_sweep(set(HA_NODES), 1)
            machine.a_handler_runs("ha-1")
        machine.a_recovery_claims(node)
        machine.a_recovery_finishes(node)
        machine.time_goes_by(int(ONE_AFTER_THE_OTHER.total_seconds()))
    assert [node for node, _, _ in machine.fenced] == NODES[:LIMIT]
