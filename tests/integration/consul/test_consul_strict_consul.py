"""The store behind the rules of today's Consul: nothing that it sends breaks one, and what it is refused it says."""

from __future__ import annotations

import http.client
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from kit.machines.by_hand import unlock, write_by_hand
from kit.machines.consul import ConsulCluster
from kit.machines.sessions import session_ids
from kit.machines.strict_proxy import StrictProxy
from nova_ha.clock import SystemClock, to_stamp
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import Incident, IncidentState, ServerProgress, ServerState
from nova_ha.cluster.registry import (
    NodeSettings,
    add_compute_node,
    add_ha_node,
    remove_compute_node,
    remove_ha_node,
    set_option,
)
from nova_ha.cluster.schema import INCIDENTS_CLOSED, RECOVERY_SEMAPHORE, closed_incident, compute_node, open_incident
from nova_ha.cluster.view import read_view, with_left_behind
from nova_ha.consul.semaphore import Semaphore
from nova_ha.consul.session import Session
from nova_ha.consul.store import Store, connect
from nova_ha.consul.transaction import Committed, cas, delete, delete_cas, held, lock, put, unchanged
from nova_ha.consul.values import is_key
from nova_ha.errors import ConfigError, ConsulError, NotAllowed
from nova_ha.recovery import operator
from nova_ha.recovery.archive import into_history, last_incident
from nova_ha.sandbox.consul import CONFIGURATION
from nova_ha.sandbox.waiting import until

BEGAN = datetime(2030, 1, 1, 12, 0, 45, tzinfo=UTC)
CLOCK = SystemClock()
BIN = Path(sys.executable).parent
NUMBERS = itertools.count(1)


@pytest.fixture
def proxy(consul: ConsulCluster) -> Iterator[StrictProxy]:
    with StrictProxy(consul.agents["ha-1"].http_address, "127.0.0.1") as strict:
        yield strict


@pytest.fixture
def strict(proxy: StrictProxy) -> Iterator[Store]:
    """The store of a client that knows only the strict one; all that the test did must have kept the rules."""
    yield connect({"CONSUL_HTTP_ADDR": proxy.address})
    assert proxy.violations == []


@pytest.fixture
def cluster(strict: Store) -> Iterator[Store]:
    """An HA node and the compute node c1, registered through it."""
    add_ha_node(strict, "ha-1")
    add_compute_node(strict, "c1", NodeSettings(ssh_user="probe", ssh_password="x"))
    yield strict
    for entry in strict.list("ha_cluster/"):
        assert isinstance(strict.commit([delete(entry.key)]), Committed)


def ended(began: datetime = BEGAN, *, failed: bool = False) -> Incident:
    server = ServerProgress("s1", "active", ServerState.FAILED if failed else ServerState.EVACUATED)
    return Incident("c1", began, IncidentState.FINISHED, listed=True, servers={"s1": server})


def by_an_older_one(store: Store, incident: Incident) -> str:
    """Put the incident into history under the key that it had before; return the key."""
    key = closed_incident(incident.node, to_stamp(incident.started))
    write_by_hand(store, cas(key, incident.to_kv(), 0))
    return key


# --- what the proxy is


@pytest.mark.parametrize(
    ("path", "status"),
    [("/v1/kv/a:b", 500), ("/v1/kv/a b", 500), ("/v1/kv/a/../b", 400), ("/v1/kv/a?token=x", 403), ("/v1/kv/a", 404)],
)
def test_the_strict_one_refuses_what_newer_servers_do(proxy: StrictProxy, path: str, status: int) -> None:
    connection = http.client.HTTPConnection(proxy.address)
    connection.request("GET", path.replace(" ", "%20"))
    assert connection.getresponse().status == status
    connection.close()
    assert len(proxy.violations) == (status != 404)


def test_the_strict_one_refuses_a_write_that_is_too_long(proxy: StrictProxy) -> None:
    with pytest.raises(ConsulError):
        connect({"CONSUL_HTTP_ADDR": proxy.address}).commit([put("x", b"x" * (512 * 1024))])
    assert "too large" in proxy.violations[0]


