"""The JSON records: what is written reads the same again, and what cannot be read is refused, never guessed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.fakes.kv_entries import NOW, approvals, incidents, maintenances, pauses, runtime_configs
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import Incident, IncidentState, Receipt, ReceiptMethod, ServerProgress, ServerState
from nova_ha.cluster.node import Approval, Maintenance, Pause, RuntimeConfig
from nova_ha.consul.values import BadValue

RECORDS: tuple[type[Any], ...] = (RuntimeConfig, Maintenance, Approval, Pause, Incident)
LEGAL: tuple[bytes, ...] = (
    RuntimeConfig("nova-1", report_interval_s=30, versions={"nova": "29"}).to_kv(),
    Maintenance(NOW, "ann", "disk").to_kv(),
    Approval("ann", "seen it", NOW, (Gate.REPEAT,)).to_kv(),
    Pause("ann", "upgrade", "2026-11-23T12:00:00.000Z").to_kv(),
    Incident(
        "c1",
        NOW,
        IncidentState.EVACUATING,
        receipt=Receipt(ReceiptMethod.BMC, "ha-1", NOW),
        servers={"s": ServerProgress("vm", "active")},
    ).to_kv(),
)


@given(st.one_of(runtime_configs, maintenances, approvals, pauses, incidents))
def test_a_record_reads_back_as_it_was_written(record: Any) -> None:
    assert type(record).from_kv(record.to_kv()) == record


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(LEGAL), st.data())
def test_a_field_of_any_other_kind_is_refused_and_never_raises_anything_else(legal: bytes, data: Any) -> None:
    value = json.loads(legal)
    field = data.draw(st.sampled_from(sorted(value)))
    raw = json.dumps({**value, field: data.draw(JSON_VALUES)}).encode()
    for record in RECORDS:
        reads_or_refuses(record.from_kv, raw)


@given(st.sampled_from(["receipt", "servers", "steps", "votes"]), JSON_VALUES)
def test_a_nested_field_of_any_other_kind_is_refused(field: str, value: Any) -> None:
    whole = json.loads(LEGAL[-1])
    for inside in ({"method": "bmc", "by": "x", "at": value}, {"s": value}, {"s": {"name": "", "vm_state": value}}):
        reads_or_refuses(Incident.from_kv, json.dumps({**whole, field: inside}).encode())


@pytest.mark.fault(28)
@given(st.sampled_from(LEGAL), st.integers(0, 400))
def test_a_truncated_record_is_refused(legal: bytes, length: int) -> None:
    for record in RECORDS:
        reads_or_refuses(record.from_kv, legal[: min(length, len(legal) - 1)], must_refuse=True)


def reads_or_refuses(read: Callable[[bytes], Any], raw: bytes, *, must_refuse: bool = False) -> None:
    """Nothing but a value, which can then be written and shown, or a BadValue of one line."""
    record, why = None, ""
    try:
        record = read(raw)
    except BadValue as bad:
        why = str(bad)
    assert "\n" not in why
    assert len(why) < 400
    assert why or not must_refuse
    assert why or record.to_kv()


@pytest.mark.fault(28)
@pytest.mark.parametrize("version", [None, 0, 4, "1", True, 1.0, -1])
def test_a_record_of_another_version_is_refused(version: Any) -> None:
    for record, legal in ((RuntimeConfig, LEGAL[0]), (Incident, LEGAL[-1])):
        value = json.loads(legal)
        value["version"] = version
        with pytest.raises(BadValue, match="version"):
            record.from_kv(json.dumps(value).encode())


def test_unknown_fields_of_a_later_version_are_ignored() -> None:
    value = json.loads(LEGAL[0])
    assert RuntimeConfig.from_kv(json.dumps({**value, "colour": "red"}).encode()) == RuntimeConfig.from_kv(LEGAL[0])


@pytest.mark.parametrize("until", ["", "tomorrow", "2026-11-23T12:00:00", "0001-01-01T00:00:00+23:00", 3])
def test_a_maintenance_without_a_clear_end_is_refused(until: Any) -> None:
    with pytest.raises(BadValue, match="until"):
        Maintenance.from_kv(json.dumps({"until": until, "by": "ann"}).encode())


def test_an_approval_lets_only_the_listed_gates_pass_and_only_until_it_ends() -> None:
    approval = Approval("ann", "", NOW, (Gate.REPEAT,))
    before = NOW - timedelta(seconds=1)
    assert approval.lets_pass(Gate.REPEAT, before)
    assert not approval.lets_pass(Gate.ANSWERS, before)
    assert not approval.lets_pass(Gate.REPEAT, NOW)


def test_a_bmcs_receipt_stays_valid_and_an_operators_word_ends() -> None:
    assert Receipt(ReceiptMethod.BMC, "ha-1", NOW).valid(NOW + timedelta(days=9))
    word = Receipt(ReceiptMethod.OPERATOR, "ann", NOW, until=NOW + timedelta(hours=1))
    assert word.valid(NOW + timedelta(minutes=59))
    assert not word.valid(NOW + timedelta(hours=1))


def test_a_receipt_says_how_it_was_proved_and_one_of_an_older_release_is_read() -> None:
    proved = Receipt(ReceiptMethod.BMC, "ha-1", NOW, answer="off already", proof="long", off_s=16.2)
    value = replace(Incident.from_kv(LEGAL[-1]), receipt=proved).to_values()
    assert Incident.from_kv(json.dumps(value).encode()).receipt == proved
    for name in ("answer", "proof", "off_s"):
        del value["receipt"][name]
    assert Incident.from_kv(json.dumps(value).encode()).receipt == Receipt(ReceiptMethod.BMC, "ha-1", NOW)


@pytest.mark.parametrize("off_s", [True, "16", -1, float("nan")])
def test_seconds_that_are_none_make_a_record_that_cannot_be_read(off_s: object) -> None:
    value = json.loads(LEGAL[-1])
    value["receipt"]["off_s"] = off_s
    with pytest.raises(BadValue):
        Incident.from_kv(json.dumps(value).encode())


def test_a_receipt_by_an_unknown_method_is_no_proof() -> None:
    value = json.loads(LEGAL[-1])
    value["receipt"]["method"] = "guess"
    with pytest.raises(BadValue, match="method"):
        Incident.from_kv(json.dumps(value).encode())


@pytest.mark.parametrize("number", ["Infinity", "NaN", "null", '"many"', "[]"])
def test_a_priority_that_is_no_number_is_refused(number: str) -> None:
    server = f'{{"s":{{"name":"vm","vm_state":"active","state":"pending","priority":{number}}}}}'
    raw = LEGAL[-1].decode().rstrip("}").partition(',"servers"')[0] + f',"servers":{server}}}'
    with pytest.raises(BadValue, match="not an incident"):
        Incident.from_kv(raw.encode())


def test_a_waiting_incident_goes_on_from_where_it_was() -> None:
    waiting = Incident("c1", NOW, IncidentState.NEEDS_OPERATOR, before=IncidentState.FENCED, gate=Gate.POWERED_ON)
    assert waiting.progress_state is IncidentState.FENCED
    assert replace(waiting, before=None).progress_state is IncidentState.NEEDS_OPERATOR


@pytest.mark.parametrize("state", ServerState)
def test_a_server_is_done_with_or_not(state: ServerState) -> None:
    assert state.final is (state not in (ServerState.PENDING, ServerState.ASKED))
