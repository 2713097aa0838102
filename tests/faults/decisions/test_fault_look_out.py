"""The look-out beside the monitor, with a Nova as in the field: one report every 10 s, down after 60 s."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from kit.fakes.nova import FakeNova
from kit.fakes.world import INTERVAL_S, World
from kit.shown import shows
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.node import Approval, RuntimeConfig
from nova_ha.cluster.registry import remove_ha_node
from nova_ha.cluster.schema import RUNTIME_CONFIG, WITNESS, compute_node, ha_node
from nova_ha.cluster.view import ClusterView, read_view
from nova_ha.cluster.witness import Life
from nova_ha.compute import ServiceReading
from nova_ha.consul.transaction import lock
from nova_ha.consul.values import BadValue
from nova_ha.errors import ConsulError, NovaError
from nova_ha.monitor.agenda import Item, Urgency, agenda
from nova_ha.monitor.look import decide, look
from nova_ha.monitor.verdict import Hold
from nova_ha.monitor.writing import count_failures
from nova_ha.recovery.findings import hear
from nova_ha.recovery.findings import look as find
from nova_ha.recovery.heard_before import HeardBefore, take_over
from nova_ha.recovery.look_out import (
    ANSWER_LASTS_S,
    SLOW_AFTER_S,
    SLOW_PERIOD_S,
    TTL_S,
    LookOut,
)
from nova_ha.recovery.ranks import first_in_rank
from nova_ha.recovery.recover import recover
from nova_ha.recovery.silence import RETURN_S, Heard, needed_s, silence_of

SILENT_S = needed_s(10)


class Watching:
    """A cloud with a look-out on each HA node, and observers whose streaks grow."""

    def __init__(self, compute: int = 4, ha: int = 3, watching: Sequence[str] = ()) -> None:
        self.world = World(compute, ha)
        self.world.nova.down_after_s = 60.0
        self.world.nova.add("c1", 2)
        self.woken = 0
        self.told: list[tuple[str, str, str]] = []
        self.failing: set[str] = set()
        # The only observer that sees anything, or all.
        self.only_for = ""
        self.clients = {name: self.world.clients(name) for name in watching or self.world.observers}
        self.look_outs: dict[str, LookOut] = {}
        self.next_sweep_s = self.world.clock.monotonic() + INTERVAL_S

    def starts(self, name: str) -> None:
        def wake() -> None:
            self.woken += 1
            self.count()

        def tell(event: str, node: str) -> None:
            self.told.append((name, event, node))

        self.look_outs[name] = LookOut(self.clients[name], wake, tell)

    def ends(self, name: str) -> None:
        """It is killed: nobody ends its session."""
        del self.look_outs[name]
        del self.clients[name]

    def loses_ssh(self, *names: str) -> None:
        self.failing.update(names)

    def hangs(self, *names: str) -> None:
        self.failing.update(names)
        self.world.nova.silent.update(names)

    def count(self) -> None:
        """Run the handler of the monitor, which starts a look-out where somebody fails and none is at work."""
        summary = count_failures(self.world.store, self.world.clock)
        for name in self.clients if summary.failing else ():
            if name not in self.look_outs:
                self.starts(name)

    def passes(self, seconds: float) -> None:
        until = self.world.clock.monotonic() + seconds
        while self.world.clock.monotonic() < until:
            self.world.clock.sleep(1.0)
            if self.world.clock.monotonic() >= self.next_sweep_s:
                self.next_sweep_s += INTERVAL_S
                self._sweep()
            for name, one in list(self.look_outs.items()):
                if not one.turn():
                    one._end()
                    del self.look_outs[name]

    def _sweep(self) -> None:
        self.world.silent = {name: min(3, self.world.silent.get(name, 0) + 1) for name in self.failing}
        self.world.report(without=[name for name in self.world.observers if self.only_for not in ("", name)])
        self.count()

    def agenda(self) -> list[Item]:
        seen = look(self.world.store, self.world.clock)
        return list(agenda(seen, decide(seen)))

    def says(self, name: str) -> str:
        """What the timer says of the node."""
        return "; ".join(str(item) for item in self.agenda() if item.node == name)

    def failed(self, name: str = "c1") -> bool:
        return self.world.node(name).failed

    def lives(self, name: str = "c1") -> dict[str, Life]:
        """What each look-out says of the node."""
        told = {ha.name: ha.testimonies.get(name) for ha in read_view(self.world.store).ha_nodes.values()}
        return {name: one.life for name, one in told.items() if one}

    def held_by(self, name: str = "c1") -> list[Gate]:
        verdict = decide(look(self.world.store, self.world.clock))[name]
        return [closed.gate for closed in verdict.closed] if isinstance(verdict, Hold) else []  # type: ignore[misc]


@pytest.mark.fault(39)
@pytest.mark.parametrize("phase", range(20))
def test_a_healthy_host_whose_sshd_has_died_is_never_set_failed(phase: int) -> None:
    cloud = Watching()
    cloud.world.clock.sleep(phase / 2)
    cloud.loses_ssh("c1")
    cloud.passes(100)
    assert not cloud.failed()
    assert cloud.held_by() == [Gate.NOVA_REPORTS]
    assert set(cloud.lives().values()) == {Life.ALIVE}
    if phase == 0:
        seen = look(cloud.world.store, cloud.world.clock)
        [item] = agenda(seen, decide(seen))
        shows(
            39,
            "c1: fails, but is held, nova-reports: its SSH login fails, but its nova-compute reports "
            "(seen from ha-1, ha-2, ha-3 since 2030-01-01T12:00:05.000Z): look at its sshd",
            str(item),
        )


@pytest.mark.fault(43)
@pytest.mark.parametrize("phase", range(0, 30, 3))
def test_a_healthy_host_whose_own_nova_conf_reports_more_seldom_is_never_set_failed(phase: int) -> None:
    cloud = Watching(watching=["ha-1"])
    cloud.world.store.put(compute_node("c1", RUNTIME_CONFIG), RuntimeConfig("c1", report_interval_s=30).to_kv())
    cloud.world.nova.own_interval_s["c1"] = 30.0
    cloud.world.nova.reports_at["c1"] = float(phase)
    cloud.world.clock.sleep(60)
    cloud.loses_ssh("c1")
    cloud.passes(60)
    assert not cloud.failed()
    assert cloud.held_by() == [Gate.NOVA_REPORTS]


def test_a_hung_host_is_set_failed_one_silence_after_it_was_first_seen_to_fail() -> None:
    cloud = Watching()
    cloud.hangs("c1")
    cloud.passes(INTERVAL_S + SILENT_S - 2)
    assert not cloud.failed(), "before its nova-compute can be called silent"
    cloud.passes(4)
    assert cloud.failed()


def test_whoever_claims_begins_with_what_its_look_out_has_read() -> None:
    cloud = Watching()
    cloud.hangs("c1")
    while not cloud.failed():
        cloud.passes(1)
    took = {}
    for with_it in (True, False):
        took[with_it] = _seconds_until_the_power_off(cloud, with_it)
        cloud = Watching()
        cloud.hangs("c1")
        while not cloud.failed():
            cloud.passes(1)
    assert took[True] + SILENT_S - 2 < took[False], took


def _seconds_until_the_power_off(cloud: Watching, with_what_was_read: bool) -> float:
    world, began, cut = cloud.world, cloud.world.clock.monotonic(), []
    lost = world.bmcs["c1"].on_off

    def off() -> None:
        cut.append(world.clock.monotonic() - began)
        lost()

    world.bmcs["c1"].on_off = off
    world.driving.add("ha-1")
    recover(replace(world.clients("ha-1"), heard=list(cloud.clients["ha-1"].heard) * with_what_was_read), "c1")
    assert len(world.closed("c1")) == 1
    return float(cut[0])


@pytest.mark.fault(60)
def test_it_is_told_once_that_a_host_is_held_by_the_first_in_rank_alone() -> None:
    cloud = Watching()
    cloud.loses_ssh("c1")
    cloud.passes(60)
    assert cloud.told == []
    cloud.passes(120)
    seen = look(cloud.world.store, cloud.world.clock)
    first = first_in_rank(seen.view, seen.votes.alive, seen.view.compute_nodes["c1"])
    assert cloud.told == [(first, "held", "c1")]


@pytest.mark.fault(39)
def test_a_dead_host_is_set_failed_as_soon_as_its_own_agent_is_known_to_have_gone() -> None:
    """Nothing that a watch of ours sees changes then: its streak is at its cap, and Nova says nothing new."""
    never = float("inf")
    cloud = Watching()
    cloud.world.agents.add("c1")
    cloud.hangs("c1")
    cloud.passes(INTERVAL_S + SILENT_S + 2 * INTERVAL_S)
    assert cloud.held_by() == [Gate.AGENT_ALIVE]
    cloud.next_sweep_s = never
    cloud.world.agents.clear()
    cloud.world.report()
    cloud.passes(1)
    assert cloud.failed()


@pytest.mark.fault(60)
@pytest.mark.parametrize("agent", [False, True], ids=["nova-compute reports", "agent lives"])
def test_a_host_that_a_witness_holds_is_the_operators_after_a_minute(agent: bool) -> None:
    cloud = Watching()
    if agent:
        cloud.world.agents.add("c1")
        cloud.hangs("c1")
    else:
        cloud.loses_ssh("c1")
    cloud.passes(INTERVAL_S + 55)
    assert cloud.held_by() == [Gate.AGENT_ALIVE if agent else Gate.NOVA_REPORTS]
    assert [item.urgency for item in cloud.agenda()] == [Urgency.FINE]
    assert cloud.told == []
    cloud.passes(INTERVAL_S + 1)
    assert [item.urgency for item in cloud.agenda()] == [Urgency.WAITS]
    assert [(event, node) for _, event, node in cloud.told] == [("held", "c1")]


@pytest.mark.fault(58)
def test_a_look_out_that_was_killed_holds_nothing_after_its_session_has_ended() -> None:
    cloud = Watching(ha=3)
    cloud.loses_ssh("c1")
    cloud.passes(40)
    assert not cloud.failed()
    for name in list(cloud.clients):
        cloud.ends(name)
    cloud.passes(2 * TTL_S + INTERVAL_S + 1)
    assert cloud.lives() == {}
    assert cloud.failed()


@pytest.mark.fault(58)
def test_one_that_has_lost_nova_holds_nothing_and_goes_on_with_it() -> None:
    cloud = Watching()
    cloud.loses_ssh("c1")
    cloud.passes(40)
    read = cloud.world.nova.services

    def away(about: str = "") -> Sequence[ServiceReading]:
        raise NovaError("Nova does not answer")

    cloud.world.nova.services = away  # type: ignore[method-assign]
    cloud.passes(60)
    assert cloud.lives() == {}
    cloud.world.nova.services = read  # type: ignore[method-assign]


@pytest.mark.fault(43)
def test_where_all_nova_computes_fall_silent_nobody_is_called_silent() -> None:
    cloud = Watching()
    cloud.loses_ssh("c1")
    cloud.world.nova.silent.update([*cloud.world.names, *cloud.world.observers])
    cloud.passes(50)
    assert set(cloud.lives().values()) == {Life.LOOKING}
    assert not cloud.failed()
    why = "6 of 6 others are silent too: message bus, database, or nova/report_interval is wrong; silent: c2, c3"
    assert f"is still looking whether its nova-compute reports: {why}" in cloud.says("c1")
    cloud.world.nova.silent.clear()
    cloud.passes(5)
    assert why not in cloud.says("c1")


@pytest.mark.fault(39)
def test_a_nova_compute_that_was_restarted_beside_a_dead_sshd_is_no_dead_host() -> None:
    cloud = Watching()
    cloud.loses_ssh("c1")
    cloud.passes(40)
    cloud.world.nova.silent.add("c1")
    cloud.passes(45)
    assert not cloud.failed(), "it has reported since its sshd died, and Nova does not call it down yet"
    cloud.world.nova.silent.discard("c1")
    cloud.passes(60)
    assert not cloud.failed()


def test_one_that_reported_and_then_died_is_set_failed_once_nova_calls_it_down() -> None:
    cloud = Watching()
    cloud.loses_ssh("c1")
    cloud.passes(40)
    cloud.world.nova.silent.add("c1")
    # A host that is held for long is looked at less often until Nova calls it down.
    cloud.passes(60 + SLOW_PERIOD_S + SILENT_S + 2 * INTERVAL_S)
    assert cloud.failed()


@pytest.mark.fault(60)
def test_an_approval_lets_the_held_host_pass() -> None:
    cloud = Watching()
    cloud.loses_ssh("c1")
    cloud.passes(40)
    until = cloud.world.clock.now().replace(year=2100)
    cloud.world.store.put(
        compute_node("c1", "config/approval"), Approval("alice", "", until, (Gate.NOVA_REPORTS,)).to_kv()
    )
    cloud.passes(INTERVAL_S + 1)
    assert cloud.failed()


def test_the_policy_may_ignore_the_witnesses() -> None:
    cloud = Watching()
    cloud.world.store.put("ha_cluster/config/monitor/witness", "ignore")
    cloud.loses_ssh("c1")
    cloud.passes(3 * INTERVAL_S + 1)
    assert cloud.failed()


def test_one_that_finds_the_threshold_reached_has_nothing_to_hold() -> None:
    cloud = Watching(watching=["ha-1"])
    cloud.hangs("c1")
    cloud.clients.clear()
    cloud.passes(2 * INTERVAL_S + 1)
    cloud.world.store.put(compute_node("c1", "internal/number_fails"), "3")
    cloud.clients["ha-1"] = cloud.world.clients("ha-1")
    cloud.starts("ha-1")
    cloud.passes(INTERVAL_S)
    assert cloud.lives() in ({"ha-1": Life.LOOKING}, {})
    assert cloud.failed()


@pytest.mark.fault(58)
@pytest.mark.parametrize("value", ["", "{}", "[]", '{"version": 1, "nodes": {"c1": {"life": "dead"}}}', "\x00"])
def test_a_record_that_cannot_be_read_says_nothing_and_takes_no_ha_node_out(value: str) -> None:
    cloud = Watching()
    session = cloud.world.store.create_session("somebody", 15, 0)
    cloud.world.store.commit([lock(ha_node("ha-1", WITNESS), session, value.encode())])
    view = read_view(cloud.world.store)
    assert view.ha_nodes["ha-1"].testimonies == {}
    assert view.problems_of("ha-1") == ()


@pytest.mark.fault(58)
def test_a_record_without_a_session_says_nothing() -> None:
    cloud = Watching(watching=["ha-1"])
    cloud.loses_ssh("c1")
    cloud.passes(40)
    kept = cloud.world.store.value(ha_node("ha-1", WITNESS))
    cloud.ends("ha-1")
    cloud.passes(2 * TTL_S + 2)
    cloud.world.store.put(ha_node("ha-1", WITNESS), kept or "")
    assert cloud.lives() == {}


@pytest.mark.fault(58)
def test_an_ha_node_that_was_removed_is_not_registered_by_what_its_look_out_says() -> None:
    cloud = Watching()
    cloud.loses_ssh("c1")
    cloud.passes(20)
    remove_ha_node(cloud.world.store, "ha-3")
    cloud.look_outs["ha-3"]._written = {}
    session = cloud.world.store.create_session("somebody", 15, 0)
    cloud.world.store.commit([lock(ha_node("ha-3", WITNESS), session, b"{}")])
    assert set(read_view(cloud.world.store).ha_nodes) == {"ha-1", "ha-2"}
    assert not cloud.look_outs["ha-3"].turn()


@pytest.mark.fault(58)
@pytest.mark.parametrize("host", ["c1", "C1", "c1.example.org"])
def test_no_ha_node_speaks_about_its_own_host(host: str) -> None:
    cloud = Watching(watching=["ha-1"])
    cloud.world.store.put(ha_node("ha-1", "config/nova_host"), host)
    cloud.loses_ssh("c1")
    cloud.passes(30)
    assert cloud.lives() == {}


def test_what_was_read_is_found_again_in_this_boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOVA_HA_RUN", str(tmp_path / "run"))
    cloud = Watching(watching=["ha-1"])
    cloud.hangs("c1")
    cloud.passes(20)
    heard = cloud.clients["ha-1"].heard[::2]
    agent, failing = "ha-1 http://127.0.0.1:8500", cloud.clients["ha-1"].failing_since
    assert set(failing) == {"c1"}
    kept = HeardBefore(agent)
    kept.keep(heard[:-2], {})
    kept.keep(heard, failing)
    found = cloud.world.clients("ha-1")
    take_over(agent, found)
    assert [(one.asked_s, list(one.services)) for one in found.heard] == [
        (one.asked_s, list(one.services)) for one in [*heard[:-2], heard[-1]]
    ]
    assert found.failing_since == failing
    monkeypatch.setattr("nova_ha.recovery.heard_before._boot", lambda: "another")
    later = cloud.world.clients("ha-1")
    take_over(agent, later)
    assert (later.heard, later.failing_since) == ([], {})


@pytest.mark.parametrize("writer_begins_anew", [False, True])
def test_whoever_goes_on_looks_back_as_far_as_whether_others_return_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer_begins_anew: bool
) -> None:
    """Whenever it begins: a file that is written anew begins with what is still asked for."""
    monkeypatch.setenv("NOVA_HA_RUN", str(tmp_path / "run"))
    cloud = Watching(watching=["ha-1"])
    cloud.loses_ssh("c1")
    # Over an outage of the bus it looks every second, for as long as that lasts.
    cloud.world.nova.silent.update([*cloud.world.names, *cloud.world.observers])
    kept = HeardBefore("ha-1")
    for _ in range(8):
        for _ in range(45):
            cloud.passes(1)
            kept.keep(cloud.clients["ha-1"].heard, {})
        if writer_begins_anew:
            kept = HeardBefore("ha-1")
            kept.keep(cloud.clients["ha-1"].heard, {})
        found = cloud.world.clients("ha-1")
        take_over("ha-1", found)
        assert seconds_of(found.heard) >= min(RETURN_S + 3 * SILENT_S, seconds_of(cloud.clients["ha-1"].heard) - 2)


def seconds_of(heard: Sequence[Heard]) -> float:
    return heard[-1].answered_s - heard[0].answered_s


def test_a_witness_record_needs_its_fields() -> None:
    from nova_ha.cluster.witness import testimonies_from

    row = '{"life": "alive", "number_fails": %s, "since": "2030-01-01T00:00:00.000Z", "why": %s}'
    for number, why in (("true", '""'), ("1", "[]")):
        with pytest.raises(BadValue):
            testimonies_from(b'{"version": 1, "nodes": {"c1": %s}}' % (row % (number, why)).encode())


# --- found by fresh eyes


@pytest.mark.fault(58)
def test_a_host_of_which_nova_knows_nothing_is_set_failed_as_if_there_were_no_look_out() -> None:
    cloud = Watching()
    del cloud.world.nova.hosts["c1"]
    cloud.hangs("c1")
    cloud.passes(3 * INTERVAL_S + 1)
    assert cloud.failed()


@pytest.mark.fault(58)
def test_one_that_is_looked_at_in_vain_for_a_minute_is_the_operators() -> None:
    cloud = Watching()
    cloud.loses_ssh("c1")
    cloud.world.nova.silent.update([*cloud.world.names, *cloud.world.observers])
    cloud.passes(50)
    assert [item.urgency for item in cloud.agenda()] == [Urgency.FINE]
    cloud.passes(50)
    assert [item.urgency for item in cloud.agenda()] == [Urgency.WAITS]
    assert [(event, node) for _, event, node in cloud.told] == [("held", "c1")]


@pytest.mark.fault(58)
def test_consul_that_is_away_for_a_while_ends_no_look_out() -> None:
    cloud = Watching(watching=["ha-1"])
    cloud.loses_ssh("c1")
    cloud.passes(40)
    one, clients = cloud.look_outs["ha-1"], cloud.clients["ha-1"]
    turns = []

    def turn() -> bool:
        turns.append(cloud.world.clock.monotonic())
        if len(turns) > 5:
            return False
        raise ConsulError("Consul has no leader")

    one.turn = turn  # type: ignore[method-assign]
    one.run()
    assert len(turns) == 6
    assert clients.clock.monotonic() > turns[0]


@pytest.mark.fault(60)
def test_whoever_is_told_one_after_the_other_keeps_the_record_alive() -> None:
    cloud = Watching(compute=20, ha=1)
    slow = cloud.world.clock.sleep
    for name in cloud.clients:
        cloud.starts(name)
        cloud.look_outs[name]._tell = lambda event, node: slow(10.0)  # type: ignore[assignment,method-assign]
    cloud.loses_ssh("c1", "c2", "c3")
    cloud.passes(140)
    assert not any(cloud.failed(name) for name in ("c1", "c2", "c3"))


@pytest.mark.fault(58)
def test_what_it_reported_while_a_single_observer_saw_it_fail_delays_nothing() -> None:
    cloud = Watching()
    cloud.world.store.put("ha_cluster/config/monitor/quorum", "3")
    cloud.only_for = "ha-1"
    cloud.loses_ssh("c1")
    cloud.passes(100)
    cloud.only_for = ""
    cloud.hangs("c1")
    cloud.passes(3 * INTERVAL_S + SILENT_S + 4)
    assert cloud.failed()


@pytest.mark.fault(43)
def test_what_others_reported_long_ago_does_not_make_one_silent() -> None:
    cloud = Watching(watching=["ha-1"])
    heard = cloud.clients["ha-1"].heard
    hear(cloud.clients["ha-1"])
    cloud.passes(20)
    everybody = [*cloud.world.names, *cloud.world.observers]
    cloud.world.nova.silent.update(everybody)
    cloud.passes(30)
    hear(cloud.clients["ha-1"])
    found = silence_of(heard, "c1", {"c1"}, 10, set(everybody))
    assert found is not None
    assert found.missing_s > 0


@pytest.mark.fault(24)
@pytest.mark.fault(57)
def test_a_failed_host_that_has_left_is_not_counted_anew() -> None:
    cloud = Watching()
    cloud.world.store.put(compute_node("c1", "status/failed"), "True")
    cloud.world.store.put(compute_node("c1", "internal/left"), "True")
    cloud.hangs("c1")
    cloud.passes(3 * INTERVAL_S + 1)
    assert cloud.world.node("c1").number_fails == 0


@pytest.mark.fault(57)
def test_a_moment_of_failing_does_not_take_an_approval_from_a_failed_host() -> None:
    cloud = Watching()
    cloud.world.store.put(compute_node("c1", "status/failed"), "True")
    cloud.world.store.put(compute_node("c1", "internal/number_fails"), "1")
    until = cloud.world.clock.now().replace(year=2100)
    cloud.world.store.put(compute_node("c1", "config/approval"), Approval("al", "", until, (Gate.ANSWERS,)).to_kv())
    cloud.world.report()
    cloud.count()
    node = cloud.world.node("c1")
    assert (node.number_fails, node.approval is not None) == (0, True)


@pytest.mark.fault(39)
def test_that_it_is_looking_is_said_before_nova_has_answered() -> None:
    cloud = Watching(watching=["ha-1"])
    cloud.loses_ssh("c1")

    def away(about: str = "") -> Sequence[ServiceReading]:
        raise NovaError("Nova does not answer yet")

    cloud.world.nova.services = away  # type: ignore[method-assign]
    cloud.passes(INTERVAL_S + 1)
    assert cloud.lives() == {"ha-1": Life.LOOKING}


@pytest.mark.fault(62)
def test_a_network_that_broke_fences_nobody_while_nova_computes_restart_one_by_one() -> None:
    """A witness that holds most of them makes no room for the one that is silent for a while."""
    cloud = Watching(compute=60, watching=["ha-1"])
    world = cloud.world
    lost = world.names[:50]
    cloud.loses_ssh(*lost)
    cloud.passes(40)
    for name in lost[:3]:
        world.nova.silent.add(name)
        cloud.passes(60 + 2 * SILENT_S + 3 * INTERVAL_S)
        assert cloud.lives(name) == {"ha-1": Life.SILENT}
        if name == "c1":
            shows(62, "c1: fails, but is held, max-failed: 50 compute nodes count, at most 12 may", cloud.says(name))
        world.nova.silent.discard(name)
        cloud.passes(20)
    world.recover("ha-1")
    assert not any(cloud.failed(name) or world.bmcs[name].commands for name in world.names)


# --- held for long


def held_for_long(**clouds: int) -> tuple[Watching, str, dict[str, int]]:
    """c1 is held for some minutes; with the first in rank, and how often each look-out asks Nova from now on."""
    cloud = Watching(**clouds)
    cloud.loses_ssh("c1")
    cloud.passes(SLOW_AFTER_S + 40)
    seen = look(cloud.world.store, cloud.world.clock)
    first = first_in_rank(seen.view, seen.votes.alive, seen.view.compute_nodes["c1"])
    assert first
    asked = dict.fromkeys(cloud.clients, 0)
    for name, clients in cloud.clients.items():
        clients.compute = _counted(asked, name, cloud)
    return cloud, first, asked


def _counted(asked: dict[str, int], name: str, cloud: Watching) -> Callable[[], FakeNova]:
    def compute() -> FakeNova:
        asked[name] += 1
        return cloud.world.nova

    return compute


@pytest.mark.fault(60)
def test_for_a_host_that_is_held_for_long_the_first_in_rank_alone_asks_nova_and_all_hold_it_over_days() -> None:
    cloud, first, asked = held_for_long()
    cloud.passes(600)
    assert asked == {name: 600 // SLOW_PERIOD_S if name == first else 0 for name in cloud.clients}
    others = dict.fromkeys(set(cloud.clients) - {first}, Life.LOOKING)
    assert cloud.lives() == {first: Life.ALIVE, **others}
    assert not cloud.failed()


@pytest.mark.fault(58)
def test_where_the_first_in_rank_dies_the_next_asks_nova_and_nothing_lets_the_host_fail_meanwhile() -> None:
    cloud, first, asked = held_for_long()
    session = cloud.look_outs[first]._session
    assert session
    cloud.ends(first)
    cloud.world.observers.remove(first)
    cloud.world.store.expire_session(session)
    cloud.count()
    assert not cloud.failed()
    cloud.passes(60)
    assert not cloud.failed()
    seen = look(cloud.world.store, cloud.world.clock)
    following = first_in_rank(seen.view, seen.votes.alive, seen.view.compute_nodes["c1"])
    assert following not in (None, first)
    assert cloud.lives()[str(following)] is Life.ALIVE
    assert asked[str(following)] > 0


@pytest.mark.fault(60)
def test_one_that_rests_does_not_speak_against_the_first_in_rank_once_that_sees_the_host_silent() -> None:
    cloud, _, _ = held_for_long()
    cloud.world.nova.silent.add("c1")
    cloud.passes(60 + SLOW_PERIOD_S + SILENT_S + 2 * INTERVAL_S)
    assert cloud.failed()


@pytest.mark.fault(58)
def test_where_nova_goes_away_those_that_rest_hold_nothing_either() -> None:
    cloud, _, _ = held_for_long()

    def away(about: str = "") -> Sequence[ServiceReading]:
        raise NovaError("Nova does not answer")

    cloud.world.nova.services = away  # type: ignore[method-assign]
    cloud.passes(SLOW_PERIOD_S + 2 * ANSWER_LASTS_S + 4 * TTL_S)
    assert cloud.lives() == {}


@pytest.mark.fault(58)
def test_two_that_each_take_the_other_for_the_first_in_rank_do_not_both_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud, _, asked = held_for_long(ha=2)
    ranks = {"ha-1": "ha-2", "ha-2": "ha-1"}
    for name, one in cloud.look_outs.items():

        def first_speaks(view: ClusterView, votes: object, node: str, of: str = ranks[name]) -> bool:
            said = view.ha_nodes[of].testimonies.get(node)
            return said is not None and said.life is not Life.LOOKING

        monkeypatch.setattr(one, "_first_speaks_of", first_speaks)
    cloud.passes(60)
    assert not cloud.failed()
    cloud.world.nova.silent.add("c1")
    cloud.passes(60 + SLOW_PERIOD_S + 2 * SILENT_S + 4 * INTERVAL_S)
    assert cloud.failed()
    assert sum(asked.values()) > 0


# --- reported since, in the last look


@pytest.mark.fault(39)
def test_the_last_look_judges_a_host_that_has_reported_as_the_look_out_of_its_ha_node_does() -> None:
    """It was set failed by hand, and an operator stops the nova-compute of the host that he is mending."""
    cloud = Watching()
    cloud.loses_ssh("c1")
    cloud.passes(6 * INTERVAL_S)
    cloud.world.nova.silent.add("c1")
    cloud.passes(SILENT_S + INTERVAL_S)
    cloud.world.store.put(compute_node("c1", "status/failed"), "True")
    clients = cloud.clients["ha-1"]
    cloud.world.driving.add("ha-1")
    result = recover(clients, "c1")
    assert (result.outcome, cloud.world.bmcs["c1"].commands) == ("needs-operator", [])  # type: ignore[union-attr]
    assert "nova-reports: its nova-compute still reports" in result.words  # type: ignore[union-attr]


@pytest.mark.fault(39)
def test_a_driver_that_has_seen_it_report_since_it_failed_waits_until_nova_calls_it_down() -> None:
    cloud = Watching()
    world, clients = cloud.world, cloud.world.clients("ha-1")
    cloud.clients.clear()
    cloud.loses_ssh("c1")
    cloud.passes(3 * INTERVAL_S + 1)
    assert cloud.failed()
    for _ in range(2):
        find(clients, world.node("c1"))
        world.clock.sleep(11)
    world.nova.silent.add("c1")
    world.clock.sleep(SILENT_S + 1)
    world.driving.add("ha-1")
    assert recover(clients, "c1").gate is None  # type: ignore[union-attr]
    assert (world.bmcs["c1"].commands, world.incident("c1") is not None) == ([], True)
    world.clock.sleep(60)
    world.report()
    assert recover(clients, "c1").outcome == "finished"  # type: ignore[union-attr]