# --- every operation


def test_every_operation_of_the_store_keeps_the_rules(strict: Store, prefix: str) -> None:
    key, session = f"{prefix}/a", strict.create_session("trial", 15, 1)
    assert strict.renew_session(session)
    assert session in session_ids(strict)
    done = strict.commit([cas(key, b"1", 0), put(f"{prefix}/b", b"2"), lock(f"{prefix}/.lock", session)])
    assert isinstance(done, Committed)
    assert isinstance(strict.commit([held(f"{prefix}/.lock", session), unchanged(key, done.indexes[key])]), Committed)
    assert [entry.key for entry in strict.list(prefix)] == list(strict.keys(prefix))
    assert strict.get(key) is not None
    assert strict.get(f"{prefix}/absent") is None
    assert strict.node_name() == "ha-1"
    assert strict.fetch("/v1/health/service/nova-ha") == []
    last = [unlock(f"{prefix}/.lock", session), delete_cas(key, done.indexes[key]), delete(f"{prefix}/b")]
    assert isinstance(strict.commit(last), Committed)
    strict.destroy_session(session)


@pytest.mark.parametrize("name", ["a:b", "a b", "ü/ß", "100%", "a..b", " a", "a#b"])
def test_a_key_that_somebody_put_there_is_read_whatever_its_name(
    strict: Store, store: Store, prefix: str, name: str
) -> None:
    key = f"{prefix}/{name}"
    write_by_hand(store, put(key, b"1"))
    entry = strict.get(key)
    assert entry is not None
    assert (entry.key, entry.value) == (key, b"1")
    assert strict.list(prefix + "/") == [entry]
    assert isinstance(strict.commit([cas(key, b"2", entry.index)]), Committed)
    assert isinstance(strict.commit([delete(key)]), Committed)
    assert strict.get(key) is None


def test_the_longest_incident_that_is_written_keeps_the_bound(strict: Store, prefix: str) -> None:
    servers = {f"s{n}": ServerProgress(f"server {n}", "active", reason="x" * 500) for n in range(2000)}
    raw = replace(ended(), servers=servers).to_kv()
    assert isinstance(strict.commit([cas(f"{prefix}/incident", raw, 0)]), Committed)


def test_a_new_key_with_such_a_name_is_not_even_sent(strict: Store, proxy: StrictProxy, prefix: str) -> None:
    for operation in (put(f"{prefix}/a:b", b""), cas(f"{prefix}/a..b", b"", 0)):
        with pytest.raises(ConfigError, match="is not written"):
            strict.commit([operation])
    assert strict.list(prefix) == []
    assert proxy.written == set()


def test_every_key_of_a_registration_and_an_operators_day_has_a_good_name(cluster: Store, proxy: StrictProxy) -> None:
    set_option(cluster, "monitor/fail_threshold", "5")
    operator.pause(cluster, CLOCK, by="ann", why="upgrade")
    operator.resume(cluster)
    operator.maintenance(cluster, CLOCK, "c1", until=CLOCK.now() + timedelta(hours=1), by="ann", why="disks")
    operator.end_maintenance(cluster, CLOCK, "c1")
    semaphore = Semaphore.read(cluster, RECOVERY_SEMAPHORE)
    session = cluster.create_session("trial", 15, 0)
    taken = semaphore.take(session, 2)
    assert isinstance(taken, list)
    assert isinstance(cluster.commit([*taken, lock(compute_node("c1", "internal/.lock"), session)]), Committed)
    cluster.destroy_session(session)
    failed = [put(compute_node("c1", f"status/{leaf}"), b"True") for leaf in ("failed", "recovered")]
    waiting = replace(
        ended(), state=IncidentState.NEEDS_OPERATOR, before=IncidentState.FENCING, gate=Gate.BMC_UNREACHABLE
    )
    assert isinstance(cluster.commit([*failed, put(open_incident("c1"), waiting.to_kv())]), Committed)
    operator.approve(cluster, CLOCK, ["c1"], by="ann", why="looked")
    operator.confirm_off(cluster, CLOCK, "c1", by="ann")
    operator.retry(cluster, CLOCK, "c1", by="ann")
    assert isinstance(cluster.commit([put(compute_node("c1", "status/failed"), b"False")]), Committed)
    remove_compute_node(cluster, "c1")
    remove_ha_node(cluster, "ha-1")
    assert closed_incident("c1", "20300101T120045.000Z") in proxy.written
    assert [key for key in proxy.written if not is_key(key)] == []


