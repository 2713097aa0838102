"""Random orders of all that can happen to a recovery; after each order, the auditor judges what was recorded.

`make test` tries sixty orders. NOVA_HA_ORDERS=5000 tries so many, for a night.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from kit.audit.trace import OPERATOR
from kit.fakes.trace import TracedNova, TracedWorld
from kit.fakes.world import Crash
from nova_ha.cluster.gate import APPROVABLE, Gate
from nova_ha.cluster.schema import compute_node
from nova_ha.compute.states import MigrationStatus
from nova_ha.consul.transaction import Operation
from nova_ha.errors import HAError, NovaError, OutcomeUnknown
from nova_ha.power import PowerState
from nova_ha.recovery import operator
from nova_ha.recovery.reset import reset

ORDERS = int(os.environ.get("NOVA_HA_ORDERS", "60"))
OBSERVERS = ("ha-1", "ha-2", "ha-3")
NODES = ("c1", "c2", "c3", "c4")

a_node = st.sampled_from(NODES)
an_ha_node = st.sampled_from(OBSERVERS)
# A recovery of a host with some servers writes to Consul some twenty times.
a_moment = st.integers(0, 20)
some_nodes = st.lists(a_node, max_size=3, unique=True)


class RecoveryUnderFaults(RuleBasedStateMachine):
    """Hosts fail and return, drivers run on any HA node and are killed, doubled and held up, all else fails at times,
    and operators do what they may."""

    @initialize(servers=st.integers(0, 4), rebuild_s=st.sampled_from([2, 15]), hang=some_nodes, bmcs_away=some_nodes)
    def start(self, servers: int, rebuild_s: int, hang: list[str], bmcs_away: list[str]) -> None:
        self.world = TracedWorld(compute=len(NODES))
        self.world.nova.rebuild_s = rebuild_s
        self.lost: set[str] = set()
        self.ever_silent: set[str] = set()
        for name in NODES:
            self.world.nova.add(name, servers)
        for name in bmcs_away:
            self.world.bmcs[name].away = True
        for name in hang:
            self._falls_silent(name)

    # --- hosts

    @rule(node=a_node)
    def a_host_hangs(self, node: str) -> None:
        if node not in self.world.silent and self.world.bmcs[node].state is PowerState.ON:
            self._falls_silent(node)

    @rule(node=a_node)
    def a_host_loses_its_power(self, node: str) -> None:
        if node not in self.world.silent:
            self.world.bmcs[node].state = PowerState.OFF
            self.world.nova.power_lost(node)
            self._falls_silent(node)

    def _falls_silent(self, node: str) -> None:
        self.ever_silent.add(node)
        self.world.hang(node)
        self.world.report(without=sorted(self.lost))

    @precondition(lambda self: self.world.silent)
    @rule(node=a_node)
    def a_host_returns(self, node: str) -> None:
        """It boots, or goes on; a nova-compute that starts cleans what was evacuated from it."""
        if node not in self.world.silent:
            return
        nova = self.world.nova
        if self.world.bmcs[node].state is PowerState.OFF:
            cleaned = [r for r in nova.records if r.source == node and r.status is MigrationStatus.DONE]
            nova.records = [replace(r, status=MigrationStatus.COMPLETED) if r in cleaned else r for r in nova.records]
        self.world.bmcs[node].state = PowerState.ON
        self.world.revive(node)
        self.world.report(without=sorted(self.lost))

    @rule(me=an_ha_node)
    def an_ha_node_is_lost(self, me: str) -> None:
        if len(self.lost) < 1:
            self.lost.add(me)
            self.world._died(me)
            self.world.nova.power_lost(me)
            self.world.nova.hosts[me] = replace(self.world.nova.hosts[me], up=False)
            self.world.report(without=sorted(self.lost))

    @rule()
    def the_lost_ha_node_returns(self) -> None:
        self.world.nova.silent -= self.lost
        self.lost = set()
        self.world.report()

    # --- handlers

    @rule(me=an_ha_node)
    def a_handler_runs(self, me: str) -> None:
        self._runs(me)

    @rule(me=an_ha_node, moment=a_moment)
    def a_handler_is_killed(self, me: str, moment: int) -> None:
        self.world.crash_at(moment)
        self._runs(me)

    @rule(me=an_ha_node, other=an_ha_node, moment=a_moment)
    def a_second_handler_runs_while_the_first_one_works(self, me: str, other: str, moment: int) -> None:
        self._at(moment, lambda: self._runs(other, nested=True))
        self._runs(me)

    @rule(me=an_ha_node, other=an_ha_node, moment=a_moment)
    def a_handler_is_held_up_past_its_session_and_another_one_goes_on(self, me: str, other: str, moment: int) -> None:
        def held_up() -> None:
            self.world._died(me)
            self.world.clock.sleep(45)
            self._runs(other, nested=True)

        self._at(moment, held_up)
        self._runs(me)

    @rule(me=an_ha_node, moment=a_moment)
    def a_handler_loses_its_session(self, me: str, moment: int) -> None:
        self._at(moment, lambda: self.world._died(me))
        self._runs(me)

    @rule(me=an_ha_node, moment=a_moment, times=st.integers(1, 2))
    def consuls_answers_get_lost(self, me: str, moment: int, times: int) -> None:
        self._at(moment, lambda: setattr(self.world, "lost_answers", times))
        self._runs(me)
        self.world.lost_answers = 0

    @rule(me=an_ha_node, node=a_node, moment=a_moment, leaf=st.sampled_from(["failed", "recovered"]))
    def a_cas_is_lost(self, me: str, node: str, moment: int, leaf: str) -> None:
        """Somebody writes the key between a read and a write, and writes it back; not to say that it failed again."""
        key = compute_node(node, f"status/{leaf}")

        def bump() -> None:
            if self.world.closed(node):
                return
            was = self.world.store.value(key) or "False"
            for value in ("False" if was == "True" else "True", was):
                self.world.store.put(key, value)

        self._at(moment, bump)
        self._runs(me)

    @rule(me=an_ha_node, moment=a_moment)
    def an_operator_pauses_in_the_middle(self, me: str, moment: int) -> None:
        self._at(moment, self.an_operator_pauses)
        self._runs(me)

    def _runs(self, me: str, *, nested: bool = False) -> None:
        """Run a handler to its end; hooks that are still in place then are taken away."""
        if me not in self.lost and me not in self.world.driving:
            with contextlib.suppress(HAError, *([] if nested else [Crash])):
                self.world.recover(me)
        if not nested:
            self.world.no_more_crashes()

    def _at(self, moment: int, happen: Callable[[], object]) -> None:
        """Let it happen once, right before the n-th write to Consul."""
        left = moment

        def before(operations: Sequence[Operation]) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                self.world.no_more_crashes()
                happen()

        self.world.store.before = before

    # --- Nova and the BMCs

    @rule(method=st.sampled_from(["evacuate", "force_down", "disable"]), acts=st.booleans(), times=st.integers(1, 3))
    def novas_answers_get_lost(self, method: str, acts: bool, times: int) -> None:
        self.world.nova.fail(method, OutcomeUnknown("lost"), times, acts=acts)

    @rule(method=st.sampled_from(["services", "servers", "evacuations", "server"]), times=st.integers(1, 4))
    def nova_fails_to_read(self, method: str, times: int) -> None:
        self.world.nova.fail(method, NovaError("503"), times)

    @rule(late_s=st.floats(1, 50))
    def nova_acts_late(self, late_s: float) -> None:
        self.world.nova.lose_and_act_later(late_s)

    @rule(host=st.sampled_from(["ha-1", "ha-2", "c3"]))
    def a_destination_fails_to_spawn(self, host: str) -> None:
        self.world.nova.fail_spawn[host] = "No valid host was found"

    @rule(node=a_node, readings=st.lists(st.sampled_from([PowerState.UNKNOWN, PowerState.ON]), max_size=6))
    def a_bmc_reads_oddly(self, node: str, readings: list[PowerState]) -> None:
        if self.world.bmcs[node].state is PowerState.ON:
            self.world.bmcs[node].readings = readings

    @rule(node=a_node)
    def a_bmc_loses_its_answer(self, node: str) -> None:
        self.world.bmcs[node].loses_answer = True

    @rule(node=a_node, away=st.booleans())
    def a_bmc_goes_away_or_returns(self, node: str, away: bool) -> None:
        self.world.bmcs[node].away = away

    @rule(node=a_node)
    def a_bmc_says_ok_and_reads_off_and_leaves_it_on(self, node: str) -> None:
        bmc = self.world.bmcs[node]
        if bmc.state is PowerState.ON:
            bmc.obeys, bmc.readings = False, [PowerState.OFF] * 2

    # --- operators

    @rule()
    def an_operator_pauses(self) -> None:
        with contextlib.suppress(HAError):
            operator.pause(self.world.store, self.world.clock, by="ann")

    @rule()
    def an_operator_resumes(self) -> None:
        operator.resume(self.world.store)

    @rule(node=a_node, minutes=st.sampled_from([5, 60]))
    def an_operator_begins_a_maintenance(self, node: str, minutes: int) -> None:
        until = self.world.clock.now() + timedelta(minutes=minutes)
        with contextlib.suppress(HAError):
            operator.maintenance(self.world.store, self.world.clock, node, until=until, by="ann")

    @rule(node=a_node)
    def an_operator_ends_a_maintenance(self, node: str) -> None:
        operator.end_maintenance(self.world.store, self.world.clock, node)

    @rule(node=a_node, gates=st.lists(st.sampled_from(APPROVABLE), min_size=1, max_size=3, unique=True))
    def an_operator_approves(self, node: str, gates: list[Gate]) -> None:
        with contextlib.suppress(HAError):
            operator.approve(self.world.store, self.world.clock, [node], by="ann", gates=gates)

    @rule(node=a_node)
    def an_operator_cuts_the_power_and_says_so(self, node: str) -> None:
        with contextlib.suppress(HAError):
            operator.confirm_off(self.world.store, self.world.clock, node, by="ann")
            self.world.bmcs[node].state = PowerState.OFF
            self.world.nova.power_lost(node)

    @rule(node=a_node)
    def an_operator_wants_another_try(self, node: str) -> None:
        with contextlib.suppress(HAError):
            operator.retry(self.world.store, self.world.clock, node, by="ann")

    @rule(node=a_node)
    def an_operator_takes_a_host_back(self, node: str) -> None:
        nova, clients = TracedNova(self.world, OPERATOR), self.world.clients()
        with contextlib.suppress(HAError):
            reset(self.world.store, self.world.clock, node, nova, clients.sight, by="ann", patience_s=40)  # type: ignore[arg-type]

    @rule(node=a_node, failed=st.booleans())
    def somebody_edits_failed(self, node: str, failed: bool) -> None:
        if self.world.incident(node):
            self.world.store.put(compute_node(node, "status/failed"), str(failed))

    # --- time

    @rule(seconds=st.sampled_from([1, 40, 600, 4000]))
    def time_goes_by(self, seconds: int) -> None:
        self.world.clock.sleep(seconds)

    @rule(seconds=st.sampled_from([-3600, 3600]))
    def the_clock_jumps(self, seconds: int) -> None:
        self.world.clock.jump(seconds)

    # --- what must hold

    @invariant()
    def no_server_runs_twice_and_no_host_that_never_failed_is_fenced(self) -> None:
        if hasattr(self, "world"):
            assert not self.world.nova.doubled
            assert not [n for n in NODES if self.world.bmcs[n].commands and n not in self.ever_silent]

    def teardown(self) -> None:
        """With all faults gone, drivers run until nothing changes any more; then the auditor judges all of it."""
        if hasattr(self, "world"):
            self._mend()
            for me in (*OBSERVERS, *OBSERVERS):
                self.world.clock.sleep(90)
                self._runs(me)
            assert self.world.audited == []

    def _mend(self) -> None:
        self.world.no_more_crashes()
        self.world.nova.heal()
        for bmc in self.world.bmcs.values():
            bmc.readings, bmc.away, bmc.obeys, bmc.loses_answer = [], False, True, False
        operator.resume(self.world.store)
        self.the_lost_ha_node_returns()
        self.world.mend()


RecoveryUnderFaults.TestCase.settings = settings(
    max_examples=ORDERS,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.mark.fault(38)
class TestRecoveryUnderFaults(RecoveryUnderFaults.TestCase):
    """The machine as a test."""
