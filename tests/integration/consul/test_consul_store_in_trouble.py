"""The store when Consul is not well: each trouble has its own line, and a lost answer is never a refusal."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from kit.machines.consul import ConsulCluster
from kit.machines.sessions import session_ids
from nova_ha.cluster.view import read_view
from nova_ha.consul.session import Session
from nova_ha.consul.store import Store, connect
from nova_ha.consul.transaction import Committed, cas, lock, put
from nova_ha.errors import ConsulError, OutcomeUnknown
from nova_ha.sandbox.waiting import until

# More than an agent sends to its server by itself, and less than the kernel keeps for a server that is stopped.
LONG = 32 * 1024


@pytest.fixture
def fragile() -> Iterator[ConsulCluster]:
    """A cluster that the test may break."""
    with ConsulCluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def guarded() -> Iterator[ConsulCluster]:
    """A cluster under default deny."""
    with ConsulCluster(acl=True) as cluster:
        yield cluster


def test_a_write_to_an_agent_that_hangs_is_unknown_and_is_found_by_looking(fragile: ConsulCluster) -> None:
    store = fragile.store(call_timeout_s=1)
    fragile.agents["ha-1"].suspend()
    with pytest.raises(OutcomeUnknown):
        store.commit([cas("k", b"1", 0)])
    fragile.agents["ha-1"].resume()
    # The request stood in the agent's queue: it is carried out after its answer was given up.
    patient = fragile.store(call_timeout_s=60)
    assert until(lambda: patient.get("k"), "the write to be seen").value == b"1"


@pytest.mark.fault(8)
def test_a_read_from_an_agent_that_hangs_is_an_error_in_time(fragile: ConsulCluster) -> None:
    store = fragile.store(call_timeout_s=1)
    fragile.agents["ha-1"].suspend()
    with pytest.raises(ConsulError, match="did not answer in time"):
        store.get("k")


def test_a_write_whose_agent_dies_in_the_middle_is_unknown(fragile: ConsulCluster) -> None:
    """The server is stopped, so that the agent is surely still at it when it dies."""
    store = fragile.store(call_timeout_s=300)
    assert store.get("k") is None
    fragile.servers["server-1"].suspend()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(store.commit, [cas("k", b"x" * LONG, 0)])
        until(lambda: forwards(fragile), "the agent to wait for the server")
        fragile.agents["ha-1"].kill()
        with pytest.raises(OutcomeUnknown):
            answer.result(120)


def forwards(cluster: ConsulCluster) -> bool:
    """True once the agent has sent so much that it must be the write, which the stopped server has not read."""
    server = cluster.servers["server-1"].address
    rows = open("/proc/net/tcp", encoding="ascii").read().splitlines()[1:]  # noqa: SIM115
    wanted = "".join(f"{int(part):02X}" for part in reversed(server.split("."))) + f":{8300:04X}"
    queued = [row.split() for row in rows]
    return any(row[1] == wanted and int(row[4].partition(":")[2], 16) >= LONG // 2 for row in queued)


@pytest.mark.fault(6)
@pytest.mark.fault(9)
def test_without_a_leader_nothing_is_given_and_nothing_was_written(fragile: ConsulCluster) -> None:
    store = fragile.store(call_timeout_s=15)
    fragile.servers["server-1"].kill()
    until(lambda: no_leader(store), "the agent to notice", every_s=0.2)
    for call in (
        lambda: store.list(""),
        lambda: store.commit([put("k", b"1")]),
        lambda: store.create_session("x", 15, 1),
    ):
        with pytest.raises(ConsulError, match="Consul has no leader"):
            call()


def no_leader(store: Store) -> bool:
    try:
        store.get("k")
    except ConsulError as error:
        return "no leader" in str(error)
    return False


def test_a_session_can_be_ended_when_nobody_answers(fragile: ConsulCluster) -> None:
    session = Session.create(fragile.store(call_timeout_s=1), "driver", 15, 1)
    session.keep_alive()
    fragile.agents["ha-1"].kill()
    session.end()
    assert session.lost


@pytest.mark.fault(13)
@pytest.mark.fault(34)
def test_a_session_of_an_agent_that_died_is_lost_with_its_lock(fragile: ConsulCluster) -> None:
    """serfHealth ends it, long before its TTL; whoever renews it through another agent learns it."""
    other = fragile.add("ha-2", fragile.network.ha_node(2))
    session = fragile.store().create_session("driver", 60, 1)
    store = connect(other.access)
    assert isinstance(store.commit([lock("k/.lock", session)]), Committed)
    fragile.agents["ha-1"].kill()
    renewing = Session(store, session, 0.5)
    renewing.keep_alive()
    until(lambda: renewing.lost, "the session to be lost")
    assert store.get("k/.lock") is None
    renewing.end()


@pytest.mark.fault(36)
def test_a_token_without_the_right_is_named_as_such(guarded: ConsulCluster) -> None:
    token = guarded.datacenter.token("nobody")
    store = connect({**guarded.agents["ha-1"].access, "CONSUL_HTTP_TOKEN": token})
    for call in (
        lambda: store.get("ha_cluster/paused"),
        lambda: store.commit([put("ha_cluster/wake", b"x")]),
        lambda: store.create_session("x", 15, 1),
        lambda: read_view(store),
    ):
        with pytest.raises(ConsulError, match="the token has not the right") as caught:
            call()
        assert "consul.d/acl" in caught.value.remedy
        assert token not in str(caught.value)


@pytest.mark.fault(36)
def test_a_token_that_consul_does_not_know_is_named_as_such(guarded: ConsulCluster) -> None:
    unknown = "6e6d3f60-7b0c-4e05-8f27-5f1a7a2f1b11"
    store = connect({**guarded.agents["ha-1"].access, "CONSUL_HTTP_TOKEN": unknown})
    for call in (lambda: store.list("ha_cluster/"), lambda: store.commit([put("ha_cluster/wake", b"x")])):
        with pytest.raises(ConsulError, match="does not know the token") as caught:
            call()
        assert unknown not in str(caught.value)


def test_an_ha_nodes_token_is_sent_with_every_kind_of_call(guarded: ConsulCluster) -> None:
    store = guarded.store()
    session = store.create_session("driver", 15, 1)
    key = "ha_cluster/compute_nodes/c1/internal/.lock"
    assert isinstance(store.commit([lock(key, session), put("ha_cluster/wake", b"1")]), Committed)
    assert store.renew_session(session)
    assert session in session_ids(store)
    assert store.node_name() == "ha-1"
    assert store.again().get(key) == store.get(key)
    assert read_view(store).compute_nodes["c1"].lock_session == session
    store.destroy_session(session)


def test_the_policy_is_the_operators_alone(guarded: ConsulCluster) -> None:
    with pytest.raises(ConsulError, match="ha_cluster/config/monitor/quorum"):
        guarded.store().commit([put("ha_cluster/config/monitor/quorum", b"1!")])