# --- the history of an older nova-ha


def test_what_an_older_one_left_is_the_last_incident(cluster: Store) -> None:
    by_an_older_one(cluster, ended())
    assert last_incident(cluster, "c1") == ended()


def test_of_both_forms_the_later_moment_is_the_last_incident(cluster: Store) -> None:
    for began in (BEGAN, BEGAN + timedelta(hours=2)):
        by_an_older_one(cluster, ended(began))
    assert isinstance(cluster.commit([into_history(cluster, ended(BEGAN + timedelta(hours=1)))]), Committed)
    assert last_incident(cluster, "c1") == ended(BEGAN + timedelta(hours=2))


def test_an_incident_that_a_backup_brings_back_ends_over_its_old_record(cluster: Store, proxy: StrictProxy) -> None:
    key = by_an_older_one(cluster, ended(failed=True))
    assert isinstance(cluster.commit([into_history(cluster, ended())]), Committed)
    assert list(cluster.keys(INCIDENTS_CLOSED)) == [key]
    assert last_incident(cluster, "c1") == ended()


def test_servers_that_an_older_one_left_behind_are_still_said(cluster: Store) -> None:
    by_an_older_one(cluster, ended(failed=True))
    failed = [put(compute_node("c1", f"status/{leaf}"), b"True") for leaf in ("failed", "recovered")]
    assert isinstance(cluster.commit(failed), Committed)
    assert with_left_behind(cluster, read_view(cluster)).left_behind == {"c1": {ServerState.FAILED: 1}}


# --- what a refusal says


def test_a_read_over_the_rate_limit_is_one_line_and_the_next_one_works(
    strict: Store, proxy: StrictProxy, prefix: str
) -> None:
    calls = (
        lambda: strict.get(prefix),
        lambda: strict.get(prefix + ":"),
        lambda: strict.list(prefix),
        lambda: session_ids(strict),
    )
    proxy.limit_rate(len(calls))
    for call in calls:
        with pytest.raises(ConsulError, match="rate limit is reached") as caught:
            call()
        assert "limits" in caught.value.remedy
    assert proxy.limited == len(calls)
    assert strict.get(prefix) is None


def test_a_write_over_the_rate_limit_is_known_not_to_have_happened(
    strict: Store, proxy: StrictProxy, store: Store, prefix: str
) -> None:
    """A ConsulError, not an OutcomeUnknown: nobody needs to look."""
    proxy.limit_rate(2)
    with pytest.raises(ConsulError, match="rate limit is reached"):
        strict.commit([cas(prefix, b"1", 0)])
    with pytest.raises(ConsulError, match="rate limit is reached"):
        strict.create_session("trial", 15, 1)
    assert store.get(prefix) is None
    assert isinstance(strict.commit([cas(prefix, b"1", 0)]), Committed)


def test_a_session_outlives_a_rate_limit_that_ends_in_time(strict: Store, proxy: StrictProxy) -> None:
    session = Session.create(strict, "driver", 10, 1)
    session.keep_alive()
    proxy.limit_rate(3)
    until(lambda: proxy.limited == 3, "three renewals to be refused")
    until(lambda: strict.renew_session(session.id), "a renewal to be taken")
    assert not session.lost
    session.end()


@pytest.mark.parametrize("program", ["nova-ha-check-cluster", "nova-ha-check-ssh", "nova-ha-check-bmc"])
def test_a_check_says_that_the_rate_limit_is_reached_and_works_again_afterwards(
    cluster: Store, proxy: StrictProxy, program: str
) -> None:
    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(BIN / program)], env={"CONSUL_HTTP_ADDR": proxy.address}, capture_output=True, text=True
        )

    proxy.limit_rate(1)
    limited = run()
    assert (limited.returncode, len(limited.stdout.splitlines())) == (1, 1)
    assert "Consul's rate limit is reached" in limited.stdout
    assert "rate limit" not in run().stdout


