"""Faults 3 to 5, 22 and 23: what single observers see, what no observer can tell, and hosts that come and go."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.clouds.observed_cloud import THRESHOLD, ObservedCloud
from kit.shown import shows
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.schema import compute_node
from nova_ha.probe.observation import Report

# What Consul has for a check of ours that cannot run, cannot be started, is ended, or says what is no report.
BROKEN = {
    "usage": "UNKNOWN wrong usage: No such option: --bogus\n",
    "rc-2-usage": "Usage: nova-ha-check-ssh [OPTIONS] [NODES]...\nError: No such option: --bogus\n",
    "rc-127": "sh: 1: nova-ha-check-ssh: not found\n",
    "not-found": 'exec: "nova-ha-check-ssh": executable file not found in $PATH',
    "killed": "Timed out (8s) running check",
    "crash": "Traceback (most recent call last):\n  ...\nModuleNotFoundError: No module named 'asyncssh'\n",
    "another-check": "OK 4 of 4 well",
    "critical-by-hand": "CRITICAL everything is down\n{}\n",
    "nothing": "",
}


@pytest.mark.fault(3)
def test_a_hung_host_is_failed_by_the_votes_of_a_quorum_and_by_no_less(cloud: ObservedCloud) -> None:
    cloud.unseen = {"ha-1": {"c1"}}
    cloud.intervals(20)
    assert not cloud.failed("c1")
    cloud.unseen["ha-2"] = {"c1"}
    cloud.intervals(THRESHOLD - 1)
    shows(3, "2 of 3 failed intervals: ha-1 3x timed out, ha-2 2x timed out, ha-3 well", cloud.printed())
    assert not cloud.failed("c1")
    cloud.intervals()
    assert cloud.failed("c1")


@pytest.mark.fault(3)
def test_a_hung_host_that_answers_ping_is_fenced_and_recovered(cloud: ObservedCloud) -> None:
    cloud.fails("c1")
    cloud.turns()
    cloud.assert_recovered("c1")


@pytest.mark.fault(4)
@pytest.mark.parametrize("lost", [["c1"], ["c1", "c2"], ["c1", "c2", "c3", "c4"]])
def test_an_observer_that_lost_its_network_sees_hosts_fail_and_nothing_is_done(
    cloud: ObservedCloud, lost: list[str]
) -> None:
    """Also where they are few enough for the storm guard."""
    cloud.unseen = {"ha-1": set(lost)}
    cloud.intervals(10)
    cloud.turns(2)
    cloud.assert_untouched(*cloud.names)
    assert not any(cloud.failed(name) for name in cloud.names)
    shows(4, "ha-1 3x timed out, ha-2 well, ha-3 well", cloud.printed())


@pytest.mark.fault(4)
def test_the_last_words_of_observers_whose_agents_died_are_no_votes(cloud: ObservedCloud) -> None:
    cloud.unseen = {"ha-1": {"c1"}, "ha-2": {"c1"}}
    cloud.intervals(THRESHOLD - 1)
    cloud.dead = {"ha-1", "ha-2"}
    for name in cloud.dead:
        cloud.last_words[name] = cloud.last_words[name].replace('"c1":[2,', '"c1":[3,')
    cloud.intervals(10)
    cloud.assert_untouched("c1")
    assert not cloud.failed("c1")
    shows(
        4,
        "no quorum about 4 compute nodes from c1 to c4: 1 of 3 HA nodes vote, 2 needed: "
        "ha-1 no data (agent dead), ha-2 no data (agent dead), ha-3 well",
        cloud.timer("ha-3"),
    )


@pytest.mark.fault(5)
def test_a_host_that_only_nova_still_hears_is_left_to_the_operator(cloud: ObservedCloud) -> None:
    cloud.silent["c1"] = 1
    cloud.intervals(THRESHOLD)
    assert cloud.failed("c1")
    cloud.turns(3)
    cloud.assert_untouched("c1")
    shows(
        5,
        "c1: waits for the operator, or until the cause has gone: nova-reports: its nova-compute still reports to "
        "Nova: the host lives",
        cloud.timer(),
    )
    cloud.says("approve", "c1", "--gate", "nova-reports", "--by", "ann")
    cloud.turns()
    cloud.assert_recovered("c1")


@pytest.mark.fault(5)
@settings(max_examples=25, deadline=None)
@given(order=st.permutations([f"c{n}" for n in range(1, 5)]), victim=st.sampled_from(["c1", "c2", "c3", "c4"]))
def test_one_hosts_failure_never_lands_in_anothers_place(order: list[str], victim: str) -> None:
    """Each observer lists the hosts in an order of its own, and leaves out all that are well."""
    cloud = ObservedCloud(servers=0)
    cloud.hangs(victim)
    for number, observer in enumerate(cloud.observers):
        turned = order[number:] + order[:number]
        cloud.unseen[observer] = {name for name in turned[:1] if name != victim}
    cloud.intervals(THRESHOLD)
    seen_by_two = [n for n in cloud.names if sum(n in cloud.unseen[o] for o in cloud.observers) >= 2]
    assert [name for name in cloud.names if cloud.failed(name)] == sorted({victim, *seen_by_two})


@pytest.mark.fault(22)
@pytest.mark.parametrize("output", BROKEN.values(), ids=BROKEN.keys())
def test_checks_that_are_all_broken_count_nothing(output: str) -> None:
    """Of two hosts, so few that no storm guard would hold them."""
    cloud = ObservedCloud(compute=2)
    cloud._swept_by = lambda observer: output  # type: ignore[method-assign]
    cloud.intervals(10)
    cloud.turns(2)
    cloud.assert_untouched(*cloud.names)
    assert not any(cloud.failed(name) for name in cloud.names)
    assert {cloud.store.value(compute_node(name, "internal/number_fails")) for name in cloud.names} == {"0"}


@pytest.mark.fault(22)
def test_a_host_that_died_while_all_checks_are_broken_is_found_once_they_work_again(cloud: ObservedCloud) -> None:
    cloud.hangs("c1")
    works, cloud._swept_by = cloud._swept_by, lambda observer: BROKEN["rc-127"]  # type: ignore[method-assign]
    cloud.intervals(10)
    shows(22, "NO QUORUM 0 of 3 HA nodes observe, 2 needed", cloud.says("status"))
    shows(22, "ha-1 no data (sh: 1: nova-ha-check-ssh: not found)", cloud.timer())
    cloud._swept_by = works  # type: ignore[method-assign]
    cloud.intervals(THRESHOLD - 1)
    assert not cloud.failed("c1")
    cloud.intervals()
    cloud.turns()
    cloud.assert_recovered("c1")


@pytest.mark.fault(22)
def test_a_broken_deployment_does_not_turn_one_observers_words_into_a_quorum(cloud: ObservedCloud) -> None:
    sweep = cloud._swept_by
    cloud._swept_by = lambda observer: sweep(observer) if observer == "ha-1" else ""  # type: ignore[method-assign]
    cloud.hangs("c1")
    cloud.intervals(10)
    assert not cloud.failed("c1")


@pytest.mark.fault(23)
@settings(max_examples=25, deadline=None)
@given(st.lists(st.booleans(), min_size=4, max_size=24))
def test_a_flapping_host_is_failed_only_by_three_intervals_in_a_row(silences: list[bool]) -> None:
    cloud = ObservedCloud(servers=0)
    in_a_row = 0
    for silent in silences:
        cloud.silent = {"c1": 1} if silent else {}
        cloud.intervals()
        in_a_row = in_a_row + 1 if silent else 0
        if in_a_row >= THRESHOLD:
            assert cloud.failed("c1")
            return
        assert not cloud.failed("c1")


@pytest.mark.fault(23)
def test_a_host_that_fails_again_after_it_was_taken_back_is_not_fenced_again(cloud: ObservedCloud) -> None:
    cloud.fails("c1")
    cloud.turns()
    cloud.assert_recovered("c1")
    cloud.repaired("c1")
    cloud.fails("c1")
    cloud.turns(3)
    assert len(cloud.bmcs["c1"].commands) == 1
    incident = cloud.incident("c1")
    assert incident is not None
    assert incident.gate is Gate.REPEAT
    began = cloud.closed("c1")[0].started
    assert incident.started - began < timedelta(hours=1)
    shows(23, "it failed before, a short time ago; `nova-ha approve c1` recovers it again", cloud.says("status"))
    shows(
        23,
        "c1: waits for the operator: repeat: its last incident began 2030-01-01 12:00:58Z, within 3600 s",
        cloud.timer(),
    )
    cloud.says("approve", "c1", "--by", "ann")
    cloud.turns()
    assert len(cloud.bmcs["c1"].commands) == 2


def test_the_outputs_of_broken_checks_are_no_reports() -> None:
    for output in BROKEN.values():
        assert not isinstance(Report.from_output(output), Report)
