"""The operator's commands on a real Consul under default deny, with no more than the operator's own policy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from kit.machines.consul import ConsulCluster
from nova_ha.clock import SystemClock, from_stamp, to_key
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import Incident, IncidentState
from nova_ha.cluster.registry import NodeSettings, add_compute_node
from nova_ha.cluster.schema import WAKE, closed_incident, compute_node, open_incident
from nova_ha.cluster.view import read_view
from nova_ha.compute import ComputeService, Migration, Server, ServerID, ServiceReading
from nova_ha.consul.store import Store, connect
from nova_ha.consul.transaction import Committed, delete, lock, put
from nova_ha.consul.values import SessionID
from nova_ha.errors import Refused, TryAgain
from nova_ha.recovery import operator
from nova_ha.recovery.driver_clients import Answer, Sight
from nova_ha.recovery.reset import reset
from nova_ha.sandbox.consul import CONFIGURATION

CLOCK = SystemClock()
HOUR = timedelta(hours=1)


class Nova:
    """A nova-compute that was fenced by us and reports again."""

    call_timeout_s = 8.0

    def __init__(self, host: str) -> None:
        self.now = ComputeService("id", host, False, False, True, "nova-ha: failed", datetime.now(UTC))

    def service(self, host: str) -> ServiceReading:
        moment = datetime.now(UTC)
        self.now = replace(self.now, updated_at=moment, up=not self.now.forced_down)
        return ServiceReading(self.now, moment)

    def evacuations(self, host: str) -> Sequence[Migration]:
        return []

    def server(self, server_id: ServerID) -> Server | None:
        return None

    def force_down(self, service_id: str, down: bool) -> None:
        self.now = replace(self.now, forced_down=down)

    def enable(self, service_id: str) -> None:
        self.now = replace(self.now, enabled=True, disabled_reason="")


@pytest.fixture(scope="module")
def guarded() -> Iterator[ConsulCluster]:
    with ConsulCluster(acl=True) as cluster:
        cluster.datacenter.define_policy("operator", (CONFIGURATION / "acl/operator.hcl").read_text())
        yield cluster


@pytest.fixture(scope="module")
def token(guarded: ConsulCluster) -> str:
    return guarded.datacenter.token("ann", ["operator"])


@pytest.fixture
def store(guarded: ConsulCluster, token: str) -> Store:
    """The operator's store, with one node, c1, that is failed and waits because its BMC was not reached."""
    store = connect({**guarded.agents["ha-1"].access, "CONSUL_HTTP_TOKEN": token})
    for entry in store.list("ha_cluster/"):
        store.commit([delete(entry.key)])
    add_failed_node(store, "c1")
    return store


def add_failed_node(store: Store, name: str) -> None:
    add_compute_node(store, name, NodeSettings(ssh_user="probe", ssh_password="x"))
    incident = Incident(
        name,
        CLOCK.now().replace(microsecond=0),
        IncidentState.NEEDS_OPERATOR,
        before=IncidentState.FENCING,
        gate=Gate.BMC_UNREACHABLE,
        reason="timed out",
    )
    store.commit(
        [
            put(compute_node(name, "status/failed"), b"True"),
            put(compute_node(name, "status/recovered"), b"True"),
            put(open_incident(name), incident.to_kv()),
            put(WAKE, b"before"),
        ]
    )


def woken(store: Store) -> bool:
    entry = store.get(WAKE)
    return entry is not None and entry.value != b"before"


def lock_of(name: str) -> str:
    return compute_node(name, "internal/.lock")


def driver_claims(guarded: ConsulCluster, name: str, lock_delay_s: int) -> SessionID:
    driver = guarded.store()
    session = driver.create_session("driver", 60, lock_delay_s)
    assert isinstance(driver.commit([lock(lock_of(name), session)]), Committed)
    return session


def sees_it(node: object, limit_s: float) -> Sight:
    return Sight(Answer.ANSWERS, "login works")


def test_each_decision_is_written_with_the_operators_rights(store: Store) -> None:
    operator.approve(store, CLOCK, ["c1"], by="ann", why="seen it")
    operator.pause(store, CLOCK, by="ann", why="upgrade")
    operator.maintenance(store, CLOCK, "c1", until=CLOCK.now() + HOUR, by="ann")
    view = read_view(store)
    node = view.compute_nodes["c1"]
    assert node.approval is not None
    assert node.maintained(CLOCK.now())
    assert view.paused
    assert woken(store)
    assert operator.resume(store) == view.pause
    assert operator.end_maintenance(store, CLOCK, "c1")
    operator.confirm_off(store, CLOCK, "c1", by="ann")
    incident = read_view(store).incident("c1")
    assert incident is not None
    assert incident.receipt is not None


def test_a_retry_puts_the_incident_into_history(store: Store) -> None:
    done = operator.retry(store, CLOCK, "c1", by="ann")
    assert store.get(open_incident("c1")) is None
    archived = store.get(closed_incident("c1", to_key(from_stamp(done.archived))))
    assert archived is not None
    assert Incident.from_kv(archived.value).state is IncidentState.WITHDRAWN
    assert not read_view(store).compute_nodes["c1"].recovered
    assert woken(store)


def test_a_returning_node_is_reset_and_its_lock_is_free_at_once(guarded: ConsulCluster, store: Store) -> None:
    nova = Nova("c1")
    reset(store, CLOCK, "c1", nova, sees_it, by="ann")  # type: ignore[arg-type]
    node = read_view(store).compute_nodes["c1"]
    assert (node.failed, node.recovered, node.lock_session) == (False, False, "")
    assert (nova.now.forced_down, nova.now.enabled) == (False, True)
    assert woken(store)
    session = driver_claims(guarded, "c1", 1)
    assert read_view(store).compute_nodes["c1"].lock_session == session
    store.commit([delete(lock_of("c1"))])
    store.destroy_session(session)


def test_nothing_is_done_while_a_driver_holds_the_lock_or_its_delay_runs(
    guarded: ConsulCluster, store: Store
) -> None:
    """On a node of its own: its delay goes on after the test, so that it surely runs within it."""
    add_failed_node(store, "c2")
    session = driver_claims(guarded, "c2", 60)
    nova = Nova("c2")
    for command in (
        lambda: reset(store, CLOCK, "c2", nova, sees_it, by="ann"),  # type: ignore[arg-type]
        lambda: operator.confirm_off(store, CLOCK, "c2", by="ann"),
        lambda: operator.retry(store, CLOCK, "c2", by="ann"),
    ):
        with pytest.raises(Refused, match="is held"):
            command()
    store.destroy_session(session)
    with pytest.raises(TryAgain, match="lock delay"):
        reset(store, CLOCK, "c2", nova, sees_it, by="ann")  # type: ignore[arg-type]
    assert nova.now.forced_down
    assert not woken(store)
