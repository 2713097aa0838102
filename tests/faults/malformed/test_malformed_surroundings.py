"""Keys of all nodes, of HA nodes, of nobody: what is bad there stops no more than it must, and is named."""

from __future__ import annotations

import json

import pytest
from kit.clouds.broken_cloud import BROKEN, OTHER, BrokenCloud, a_whole_incident, control_characters
from kit.fakes.bad_values import NEVER, NO_RECORD, NO_WORD
from nova_ha.cluster.policy import OPTIONS
from nova_ha.cluster.schema import (
    PAUSED,
    RECOVERY_SEMAPHORE,
    WAKE,
    closed_incident,
    compute_node,
    ha_node,
    open_incident,
)
from nova_ha.consul.transaction import Operation
from nova_ha.consul.values import SEMAPHORE_FLAGS

NO_OPTION = {name: value for name, value in NO_WORD.items() if name not in ("byte-order-mark",)}


def assert_nothing_was_done(cloud: BrokenCloud) -> None:
    cloud.count_and_recover()
    for node in (BROKEN, OTHER):
        assert cloud.untouched(node)
        assert cloud.world.incident(node) is None


def assert_both_are_recovered(cloud: BrokenCloud) -> None:
    cloud.count_and_recover()
    for node in (BROKEN, OTHER):
        assert cloud.recovered(node), cloud.says("status").text


@pytest.mark.parametrize("value", NEVER.values(), ids=NEVER)
@pytest.mark.parametrize("option", [name for name in OPTIONS if name != "recovery/only_tagged"])
def test_a_bad_option_stops_all_automatic_action_and_is_named(option: str, value: bytes) -> None:
    cloud = BrokenCloud()
    cloud.break_key(f"ha_cluster/config/{option}", value)
    assert_nothing_was_done(cloud)
    for words in (("status",), ("config", "check")):
        said = cloud.says(*words).text
        assert f"ha_cluster/config/{option}" in said
        assert f"nova-ha config set {option}" in said


@pytest.mark.parametrize("value", NO_OPTION.values(), ids=NO_OPTION)
@pytest.mark.parametrize("option", ["monitor/quorum", "monitor/max_failed", "session/lock_delay", "recovery/target"])
def test_no_number_of_an_option_is_guessed_at(option: str, value: bytes) -> None:
    cloud = BrokenCloud()
    cloud.break_key(f"ha_cluster/config/{option}", value)
    assert_nothing_was_done(cloud)


@pytest.mark.parametrize("value", NO_RECORD.values(), ids=NO_RECORD)
def test_whatever_is_in_the_pause_everything_stands_still(value: bytes) -> None:
    cloud = BrokenCloud()
    cloud.break_key(PAUSED, value)
    assert_nothing_was_done(cloud)
    assert "PAUSED" in cloud.says("status").text
    assert cloud.says("resume").code == 0
    assert_both_are_recovered(cloud)


@pytest.mark.parametrize("value", NO_RECORD.values(), ids=NO_RECORD)
@pytest.mark.parametrize("flags", [0, SEMAPHORE_FLAGS])
def test_a_semaphore_that_cannot_be_read_stops_every_claim_and_is_named_with_what_helps(
    value: bytes, flags: int
) -> None:
    cloud = BrokenCloud()
    key = f"{RECOVERY_SEMAPHORE}/.lock"
    cloud.store.consul.commit([Operation("set", key, value, flags=flags)])
    before = cloud.store.data[key]
    cloud.count_and_recover()
    if value or not flags:
        assert cloud.untouched(BROKEN)
        assert cloud.untouched(OTHER)
        assert cloud.store.data[key] == before
        for words in (("status",), ("config", "check"), ("check", "cluster")):
            said = (cloud.timer_says() if words[0] == "check" else cloud.says(*words)).text
            assert f"`consul kv delete {key}`" in said, words
        cloud.store.drop(key)
    assert_both_are_recovered(cloud)


@pytest.mark.parametrize("value", NO_WORD.values(), ids=NO_WORD)
def test_an_ha_node_with_a_bad_key_drives_nothing_and_another_one_does(value: bytes) -> None:
    cloud = BrokenCloud()
    key = ha_node("ha-1", "status/in_use")
    cloud.break_key(key, value)
    before = cloud.store.data[key]
    assert_both_are_recovered(cloud)
    assert cloud.store.data[key] == before
    assert key in cloud.says("status").text
    assert "ha-1" not in {incident.driver for node in (BROKEN, OTHER) for incident in cloud.world.closed(node)}


