"""An incident of a host with very many servers: it fits into a key of Consul, with nothing of them left out."""

from __future__ import annotations

import base64
import json
import random
import string
import uuid
import zlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from kit.fakes.consul import MAX_VALUE_BYTES
from kit.fakes.store import FakeStore
from kit.fakes.values import NOW, an_incident
from nova_ha.cluster.gate import Closed, Gate
from nova_ha.cluster.incident import (
    MOST_BYTES,
    MOST_NAME,
    MOST_SERVERS,
    Incident,
    IncidentState,
    ServerProgress,
    ServerState,
    Step,
)
from nova_ha.cluster.schema import open_incident
from nova_ha.consul.transaction import Committed, cas
from nova_ha.consul.values import BadValue

LETTERS = string.ascii_letters + string.digits + "-_ äß"
# Three bytes each in UTF-8, and nothing in them that packing could use.
CJK = [chr(n) for n in range(0x4E00, 0x9FA5)]


def an_ended_server(draw: random.Random) -> ServerProgress:
    """A server with as much in its record as it can have: every id and name at random, as Nova makes them."""
    asked = NOW + timedelta(milliseconds=draw.randrange(10_000_000))
    return ServerProgress(
        name="".join(draw.choices(LETTERS, k=MOST_NAME)),
        vm_state="active",
        state=ServerState.EVACUATED,
        task_state="rebuild_spawning",
        priority=draw.randrange(100),
        attempts=draw.randrange(1, 4),
        target="ha-node-1.example.org",
        asked_at=asked,
        migration=str(uuid.UUID(int=draw.getrandbits(128))),
        previous=str(uuid.UUID(int=draw.getrandbits(128))),
        host=f"compute-{draw.randrange(500)}.example.org",
        done_at=asked + timedelta(milliseconds=draw.randrange(100_000)),
        reason="was paused; its memory is lost, left shut down",
    )


def a_server_called_in_cjk(draw: random.Random) -> ServerProgress:
    """The same with the longest name that a tenant can give it, and the longest reason that there is."""
    name, reason = ("".join(draw.choices(CJK, k=length)) for length in (255, 500))
    return replace(an_ended_server(draw), name=name, reason=reason)


def servers(count: int) -> Mapping[str, ServerProgress]:
    draw = random.Random(count)
    return {str(uuid.UUID(int=draw.getrandbits(128))): an_ended_server(draw) for _ in range(count)}


def an_evacuating(count: int, steps: int = 0) -> Incident:
    story = tuple(Step(NOW, IncidentState.EVACUATING, "ha-1", f"server {n}: is on its way") for n in range(steps))
    return an_incident(state=IncidentState.EVACUATING, servers=servers(count), listed=True, steps=story)


def test_the_most_servers_that_are_taken_in_fit_with_all_that_is_known_of_each() -> None:
    incident = an_evacuating(MOST_SERVERS, steps=20)
    raw = incident.to_kv()
    assert len(raw) <= MOST_BYTES
    assert len(base64.b64encode(raw)) < MAX_VALUE_BYTES
    assert Incident.from_kv(raw) == incident


@pytest.mark.fault(55)
def test_whatever_their_names_and_reasons_are_the_most_servers_fit() -> None:
    draw = random.Random(55)
    many = {str(uuid.UUID(int=draw.getrandbits(128))): a_server_called_in_cjk(draw) for _ in range(MOST_SERVERS)}
    story = tuple(Step(NOW, IncidentState.EVACUATING, "ha-1", "".join(draw.choices(CJK, k=300))) for _ in range(500))
    incident = an_incident(state=IncidentState.EVACUATING, servers=many, listed=True, steps=story)
    raw = incident.to_kv()
    assert len(raw) <= MOST_BYTES
    read = Incident.from_kv(raw)
    assert read.servers.keys() == many.keys()
    assert all(read.servers[server].migration == many[server].migration for server in many)
    assert all(many[server].name.startswith(read.servers[server].name) for server in many)


@pytest.mark.fault(55)
def test_a_line_of_the_story_and_a_question_are_bounded_by_bytes() -> None:
    incident = an_incident().noting(NOW, "ha-1", "漢" * 5000).asking(Closed(Gate.NOVA_FAILS, "漢" * 5000))
    assert max(len(incident.steps[-1].what.encode()), len(incident.reason.encode())) <= 1000


def test_consul_takes_it_in_a_transaction() -> None:
    store, incident = FakeStore(), an_evacuating(MOST_SERVERS)
    assert isinstance(store.commit([cas(open_incident("c1"), incident.to_kv(), 0)]), Committed)
    entry = store.get(open_incident("c1"))
    assert entry is not None
    assert Incident.from_kv(entry.value).servers == incident.servers


@pytest.mark.parametrize("count", [0, 1, 50, 500])
def test_an_ordinary_incident_stays_json_that_everybody_can_read(count: int) -> None:
    incident = an_evacuating(count, steps=50)
    record = json.loads(incident.to_kv())
    assert len(record.get("servers", {})) == count
    assert record == incident.to_values()


def test_the_story_is_shortened_before_anything_is_packed() -> None:
    incident = an_evacuating(500, steps=3000)
    record = json.loads(incident.to_kv())
    assert "packed_servers" not in record
    assert "lines are left out" in json.dumps(record["steps"])


def test_a_packed_incident_has_a_version_that_older_programs_refuse_and_its_json_is_whole() -> None:
    incident = an_evacuating(MOST_SERVERS, steps=5000)
    record = json.loads(incident.to_kv())
    assert record["version"] == 3
    assert "servers" not in record
    assert len(incident.to_values()["servers"]) == MOST_SERVERS
    assert Incident.from_kv(incident.to_kv()).servers == incident.servers
    assert len(incident.to_kv()) <= MOST_BYTES


def packed(raw: bytes) -> str:
    return base64.b64encode(zlib.compress(raw)).decode()


@pytest.mark.parametrize(
    "value",
    [
        7,
        None,
        "",
        "no base64 \u00e9",
        base64.b64encode(b"not packed").decode(),
        packed(b'{"a": 1}')[:-8],
        packed(b"[]"),
        packed(b'{"a": 1}'),
        packed(b"{" + b" " * (70 * 1024 * 1024)),
    ],
    ids=["number", "null", "empty", "letters", "unpacked", "cut-off", "list", "no-server", "bomb"],
)
def test_packed_servers_that_cannot_be_unpacked_are_refused(value: object) -> None:
    record = {**replace(an_evacuating(0), listed=True).to_values(), "version": 2, "packed_servers": value}
    with pytest.raises(BadValue) as caught:
        Incident.from_kv(json.dumps(record).encode())
    assert len(str(caught.value)) < 250
