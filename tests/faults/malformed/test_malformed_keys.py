"""Every key of the schema with values that do not belong there: only the node concerned stands still, and loudly."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.clouds.broken_cloud import BROKEN, MORE_LEAVES, OTHER, BrokenCloud, a_whole_incident, control_characters
from kit.fakes.bad_values import ANYTHING, JSON, NEVER, NO_RECORD, NO_WORD, QUIET, cut, mangled, warped
from kit.fakes.values import NOW
from nova_ha.cluster.incident import IncidentState, Reading, Receipt, ReceiptMethod, ServerProgress, ServerState
from nova_ha.cluster.node import RuntimeConfig
from nova_ha.cluster.schema import compute_node, open_incident
from nova_ha.power import PowerState

LINES = ("ssh/user", "ssh/address", "ssh/host_key", "bmc/user", "bmc/ip", "bmc/identity", "bmc/system")
FREE_TEXT = {name: value for name, value in NEVER.items() if name not in ("empty", "spaces")}
SECRET = {name: value for name, value in NEVER.items() if name in ("empty", "not-utf-8", "half-a-letter")}
# Each leaf of a compute node, and what it never takes.
LEAVES: Mapping[str, Mapping[str, bytes]] = {
    **dict.fromkeys(("status/failed", "status/recovered", "internal/number_fails"), NO_WORD),
    **dict.fromkeys(("config/ssh/port", "config/bmc/port", "config/bmc/driver", "config/bmc/tls"), NO_WORD),
    **dict.fromkeys(("config/maintenance", "config/approval", "internal/runtime_config"), NO_RECORD),
    **dict.fromkeys((*(f"config/{leaf}" for leaf in LINES), "config/nova_host"), NEVER),
    **dict.fromkeys(("config/ssh/password", "config/bmc/password"), SECRET),
}
KEYS = {compute_node(BROKEN, leaf): values for leaf, values in LEAVES.items()} | {open_incident(BROKEN): NO_RECORD}
CASES = [
    pytest.param(key, value, id=f"{key.removeprefix('ha_cluster/')}-{name}")
    for key, values in KEYS.items()
    for name, value in values.items()
]


def assert_only_that_node_stands_still(cloud: BrokenCloud, key: str) -> None:
    """Everything that must hold when a node's key is bad: whoever looks, and whatever is done about the others."""
    assert key in cloud.problems()
    before = {**cloud.keys_of(compute_node(BROKEN)), **cloud.keys_of(open_incident(BROKEN))}
    cloud.rehearse()
    cloud.count_and_recover()
    assert cloud.recovered(OTHER)
    assert cloud.untouched(BROKEN)
    assert {**cloud.keys_of(compute_node(BROKEN)), **cloud.keys_of(open_incident(BROKEN))} == before
    assert not cloud.world.nova.doubled
    assert not cloud.world.nova.unfenced


@pytest.mark.parametrize(("key", "value"), CASES)
def test_a_bad_key_stops_its_node_and_no_other(key: str, value: bytes) -> None:
    cloud = BrokenCloud()
    cloud.break_key(key, value)
    assert_only_that_node_stands_still(cloud, key)


@pytest.mark.parametrize("key", KEYS)
def test_a_bad_key_is_named_with_what_mends_it_and_nothing_it_says_reaches_the_terminal(key: str) -> None:
    cloud = BrokenCloud()
    worst = next(v for n, v in KEYS[key].items() if n in ("escapes", "not-utf-8"))
    cloud.break_key(key, worst)
    said = {said.words: said for said in cloud.every_report()}
    for report in said.values():
        assert not control_characters(report.text), report
        assert "Traceback" not in report.text
        assert "NOVA_HA_DEBUG" not in report.text, report
        assert report.code in (0, 1), report
    for words in (("status",), ("explain", BROKEN), ("plan", BROKEN), ("config", "check"), ("check", "cluster")):
        assert key in said[words].text, words
    for words in (("status",), ("explain", BROKEN), ("config", "check")):
        [line] = [line for line in said[words].text.splitlines() if key in line and "`" in line][:1]
        assert "nova-ha" in line or "consul kv" in line


@settings(QUIET, max_examples=60)
@given(data=st.data())
def test_whatever_is_in_a_key_nobody_crashes_and_the_other_node_is_recovered(data: st.DataObject) -> None:
    leaf = data.draw(st.sampled_from([*sorted(MORE_LEAVES), "internal/runtime_config", "status/failed", "incident"]))
    key = open_incident(BROKEN) if leaf == "incident" else compute_node(BROKEN, leaf)
    cloud = BrokenCloud()
    present = cloud.store.data.get(key)
    whole = a_whole_incident().to_kv() if leaf == "incident" else present.value if present else b"False"
    value = data.draw(
        ANYTHING | JSON.map(lambda v: json.dumps(v).encode()) | mangled(whole) | cut(whole) if whole else ANYTHING
    )
    cloud.break_key(key, value)
    bad = cloud.problems()
    cloud.rehearse()
    for report in (
        cloud.says("status"),
        cloud.says("explain", BROKEN),
        cloud.says("plan", BROKEN),
        cloud.timer_says(),
    ):
        assert "NOVA_HA_DEBUG" not in report.text, report
        assert not control_characters(report.text), report
    if bad:
        assert_only_that_node_stands_still(cloud, bad[0])
    else:
        cloud.count_and_recover()
    assert not cloud.world.nova.unfenced
    assert not cloud.world.nova.doubled