# --- tokens


@pytest.fixture(scope="module")
def listing() -> Iterator[ConsulCluster]:
    """A cluster under default deny whose servers ask for `list`."""
    with ConsulCluster(acl=True, key_list_policy=True) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def reading() -> Iterator[ConsulCluster]:
    """A cluster under default deny with Consul's default."""
    with ConsulCluster(acl=True) as cluster:
        yield cluster


def test_the_token_is_never_in_the_address(listing: ConsulCluster) -> None:
    agent = listing.agents["ha-1"]
    with StrictProxy(agent.http_address, "127.0.0.1") as proxy:
        store = connect({"CONSUL_HTTP_ADDR": proxy.address, "CONSUL_HTTP_TOKEN": agent.token})
        session = store.create_session("trial", 15, 1)
        key = "ha_cluster/locks/trial"
        assert isinstance(store.commit([lock(key, session)]), Committed)
        assert isinstance(store.commit([unlock(key, session)]), Committed)
        store.destroy_session(session)
        assert store.get(key) is not None
        assert store.get("ha_cluster/locks/a:b") is None
        store.node_name()
        read_view(store)
        assert proxy.violations == []


def before_list(cluster: ConsulCluster) -> dict[str, str]:
    """Return the environment of an HA node whose token has the policy of before: it reads, and lists nothing."""
    rules, changed = re.subn('"list"', '"read"', (CONFIGURATION / "acl/ha-node.hcl").read_text())
    assert changed == 1
    name = f"before-{next(NUMBERS)}"
    cluster.datacenter.define_policy(name, rules)
    agent = cluster.agents["ha-1"]
    return {**agent.access, "CONSUL_HTTP_TOKEN": cluster.datacenter.token(name, [name], node=agent.name)}


def doctors_words(environ: dict[str, str]) -> dict[str, str]:
    """Return what `nova-ha doctor` finds bad about Consul, by its subject."""
    done = subprocess.run(
        [str(BIN / "nova-ha"), "doctor", "--quick", "--json"], env=environ, capture_output=True, text=True
    )
    found = [row for row in json.loads(done.stdout) if row["area"] == "Consul" and row["level"] == "bad"]
    return {row["subject"]: f"{row['what']} => {row['remedy']}" for row in found}


@pytest.mark.parametrize("shipped", ["ha-node", "operator"])
def test_the_shipped_policies_may_list_where_the_servers_ask_for_it(listing: ConsulCluster, shipped: str) -> None:
    name = f"shipped-{next(NUMBERS)}"
    listing.datacenter.define_policy(name, (CONFIGURATION / f"acl/{shipped}.hcl").read_text())
    token = listing.datacenter.token(name, [name], node="ha-1")
    environ = {**listing.agents["ha-1"].access, "CONSUL_HTTP_TOKEN": token}
    assert read_view(connect(environ)).compute_nodes == {}
    assert doctors_words(environ) == {}


def test_with_a_policy_that_only_reads_the_list_is_refused_and_the_doctor_names_the_right(
    listing: ConsulCluster,
) -> None:
    environ = before_list(listing)
    with pytest.raises(NotAllowed, match="the list of keys under ha_cluster/"):
        read_view(connect(environ))
    found = doctors_words(environ)
    assert "the list of keys under ha_cluster/" in found["agent"]
    assert "it must not list key 'ha_cluster/config/' => give the token the policy of consul.d/acl/" in found["token"]


def test_where_the_servers_do_not_ask_for_it_such_a_policy_is_enough(reading: ConsulCluster) -> None:
    """No false alarm: with the option off, as Consul has it, `read` lists."""
    environ = before_list(reading)
    assert read_view(connect(environ)).compute_nodes == {}
    assert doctors_words(environ) == {}