STRAYS = {
    "a-folder-where-a-node-may-be": "ha_cluster/compute_nodes/",
    "a-leaf-where-a-node-may-be": "ha_cluster/compute_nodes/c9",
    "a-node-without-a-name": "ha_cluster/compute_nodes//status/failed",
    "an-unknown-leaf": compute_node(BROKEN, "config/colour"),
    "an-unknown-folder": compute_node(BROKEN, "notes/of/ann"),
    "a-leaf-for-a-folder": compute_node(BROKEN, "status"),
    "something-in-general": compute_node(BROKEN, "general/rack"),
    "a-folder-of-incidents": "ha_cluster/incidents/open/",
    "a-folder-for-an-incident": f"{open_incident(BROKEN)}/",
    "something-below-an-incident": f"{open_incident(BROKEN)}/note",
    "another-folder-for-an-incident": f"{open_incident('c7')}/",
    "a-closed-incident-without-a-time": closed_incident(BROKEN, "yesterday"),
    "a-folder-of-history": f"ha_cluster/incidents/closed/{BROKEN}/",
    "a-folder-for-the-pause": f"{PAUSED}/",
    "something-below-the-semaphore": f"{RECOVERY_SEMAPHORE}/note",
    "a-folder-of-the-policy": "ha_cluster/config/monitor/",
    "wake": WAKE,
    "the-root": "ha_cluster/",
    "beside-it-all": "ha_cluster/readme",
}


@pytest.mark.parametrize("key", STRAYS.values(), ids=STRAYS)
@pytest.mark.parametrize("value", [b"", b"\xff\x00\x1b[2J", b'{"version": 1}'], ids=["empty", "garbage", "json"])
def test_what_belongs_to_nobody_is_left_alone_and_stops_nobody(key: str, value: bytes) -> None:
    cloud = BrokenCloud()
    cloud.break_key(key, value)
    for report in cloud.every_report():
        assert "NOVA_HA_DEBUG" not in report.text, report
        assert not control_characters(report.text), report
    assert_both_are_recovered(cloud)
    if key != WAKE:
        assert cloud.store.data[key].value == value


FOLDERS = ("status/failed", "config/maintenance", "config/bmc/ip", "config/ssh/port", "internal/runtime_config")


@pytest.mark.parametrize("leaf", FOLDERS)
def test_a_folder_where_a_value_belongs_is_named_and_stops_its_node(leaf: str) -> None:
    cloud = BrokenCloud()
    key = f"{compute_node(BROKEN, leaf)}/"
    cloud.break_key(key, b"")
    assert key in cloud.problems()
    cloud.count_and_recover()
    assert cloud.untouched(BROKEN)
    assert cloud.recovered(OTHER)


NAMES = (
    "two\nlines",
    "esc\x1b[2J",
    "line\u2028separator",
    "next\x85line",
    "form\x0cfeed",
    "x" * 70_000,
    "ué",
    " ",
    "..",
)


@pytest.mark.parametrize("name", NAMES, ids=[ascii(name[:20]) for name in NAMES])
def test_a_compute_node_of_an_impossible_name_takes_nobodys_vote_away(name: str) -> None:
    from nova_ha.checks.inputs import read_inputs
    from nova_ha.checks.ssh import _sightings
    from nova_ha.probe.observation import Report
    from nova_ha.probe.streak import next_report

    cloud = BrokenCloud()
    cloud.break_key(compute_node(name, "status/failed"), b"False")
    inputs = read_inputs(cloud.store, "nova-ha-ssh")
    hostless = {n: node for n, node in inputs.nodes.items() if n not in cloud.world.names}
    seen = _sightings(hostless, 1.0, 0.5, {})
    report = next_report(
        inputs.previous, seen, probe="ssh", now_boottime=9.0, boot_id="b", interval_s=5, fail_threshold=3
    )
    read = Report.from_output(report.to_output())
    assert isinstance(read, Report)
    assert read.unlisted is None
    assert not control_characters(report.to_output())
    assert_both_are_recovered(cloud)
    assert name[:10] not in {node[:10] for node in cloud.world.nova.calls}


def test_a_stray_incident_of_nobody_counts_for_no_storm() -> None:
    cloud = BrokenCloud()
    for number in range(5):
        cloud.break_key(f"ha_cluster/incidents/open/c{number}/", b"")
        cloud.break_key(f"ha_cluster/incidents/open/c{number}/note", json.dumps({"by": "ann"}).encode())
    assert_both_are_recovered(cloud)


def test_an_incident_under_another_nodes_name_is_not_taken_for_its() -> None:
    cloud = BrokenCloud()
    cloud.break_key(open_incident(BROKEN), a_whole_incident(OTHER).to_kv())
    assert open_incident(BROKEN) in cloud.problems()
    cloud.count_and_recover()
    assert cloud.untouched(BROKEN)
    assert cloud.recovered(OTHER)
