"""Builders of what Consul returns, and strategies of records, for the tests of the cluster."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st
from nova_ha.cluster.gate import Cause, Gate, gate_named
from nova_ha.cluster.incident import (
    ENDS,
    Incident,
    IncidentState,
    Reading,
    Receipt,
    ReceiptMethod,
    ServerProgress,
    ServerState,
    Step,
)
from nova_ha.cluster.node import Approval, Maintenance, Pause, RuntimeConfig
from nova_ha.cluster.permit import Permit
from nova_ha.cluster.schema import compute_node, ha_node
from nova_ha.consul.transaction import Entry

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def an_entry(key: str, value: str | bytes = b"", index: int = 7, session: str = "", flags: int = 0) -> Entry:
    """Return the key as it was read."""
    return Entry(key, value.encode() if isinstance(value, str) else value, index, session, flags=flags)


def compute_keys(node: str, /, **changed: str | bytes | None) -> list[Entry]:
    """Return the keys of a sound compute node; `status__failed="True"` changes one, None drops it."""
    number = sum(node.encode()) % 250
    values: dict[str, str | bytes | None] = {
        "general/": "",
        "status/failed": "False",
        "status/recovered": "False",
        "internal/number_fails": "0",
        "internal/runtime_config": RuntimeConfig(nova_host=f"nova-{node}").to_kv(),
        "config/nova_host": f"nova-{node}",
        "config/ssh/user": "probe",
        "config/ssh/password": "sshpass",
        "config/bmc/ip": f"10.0.0.{number}",
        "config/bmc/user": "admin",
        "config/bmc/password": "bmcpass",
        **{leaf.replace("__", "/"): value for leaf, value in changed.items()},
    }
    return [an_entry(compute_node(node, leaf), value) for leaf, value in values.items() if value is not None]


def ha_keys(node: str, /, **changed: str) -> list[Entry]:
    """Return the keys of a sound HA node."""
    values = {"status/in_use": "False", **{leaf.replace("__", "/"): value for leaf, value in changed.items()}}
    return [an_entry(ha_node(node, leaf), value) for leaf, value in values.items()]


# Text that JSON in UTF-8 can carry, and stamps as precise as they are written.
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
some_word = words.filter(bool)
stamps = st.datetimes(datetime(1000, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC)).map(
    lambda t: t - timedelta(microseconds=t.microsecond % 1000)
)
maybe_stamps = st.none() | stamps
counts = st.integers(0, 10**6)

runtime_configs = st.builds(
    RuntimeConfig,
    nova_host=some_word,
    hypervisor_hostname=words,
    instances_path=words,
    shared_instances=st.none() | st.booleans(),
    report_interval_s=st.none() | st.integers(1, 120),
    versions=st.dictionaries(words, words, max_size=3),
)
maintenances = st.builds(Maintenance, until=stamps, by=some_word, why=words)
gates = st.one_of(st.sampled_from(Gate), words.map(gate_named))
permits = st.lists(st.builds(Permit, gate=gates, until=maybe_stamps, by=words, why=words), max_size=3).map(tuple)
approvals = st.builds(
    Approval,
    by=some_word,
    why=words,
    until=stamps,
    gates=st.lists(gates, max_size=3).map(tuple),
    kept=permits,
)
pauses = st.builds(Pause, by=some_word, why=words, since=words)

states = st.sampled_from(IncidentState)
receipts = st.builds(
    Receipt,
    method=st.sampled_from(ReceiptMethod),
    by=some_word,
    at=stamps,
    address=words,
    identity=words,
    readings=st.lists(st.builds(Reading, at=stamps, state=words, why=words), max_size=3).map(tuple),
    until=maybe_stamps,
    why=words,
    answer=words,
    # One without is of an older release, and not read back as it stands: the host is fenced anew.
    proof=st.sampled_from(("short", "long")),
    off_s=st.floats(0, 300),
)
progress = st.builds(
    ServerProgress,
    name=words,
    vm_state=some_word,
    state=st.sampled_from(ServerState),
    task_state=words,
    priority=st.integers(-(10**6), 10**6),
    attempts=counts,
    target=words,
    asked_at=maybe_stamps,
    migration=words,
    previous=words,
    host=words,
    done_at=maybe_stamps,
    reason=words,
)
incidents = st.builds(
    Incident,
    node=some_word,
    started=stamps,
    state=states,
    driver=words,
    session=words,
    nova_host=words,
    service_id=words,
    service_seen=maybe_stamps,
    before=st.none() | states.filter(lambda state: state not in ENDS),
    gate=st.none() | st.sampled_from(Gate),
    reason=words,
    cause=st.none() | st.sampled_from(Cause),
    asked=st.dictionaries(gates, st.integers(0, 99), max_size=3),
    permits=permits,
    votes=st.dictionaries(words, words, max_size=3),
    receipt=st.none() | receipts,
    servers=st.dictionaries(words, progress, max_size=3),
    listed=st.booleans(),
    steps=st.lists(st.builds(Step, at=stamps, state=states, by=words, what=words), max_size=3).map(tuple),
)
