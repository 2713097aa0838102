"""Ways to a real agent beside host:port: its unix socket, and a proxy with an account, a path and TLS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from kit.machines.consul import ConsulCluster
from kit.machines.gatekeeper import PREFIX, Gatekeeper
from kit.machines.sessions import session_ids
from nova_ha.consul.store import connect
from nova_ha.consul.transaction import Committed, Rejected, cas, held, lock, put
from nova_ha.errors import ConsulError
from nova_ha.sandbox.certificates import Authority
from nova_ha.sandbox.consul import CONFIGURATION
from nova_ha.sandbox.waiting import until

BIN = Path(sys.executable).parent
PASSWORD = "s3:cr3t-ß"
ACCOUNT = f"ha:{PASSWORD}"
WAYS = ("socket", "proxy", "proxy with TLS")
DOCTOR = ("nova-ha", "doctor", "--quick", "--json")
COMMANDS = (
    ("nova-ha", "status"),
    DOCTOR,
    ("nova-ha-check-cluster",),
    ("nova-ha-handle-failures",),
    ("nova-ha-handle-recovery",),
)


@pytest.fixture(scope="module")
def guarded() -> Iterator[ConsulCluster]:
    """An HA node under ACLs that does its whole work through the socket of its agent."""
    with ConsulCluster(clients=0, acl=True) as cluster:
        address, socket = cluster.network.ha_node(1), cluster.directory / "http.sock"
        cluster.add(
            "ha-1",
            address,
            files=[CONFIGURATION / "ha-node.hcl"],
            settings={"addresses": {"http": f"{address} unix://{socket}"}},
            environ={"CONSUL_HTTP_ADDR": f"unix://{socket}", "NOVA_HA_RUN": str(cluster.directory)},
        )
        cluster.datacenter.await_members()
        cluster.store().commit([put("ha_cluster/ha_nodes/ha-1/status/in_use", b"False")])
        yield cluster


@pytest.fixture(scope="module")
def ways(guarded: ConsulCluster) -> Iterator[Mapping[str, Mapping[str, str]]]:
    """The variables of each way, with the token and nothing else."""
    agent, address = guarded.agents["ha-1"], guarded.network.ha_node(2)
    authority = Authority(guarded.directory / "proxys-ca")
    certificate = authority.server(address)
    with ExitStack() as running:
        plain = running.enter_context(Gatekeeper(agent, address, ACCOUNT))
        encrypted = running.enter_context(Gatekeeper(agent, address, ACCOUNT, certificate))
        token = {"CONSUL_HTTP_TOKEN": agent.token, "NOVA_HA_RUN": str(guarded.directory)}
        account = {**token, "CONSUL_HTTP_AUTH": ACCOUNT}
        yield {
            "socket": {**token, "CONSUL_HTTP_ADDR": f"unix://{guarded.directory}/http.sock"},
            "proxy": {**account, "CONSUL_HTTP_ADDR": plain.http_address},
            "proxy with TLS": {
                **account,
                "CONSUL_HTTP_ADDR": encrypted.http_address.replace("https:", "http:"),
                "CONSUL_HTTP_SSL": "t",
                "CONSUL_CACERT": str(certificate.ca),
            },
        }


def run(words: tuple[str, ...], environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CONSUL_", "OS_"))}
    return subprocess.run(
        [BIN / words[0], *words[1:]],
        env={**kept, **environ},
        capture_output=True,
        text=True,
        timeout=240,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("way", WAYS)
def test_reads_transactions_sessions_and_locks_work_by_every_way(
    ways: Mapping[str, Mapping[str, str]], way: str
) -> None:
    store = connect(ways[way])
    key = f"ha_cluster/locks/{way.replace(' ', '-')}"
    assert store.node_name() == "ha-1"
    assert (store.get(key), store.list(key), list(store.keys(key))) == (None, [], [])
    session = store.create_session("trial", 15, 1)
    try:
        assert isinstance(store.commit([cas(key, b"1", 0), lock(key, session, b"2")]), Committed)
        assert isinstance(store.commit([cas(key, b"3", 0)]), Rejected)
        assert isinstance(store.again().commit([held(key, session)]), Committed)
        found = store.get(key)
        assert found is not None
        assert (found.value, found.session) == (b"2", session)
        assert store.renew_session(session)
    finally:
        store.destroy_session(session)
    assert session not in session_ids(store)


@pytest.mark.parametrize("way", WAYS)
def test_commands_checks_and_handlers_work_by_every_way(ways: Mapping[str, Mapping[str, str]], way: str) -> None:
    done = {words: run(words, ways[way]) for words in COMMANDS}
    # The doctor misses Nova and compute nodes; of Consul it finds everything.
    for words, ended in done.items():
        assert ended.returncode == (1 if words == DOCTOR else 0), ended
        assert not [words for words in ("CONSUL_", PASSWORD) if words in ended.stdout + ended.stderr], ended
    assert "\nha-1 " in done["nova-ha", "status"].stdout
    found = {(row["subject"], row["level"]) for row in json.loads(done[DOCTOR].stdout) if row["area"] == "Consul"}
    assert {("ha-1", "ok"), ("token", "ok")} <= found
    assert done["nova-ha-check-cluster",].stdout.startswith("OK nothing waits")


@pytest.mark.parametrize("way", WAYS)
def test_a_driver_that_has_left_its_agent_works_by_every_way(
    guarded: ConsulCluster, ways: Mapping[str, Mapping[str, str]], way: str, tmp_path: Path
) -> None:
    log, node = tmp_path / "log", "ha_cluster/compute_nodes/c1/"
    own = {"NOVA_HA_LOG": str(log), "NOVA_HA_RUN": str(tmp_path)}
    guarded.store().commit([put(node + "status/failed", b"True"), put(node + "config/ssh/user", b"probe")])
    try:
        done = run(("nova-ha-handle-recovery",), {**ways[way], **own})
        assert (done.returncode, done.stdout) == (0, "a driver was started for c1\n"), done
        until(lambda: log.exists() and "host=c1 outcome=waits" in log.read_text(), "the driver to have looked at c1")
        assert PASSWORD not in log.read_text()
    finally:
        guarded.datacenter.ask(f"/v1/kv/{node}?recurse", method="DELETE")


def test_the_agents_own_checks_work_through_its_socket(guarded: ConsulCluster) -> None:
    def outputs() -> dict[str, str]:
        checks = guarded.agents["ha-1"].ask("/v1/agent/checks")
        return {name: check["Output"] for name, check in checks.items() if name.startswith("nova-ha-")}

    # Consul runs each for the first time at some moment of its interval, which is 60 s at most.
    found = until(lambda: (now := outputs()) and all(now.values()) and now, "every check to have run", 240)
    assert set(found) == {"nova-ha-ssh", "nova-ha-bmc", "nova-ha-cluster"}
    assert not [output for output in found.values() if "cannot tell" in output], found
    requests = [line for line in guarded.agents["ha-1"].log.read_text().splitlines() if "Request finished" in line]
    # So a request through the socket is logged.
    assert [line for line in requests if "url=/v1/kv/ha_cluster/" in line and "from=@ " in line]


@pytest.mark.parametrize("way", ["proxy", "proxy with TLS"])
@pytest.mark.parametrize("account", ["", "ha", "ha:another", "someone:" + PASSWORD])
def test_whoever_has_not_the_proxys_account_is_told_so_in_one_line(
    ways: Mapping[str, Mapping[str, str]], way: str, account: str
) -> None:
    for words in (("nova-ha", "status"), ("nova-ha-check-cluster",), ("nova-ha-handle-failures",)):
        done = run(words, {**ways[way], "CONSUL_HTTP_AUTH": account})
        said = done.stdout + done.stderr
        assert (done.returncode, len(said.splitlines())) == (1, 1), (words, done)
        assert "see CONSUL_HTTP_AUTH" in said
        assert not [secret for secret in (PASSWORD, "another", "someone") if secret in said]


def test_a_path_that_the_proxy_does_not_know_is_not_an_empty_cluster(ways: Mapping[str, Mapping[str, str]]) -> None:
    address = ways["proxy"]["CONSUL_HTTP_ADDR"].removesuffix(PREFIX)
    for words in (("nova-ha", "status"), ("nova-ha-check-cluster",), ("nova-ha-handle-failures",)):
        done = run(words, {**ways["proxy"], "CONSUL_HTTP_ADDR": address})
        assert (done.returncode, "see what answers at CONSUL_HTTP_ADDR" in done.stdout + done.stderr) == (1, True), (
            done
        )


@pytest.mark.parametrize("name", ["CONSUL_NAMESPACE", "CONSUL_PARTITION"])
def test_what_cannot_be_honoured_stops_everything_by_name(ways: Mapping[str, Mapping[str, str]], name: str) -> None:
    for words in COMMANDS:
        done = run(words, {**ways["socket"], name: "team-a"})
        said = done.stdout + done.stderr
        assert (done.returncode, len(said.splitlines())) == (1, 1), (words, done)
        assert f"{name} is 'team-a'" in said


def test_an_agent_that_ends_leaves_a_socket_that_is_named() -> None:
    with ConsulCluster(clients=0) as cluster:
        address, socket = cluster.network.ha_node(1), cluster.directory / "http.sock"
        agent = cluster.add("ha-1", address, settings={"addresses": {"http": f"{address} unix://{socket}"}})
        store = connect({"CONSUL_HTTP_ADDR": f"unix://{socket}"}, call_timeout_s=5)
        assert store.node_name() == "ha-1"
        agent.kill()
        for ask in (store.node_name, lambda: store.commit([put("x", b"1")])):
            with pytest.raises(ConsulError) as caught:
                ask()
            assert f"no Consul agent listens at the socket {socket}" in str(caught.value)
        agent.start()
        assert store.node_name() == "ha-1"
