"""The recorder of a run, on a real Consul: it sees what was written, taken, let go and deleted, and when."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kit.audit import Cluster, Trace
from kit.audit.keys import Keys
from kit.machines.consul import ConsulCluster
from kit.machines.follower import ConsulEndpoint
from kit.machines.recorder import Recorder
from nova_ha.consul.store import Store, connect
from nova_ha.consul.transaction import delete, lock, put
from nova_ha.sandbox.waiting import until

LOCK = "ha_cluster/compute_nodes/c1/internal/.lock"


@pytest.fixture(scope="module")
def consul() -> Iterator[ConsulCluster]:
    with ConsulCluster(acl=True) as cluster:
        yield cluster


@pytest.fixture
def operator(consul: ConsulCluster) -> Store:
    return connect(access(consul), call_timeout_s=5.0)


@pytest.fixture
def recorder(consul: ConsulCluster) -> Iterator[Recorder]:
    nobody = ConsulEndpoint({"CONSUL_HTTP_ADDR": "127.0.0.1:1"})
    with Recorder(consul.directory, [nobody, ConsulEndpoint(access(consul))]) as running:
        yield running


def access(consul: ConsulCluster) -> dict[str, str]:
    [server] = consul.servers.values()
    return {**server.access, "CONSUL_HTTP_TOKEN": consul.datacenter.management_token}


def seen(recorder: Recorder) -> Trace:
    recorder.catch_up()
    return recorder.trace(Cluster(("c1",), ("ha-1",)))


def test_a_lock_is_seen_taken_and_deleted_with_its_session(recorder: Recorder, operator: Store) -> None:
    session = operator.create_session("nova-ha c1", 10, 1)
    operator.commit([lock(LOCK, session)])
    held = Keys(seen(recorder)).holdings(LOCK)[-1]
    assert (held.session, held.name, held.ended, held.lock_indexes) == (session, "nova-ha c1", None, (1,))
    assert held.node
    operator.destroy_session(session)
    trace = seen(recorder)
    assert Keys(trace).holdings(LOCK)[-1].ended
    assert not Keys(trace).session_lives(session)


def test_a_value_is_seen_with_its_index_and_its_end(recorder: Recorder, operator: Store) -> None:
    operator.commit([put("ha_cluster/x", b"\xff1")])
    index = operator.list("ha_cluster/x")[0].index
    until(lambda: any(c.key == "ha_cluster/x" for c in recorder.trace(Cluster((), ())).kv), "the change", 60)
    operator.commit([delete("ha_cluster/x")])
    changes = Keys(seen(recorder)).changes("ha_cluster/x")
    assert [(change.value, change.index >= index) for change in changes] == [(b"\xff1", True), (None, True)]
    assert changes[0].index == index
    assert all(change.earliest <= change.at for change in changes)


def test_how_processes_were_called_is_seen(recorder: Recorder, consul: ConsulCluster) -> None:
    def argv() -> list[str]:
        outputs = recorder.trace(Cluster((), ())).outputs
        return [output.text for output in outputs if output.name.startswith("argv ")]

    until(lambda: sum("consul agent -config-file" in text for text in argv()) >= 2, "both agents", 60)