@settings(QUIET, max_examples=150)
@given(value=warped(json.loads(a_whole_incident().to_kv())))
def test_an_incident_with_fields_of_the_wrong_type_is_refused_whole_or_read_and_never_crashes(value: bytes) -> None:
    cloud = BrokenCloud()
    cloud.break_key(open_incident(BROKEN), value)
    cloud.store.put(compute_node(BROKEN, "status/failed"), "True")
    cloud.store.put(compute_node(BROKEN, "status/recovered"), "True")
    bad = cloud.problems()
    for report in (
        cloud.says("status"),
        cloud.says("explain", BROKEN),
        cloud.says("history", BROKEN),
        cloud.says("metrics"),
    ):
        assert "NOVA_HA_DEBUG" not in report.text, report
        assert not control_characters(report.text), report
    if bad:
        assert_only_that_node_stands_still(cloud, bad[0])
    else:
        cloud.count_and_recover()
    assert not cloud.world.nova.unfenced


@settings(QUIET, max_examples=100)
@given(value=warped(json.loads(RuntimeConfig(BROKEN, "h", "/p", False, {"nova": "34"}).to_kv())))
def test_a_runtime_config_with_fields_of_the_wrong_type_stops_its_node_alone(value: bytes) -> None:
    cloud = BrokenCloud()
    cloud.break_key(compute_node(BROKEN, "internal/runtime_config"), value)
    if cloud.problems():
        assert_only_that_node_stands_still(cloud, compute_node(BROKEN, "internal/runtime_config"))


def begun(cloud: BrokenCloud) -> dict[str, object]:
    """Return the record of a recovery whose driver died after it had asked for one of two servers."""
    first, second = [
        server for server in cloud.world.nova.inventory if cloud.world.nova.inventory[server].host == BROKEN
    ]
    incident = replace(
        a_whole_incident(),
        state=IncidentState.EVACUATING,
        before=None,
        reason="",
        service_id=BROKEN,
        receipt=Receipt(ReceiptMethod.BMC, "ha-2", NOW, "127.0.0.1:623", "guid-c1", (Reading(NOW, "off"),)),
        servers={
            first: ServerProgress("vm-1", "active", ServerState.ASKED, attempts=1, target="ha-2", asked_at=NOW),
            second: ServerProgress("vm-2", "active"),
        },
    )
    values: dict[str, object] = incident.to_values()
    return values


@settings(QUIET, max_examples=200)
@given(data=st.data())
def test_a_recovery_that_goes_on_from_a_damaged_record_ends_or_is_refused(
    data: st.DataObject,
) -> None:
    cloud = BrokenCloud()
    record = begun(cloud)
    servers = record["servers"]
    assert isinstance(servers, dict)
    name = data.draw(st.sampled_from(sorted(servers)))
    damaged = json.loads(data.draw(warped(servers[name])))
    whole = {**record, "servers": {**servers, name: damaged}}
    value = data.draw(st.just(json.dumps(whole).encode()) | warped(whole))
    as_it_was_left(cloud, value)
    bad = cloud.problems()
    cloud.count_and_recover()
    assert "NOVA_HA_DEBUG" not in cloud.says("history", BROKEN).text
    assert not cloud.world.nova.unfenced
    assert not cloud.world.nova.doubled
    if bad:
        assert cloud.store.data[open_incident(BROKEN)].value == value
        assert cloud.recovered(OTHER)


def as_it_was_left(cloud: BrokenCloud, value: bytes) -> None:
    """c1 is off and forced down, and its incident has this value."""
    for leaf in ("failed", "recovered"):
        cloud.store.put(compute_node(BROKEN, f"status/{leaf}"), "True")
    cloud.world.bmcs[BROKEN].state = PowerState.OFF
    cloud.world.nova.power_lost(BROKEN)
    cloud.world.nova.force_down(f"id-{BROKEN}", True)
    cloud.world.nova.disable(f"id-{BROKEN}", "nova-ha: failed")
    cloud.break_key(open_incident(BROKEN), value)


def test_from_a_record_that_is_whole_it_goes_on_to_its_end() -> None:
    cloud = BrokenCloud()
    as_it_was_left(cloud, json.dumps(begun(cloud)).encode())
    cloud.count_and_recover()
    assert cloud.recovered(BROKEN)
    assert cloud.recovered(OTHER)


def test_a_negative_count_of_tries_is_refused_before_it_is_used() -> None:
    cloud = BrokenCloud()
    record = begun(cloud)
    servers = record["servers"]
    assert isinstance(servers, dict)
    for progress in servers.values():
        progress["attempts"] = -9
    cloud.break_key(open_incident(BROKEN), json.dumps(record).encode())
    assert open_incident(BROKEN) in cloud.problems()


def test_a_set_of_gates_in_place_of_a_list_lets_nothing_pass() -> None:
    cloud = BrokenCloud()
    record = {**a_whole_incident().to_values(), "approved": {"answers": True}}
    cloud.break_key(open_incident(BROKEN), json.dumps(record).encode())
    assert open_incident(BROKEN) in cloud.problems()
