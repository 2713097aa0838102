"""`nova-ha status` says how every node stands, and names the command that helps."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from kit.fakes.observers import a_report, publish, some_votes
from kit.fakes.typing_operator import Operator
from kit.fakes.world import World
from nova_ha.cli.commands import status
from nova_ha.cli.output import span, table_lines
from nova_ha.cli.overview import look
from nova_ha.cli.views.standing import Condition, Standing, standings
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.schema import BMC_CHECK, compute_node
from nova_ha.cluster.view import read_view
from nova_ha.probe.observation import Failing, NoData, Report
from nova_ha.probe.votes import Votes
from rich.console import Console


def standing(world: World, name: str) -> Standing:
    seen = look(world.store, world.clock.now())
    return next(found for found in standings(seen.view, seen.votes, seen.at) if found.node == name)


def test_a_cluster_in_which_all_is_well_says_so(nova_ha: Operator) -> None:
    ran = nova_ha.well("status")
    assert "4 compute nodes: 4 well" in ran.out
    assert ran.out.count(" well ") == 4
    assert "ha-2" in ran.out


def test_a_node_that_fails_shows_its_count_and_who_sees_it(world: World) -> None:
    world.hang("c2", streak=2, failed=False)
    world.store.put(compute_node("c2", "internal/number_fails"), "2")
    found = standing(world, "c2")
    assert found.condition is Condition.FAILING
    assert found.words == "2 of 3 failed intervals: ha-1 2x timed out, ha-2 2x timed out, ha-3 2x timed out"


def test_a_node_that_the_storm_guard_holds_shows_it_and_what_helps(world: World) -> None:
    for name in ("c1", "c2", "c3"):
        world.hang(name, streak=3, failed=False)
        world.store.put(compute_node(name, "internal/number_fails"), "3")
    found = standing(world, "c2")
    assert found.condition is Condition.FAILING
    assert found.words.startswith("3 of 3 failed intervals, not set failed by max-failed: 3 compute nodes count")
    assert "`nova-ha approve c2`" in found.remedy


def test_a_node_in_maintenance_shows_until_when_and_by_whom(nova_ha: Operator, world: World) -> None:
    nova_ha.well("node", "maintenance", "c1", "--for", "2h", "--by", "ann", "--why", "new disks")
    found = standing(world, "c1")
    assert found.condition is Condition.MAINTENANCE
    assert "by ann: new disks" in found.words


def test_a_node_that_waits_for_the_operator_has_the_command_beside_it(nova_ha: Operator, world: World) -> None:
    world.hang("c1")
    world.revive("c1")
    world.recover()
    found = standing(world, "c1")
    assert found.condition is Condition.NEEDS_OPERATOR
    assert "nova-ha approve c1 --gate answers" in found.remedy
    assert found.remedy in nova_ha.well("status").out


def test_a_withdrawn_incident_is_ended_by_reset(world: World) -> None:
    world.hang("c1")
    world.revive("c1")
    world.recover()
    world.store.put(compute_node("c1", "status/failed"), "False")
    found = standing(world, "c1")
    assert (found.condition, found.remedy) == (Condition.NEEDS_OPERATOR, "`nova-ha node reset c1` ends the incident")


def test_a_recovered_node_is_to_be_reset_once_repaired(world: World) -> None:
    world.hang("c1")
    world.recover()
    found = standing(world, "c1")
    assert found.condition is Condition.RECOVERED
    assert "nova-ha node reset c1" in found.remedy


def test_a_malformed_key_is_named_with_what_mends_it_and_the_others_go_on(nova_ha: Operator, world: World) -> None:
    world.store.put(compute_node("c3", "config/bmc/port"), "99999")
    found = standing(world, "c3")
    assert found.condition is Condition.UNREADABLE
    assert "ha_cluster/compute_nodes/c3/config/bmc/port is '99999'" in found.words
    assert found.remedy == "`nova-ha node set c3 --bmc-port PORT`"
    assert "3 well, 1 unreadable" in nova_ha.well("status").out


def test_without_a_quorum_nobody_is_called_well(world: World) -> None:
    world.report(without=["ha-1", "ha-2"])
    found = standing(world, "c1")
    assert found.condition is Condition.UNKNOWN
    assert "no quorum of 2" in found.words
    assert "agent dead" in found.words


def test_who_looks_and_cannot_tell_is_no_reason_to_mend_the_observers(world: World) -> None:
    view = read_view(world.store)
    refused = some_votes({"c1": [None, None, 0]})
    [found] = [s for s in standings(view, refused, world.clock.now()) if s.node == "c1"]
    assert found.remedy == "`nova-ha check ssh c1` shows it; mend it with `nova-ha node set c1`"
    away = Votes(dict.fromkeys(view.ha_nodes, NoData("agent dead")))
    [found] = [s for s in standings(view, away, world.clock.now()) if s.node == "c1"]
    assert "agents of the HA nodes" in found.remedy


def test_a_pause_and_a_bad_policy_are_headlines(nova_ha: Operator, world: World) -> None:
    nova_ha.well("pause", "--by", "bob", "--why", "switch is replaced")
    world.store.put("ha_cluster/config/monitor/quorum", "lots")
    shown = nova_ha.well("status").out
    assert "PAUSED by bob" in shown
    assert "`nova-ha resume`" in shown
    assert "`nova-ha config set monitor/quorum VALUE`" in shown


def test_a_well_node_that_could_not_be_fenced_says_why_and_who_says_so(nova_ha: Operator, world: World) -> None:
    report = Report("bmc", 60, 4, 1.0, "boot", {"c2": Failing(5, "cannot be fenced: login refused")})
    world.report(without=["ha-2"])
    for row in world.store.answers["/v1/health/service/nova-ha"]:
        row["Checks"].append({"CheckID": BMC_CHECK, "Status": "warning", "Output": report.to_output()})
    shown = nova_ha.well("status").out
    assert "cannot be fenced: login refused (ha-1), login refused (ha-3)" in shown
    assert 'nova_ha_node_unfenceable{node="c2"} 2' in nova_ha.well("metrics").out


def test_a_reservation_of_an_ha_node_by_hand_is_shown(nova_ha: Operator, world: World) -> None:
    world.store.put("ha_cluster/ha_nodes/ha-2/status/in_use", "True")
    assert "reserved by hand" in nova_ha.well("status").out


def test_json_has_the_same_for_programs(nova_ha: Operator, world: World) -> None:
    world.hang("c1")
    world.revive("c1")
    world.recover()
    nodes = {node["name"]: node for node in nova_ha.well("status", "--json").values["compute_nodes"]}
    assert nodes["c2"]["state"] == "well"
    assert nodes["c1"]["state"] == "needs-operator"
    assert nodes["c1"]["incident"]["gate"] == Gate.ANSWERS.value
    assert nodes["c1"]["streaks"] == {"ha-1": 0, "ha-2": 0, "ha-3": 0}


def test_the_most_urgent_node_comes_first(nova_ha: Operator, world: World) -> None:
    world.store.put(compute_node("c4", "status/failed"), "perhaps")
    rows = [line.split()[0] for line in nova_ha.well("status").out.splitlines() if line.startswith("c")]
    assert rows == ["c4", "c1", "c2", "c3"]


def test_a_watch_in_a_pipe_prints_a_line_for_each_change(nova_ha: Operator, world: World) -> None:
    def happen() -> None:
        seconds.append(1)
        if len(seconds) == 2:
            world.store.put(compute_node("c1", "status/failed"), "perhaps")
        if len(seconds) == 4:
            raise KeyboardInterrupt

    seconds: list[int] = []
    world.clock.meanwhile.append(happen)
    ran = nova_ha("status", "--watch")
    assert ran.code == 130
    assert len([line for line in ran.out.splitlines() if " c2 well" in line]) == 1
    assert len([line for line in ran.out.splitlines() if " c1 unreadable" in line]) == 1


def test_a_watch_outlives_an_outage_of_consul(nova_ha: Operator, world: World) -> None:
    def happen() -> None:
        seconds.append(1)
        world.store.silent = len(seconds) == 1
        if len(seconds) == 3:
            raise KeyboardInterrupt

    seconds: list[int] = []
    world.clock.meanwhile.append(happen)
    ran = nova_ha("status", "--watch")
    assert ran.code == 130
    assert "no Consul agent answers" in ran.out
    assert ran.out.count(" c1 well") == 2


def test_watch_and_json_exclude_each_other(nova_ha: Operator) -> None:
    assert nova_ha("status", "--watch", "--json").code == 2


def test_control_characters_in_a_key_cannot_reach_the_terminal() -> None:
    assert table_lines(["a"], [["x\x1b[2Jy\n"]])[1] == "x [2Jy"


@pytest.mark.parametrize(
    ("seconds", "words"), [(-3, "0 s"), (1.4, "1 s"), (119, "119 s"), (150, "2 min"), (7300, "2 h"), (200000, "2 d")]
)
def test_spans_have_one_unit(seconds: float, words: str) -> None:
    assert span(seconds) == words


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_narrow_terminal_still_says_what_helps_and_who_observes(
    nova_ha: Operator, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setattr(status, "_console", lambda: Console(file=screen, width=40, color_system=None))
    world.store.put(compute_node("c1", "status/failed"), "maybe")
    nova_ha.well("status")
    shown = "".join(screen.getvalue().split())
    assert "`consulkvput" in shown
    assert "ha-1" in shown


@pytest.mark.fault(59)
def test_status_says_that_the_releases_are_mixed_until_the_last_ha_node_is_upgraded(
    nova_ha: Operator, world: World
) -> None:
    seen = a_report({"c1": 0})
    old = replace(seen, release="")
    publish(world.store, {"ha-1": seen, "ha-2": old, "ha-3": old})
    said = f"MIXED RELEASES {seen.release}: ha-1; an older release: ha-2, ha-3"
    assert said in nova_ha.well("status").out
    assert nova_ha.well("status", "--json").values["mixed"] is True
    publish(world.store, dict.fromkeys(("ha-1", "ha-2", "ha-3"), seen))
    assert "MIXED" not in nova_ha.well("status").out
    assert [node["release"] for node in nova_ha.well("status", "--json").values["ha_nodes"]] == [seen.release] * 3
