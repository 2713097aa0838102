"""`nova-ha config` and `nova-ha ha-node`: the policy as a whole stays sound."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kit.fakes.observers import a_report, publish
from kit.fakes.typing_operator import Operator
from kit.fakes.world import World
from nova_ha import __version__
from nova_ha.cluster.policy import OPTIONS
from nova_ha.cluster.schema import RESERVE_REASON, WAKE
from nova_ha.probe.observation import Report


def test_list_shows_every_option_with_value_default_and_meaning(nova_ha: Operator) -> None:
    nova_ha.well("config", "set", "recovery/limit", "4")
    rows = {row["option"]: row for row in nova_ha.well("config", "list", "--json").values}
    assert set(rows) == set(OPTIONS)
    assert (rows["recovery/limit"]["value"], rows["recovery/limit"]["default"]) == ("4", "2")
    assert "recovery/limit           4" in nova_ha.well("config", "list").out


def test_get_prints_the_value_alone(nova_ha: Operator) -> None:
    assert nova_ha.well("config", "get", "session/ttl").out == "15\n"
    assert nova_ha("config", "get", "session/tlt").code == 2


def test_an_option_can_go_back_to_its_default(nova_ha: Operator, world: World) -> None:
    nova_ha.well("config", "set", "recovery/limit", "4")
    nova_ha.well("config", "set", "recovery/limit", "--default")
    assert world.store.value("ha_cluster/config/recovery/limit") is None


def test_setting_an_option_wakes_the_recovery(nova_ha: Operator, world: World) -> None:
    nova_ha.well("config", "set", "recovery/limit", "4")
    assert world.store.value(WAKE)


@pytest.mark.parametrize(
    ("option", "value", "what"),
    [
        ("recovery/lmit", "4", "is not an option; known: monitor/fail_threshold"),
        ("", "4", "is not an option"),
        ("recovery/limit", "many", "is 'many', expected a whole number from 1 to 100"),
        ("monitor/quorum", "1", "one of them alone could fence"),
        ("monitor/quorum", "4", "only 3 HA nodes are registered"),
        ("session/lock_delay", "10", "at least 20"),
    ],
)
def test_a_bad_or_dangerous_value_is_refused_with_its_key(
    nova_ha: Operator, world: World, option: str, value: str, what: str
) -> None:
    ran = nova_ha("config", "set", option, value)
    assert (ran.code, ran.out) == (2, "")
    assert f"ha_cluster/config/{option}" in ran.err
    assert what in ran.err
    assert not world.store.commits


def test_a_bad_option_does_not_hinder_the_mending_of_another(nova_ha: Operator, world: World) -> None:
    world.store.put("ha_cluster/config/monitor/quorum", "lots")
    world.store.put("ha_cluster/config/recovery/limit", "many")
    nova_ha.well("config", "set", "recovery/limit", "3")
    nova_ha.well("config", "set", "monitor/quorum", "majority")
    assert nova_ha.well("config", "check").out == "no mistake found\n"


def test_set_needs_a_value_or_default(nova_ha: Operator) -> None:
    assert nova_ha("config", "set", "recovery/limit").code == 2
    assert nova_ha("config", "set", "recovery/limit", "3", "--default").code == 2


def test_check_prints_all_mistakes_each_with_what_mends_it_and_exits_with_1(nova_ha: Operator, world: World) -> None:
    world.store.put("ha_cluster/config/monitor/quorum", "lots")
    world.store.put("ha_cluster/config/no/such", "1")
    world.store.put("ha_cluster/compute_nodes/c1/config/bmc/port", "99999")
    world.store.put("ha_cluster/incidents/open/c2", "{")
    ran = nova_ha("config", "check")
    assert ran.code == 1
    lines = ran.out.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("ha_cluster/config/monitor/quorum is 'lots'")
    assert all("`" in line for line in lines)
    assert len(nova_ha("config", "check", "--json").values) == 4


def test_an_ha_node_is_registered_with_in_use_false(nova_ha: Operator, world: World) -> None:
    ran = nova_ha.well("ha-node", "add", "ha-4", "--nova-host", "ha-4.example.org")
    assert ran.out == "ha-4 is registered\n"
    assert world.store.value("ha_cluster/ha_nodes/ha-4/status/in_use") == "False"
    assert world.store.value("ha_cluster/ha_nodes/ha-4/config/nova_host") == "ha-4.example.org"
    assert "Consul knows no node 'ha-4' yet" in ran.err


def test_adding_an_ha_node_again_leaves_its_status(nova_ha: Operator, world: World) -> None:
    world.store.put("ha_cluster/ha_nodes/ha-1/status/in_use", "True")
    assert nova_ha.well("ha-node", "add", "ha-1").out == "ha-1 is changed\n"
    assert world.store.value("ha_cluster/ha_nodes/ha-1/status/in_use") == "True"


def test_two_ha_nodes_are_advised_against(capsys: pytest.CaptureFixture[str]) -> None:
    nova_ha = Operator(World(ha=1), capsys)
    assert "register a third one" in nova_ha.well("ha-node", "add", "ha-2").err


def test_an_ha_node_that_would_void_the_policy_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    nova_ha = Operator(World(ha=1), capsys)
    nova_ha.well("config", "set", "monitor/quorum", "1")
    assert "could fence" in nova_ha("ha-node", "add", "ha-2").err


@pytest.mark.parametrize("name", ["c1", "a/b"])
def test_a_compute_nodes_name_or_a_bad_one_is_refused(nova_ha: Operator, name: str) -> None:
    assert nova_ha("ha-node", "add", name).code == 2


def test_reserve_disables_the_service_with_our_reason_and_reads_it_back(nova_ha: Operator, world: World) -> None:
    assert "is reserved" in nova_ha.well("ha-node", "add", "ha-1", "--reserve").out
    service = world.nova.hosts["ha-1"]
    assert (service.enabled, service.disabled_reason) == (False, RESERVE_REASON)
    assert "is reserved already" in nova_ha.well("ha-node", "add", "ha-1", "--reserve").out


def test_reserve_does_not_overwrite_somebody_elses_reason(nova_ha: Operator, world: World) -> None:
    world.nova.disable("id-ha-1", "broken fan")
    ran = nova_ha("ha-node", "add", "ha-1", "--reserve")
    assert (ran.code, "broken fan" in ran.err) == (3, True)
    assert world.nova.hosts["ha-1"].disabled_reason == "broken fan"


def test_reserve_of_a_host_that_nova_does_not_know_says_which(nova_ha: Operator) -> None:
    ran = nova_ha("ha-node", "add", "ha-1", "--nova-host", "elsewhere", "--reserve")
    assert (ran.code, "'elsewhere'" in ran.err) == (1, True)


def test_an_ha_node_is_removed(nova_ha: Operator, world: World) -> None:
    nova_ha.well("ha-node", "remove", "ha-3")
    assert [key for key in world.store.data if "/ha-3/" in key] == []
    assert nova_ha("ha-node", "remove", "ha-3").code == 1


def test_an_ha_node_in_use_is_not_removed(nova_ha: Operator, world: World) -> None:
    world.store.put("ha_cluster/ha_nodes/ha-1/status/in_use", "True")
    assert nova_ha("ha-node", "remove", "ha-1").code == 3


def test_an_ha_node_without_which_the_quorum_cannot_be_met_is_not_removed(nova_ha: Operator) -> None:
    nova_ha.well("config", "set", "monitor/quorum", "3")
    ran = nova_ha("ha-node", "remove", "ha-1")
    assert (ran.code, "monitor/quorum" in ran.err) == (3, True)


def test_the_list_of_ha_nodes_says_who_observes(nova_ha: Operator, world: World) -> None:
    world.report(without=["ha-2"])
    rows = {row["name"]: row for row in nova_ha.well("ha-node", "list", "--json").values}
    assert (rows["ha-1"]["observes"], rows["ha-2"]["observes"]) == (True, False)
    assert "agent dead" in nova_ha.well("ha-node", "show", "ha-2").out


def reports(releases: dict[str, str], interval_s: int = 5) -> dict[str, Report]:
    seen = a_report({"c1": 0}, interval_s)
    return {name: replace(seen, release=release) for name, release in releases.items()}


@pytest.mark.fault(59)
def test_an_option_that_an_ha_nodes_release_does_not_know_is_refused_until_it_is_upgraded(
    nova_ha: Operator, world: World
) -> None:
    publish(world.store, reports({"ha-1": __version__, "ha-2": __version__, "ha-3": ""}))
    ran = nova_ha("config", "set", "nova/report_interval", "30")
    assert ran.code == 2
    assert "nova/report_interval: the release of ha-3 does not know it, and does nothing while it is set" in ran.err
    assert world.store.value("ha_cluster/config/nova/report_interval") is None
    nova_ha.well("config", "set", "recovery/limit", "4")
    nova_ha.well("config", "set", "nova/report_interval", "--default")
    publish(world.store, reports(dict.fromkeys(("ha-1", "ha-2", "ha-3"), __version__)))
    nova_ha.well("config", "set", "nova/report_interval", "30")


@pytest.mark.fault(59)
def test_an_older_ha_node_whose_agent_is_dead_counts_by_what_it_said_last(nova_ha: Operator, world: World) -> None:
    publish(world.store, reports({"ha-1": __version__, "ha-2": __version__, "ha-3": ""}), dead=["ha-3"])
    assert nova_ha("config", "set", "nova/report_interval", "30").code == 2


@pytest.mark.fault(59)
def test_of_one_that_never_reported_it_is_said_that_its_release_is_not_known(nova_ha: Operator, world: World) -> None:
    publish(world.store, reports({"ha-1": __version__, "ha-2": __version__}))
    ran = nova_ha.well("config", "set", "nova/report_interval", "30")
    assert "the release of ha-3 is not known" in ran.err


@pytest.mark.fault(54)
def test_a_threshold_that_is_too_short_for_an_observers_interval_is_refused(nova_ha: Operator, world: World) -> None:
    publish(world.store, reports(dict.fromkeys(("ha-1", "ha-2", "ha-3"), __version__), interval_s=2))
    ran = nova_ha("config", "set", "monitor/fail_threshold", "2")
    assert ran.code == 2
    assert "2 x an interval of 2 s is 4 s: a host must fail for 6 s at least: at least 3" in ran.err
    nova_ha.well("config", "set", "monitor/fail_threshold", "3")


def test_all_nodes_together_are_no_storm_limit(nova_ha: Operator) -> None:
    assert "at most 99%" in nova_ha("config", "set", "monitor/max_failed", "100%").err
    nova_ha.well("config", "set", "monitor/max_failed", "99%")
