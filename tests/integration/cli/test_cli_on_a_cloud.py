"""doctor, plan and node on the rehearsal cloud: real Consul, SSH, IPMI, and a Nova over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kit.machines.commands_at_work import Commands
from nova_ha.consul.store import Store
from nova_ha.sandbox.cloud import Sandbox
from nova_ha.sandbox.waiting import until

IDENTITY = "ha_cluster/compute_nodes/compute-1/config/bmc/identity"
HOST_KEY = "ha_cluster/compute_nodes/compute-1/config/ssh/host_key"


@pytest.fixture
def store(cloud: Sandbox) -> Iterator[Store]:
    """The operator's store; what a test changes of compute-1 is put back."""
    store = cloud.store()
    before = {entry.key: entry.value for entry in store.list("ha_cluster/compute_nodes/compute-1/config/")}
    yield store
    for key, value in before.items():
        store.client.kv.put(key, value)


def findings(at_cloud: Commands, *words: str) -> dict[tuple[str, str], dict[str, str]]:
    rows = at_cloud("doctor", "--quick", "--json", *words).values
    return {(row["area"], row["subject"]): row for row in rows}


def until_observed(at_cloud: Commands) -> None:
    until(lambda: at_cloud.well("ha-node", "list", "--json").values[0]["observes"], "ha-1 to observe")


def test_a_sound_cloud_has_nothing_bad(at_cloud: Commands) -> None:
    until_observed(at_cloud)
    ran = at_cloud("doctor")
    assert ran.code == 0, ran
    assert "0 bad" in ran.err
    assert "secret" not in ran.out + ran.err
    for words in ("token: it may do what an HA node and an operator do", "ha-1: room for", "compute-2: login as"):
        assert words in ran.out


@pytest.mark.fault(20)
def test_a_swapped_bmc_is_found_before_it_fences_a_healthy_host(at_cloud: Commands, store: Store) -> None:
    store.client.kv.put(IDENTITY, "005cb4e7-0989-eb11-8000-7cc255106afe")
    found = findings(at_cloud)["BMC", "compute-1"]
    assert found["level"] == "bad"
    assert "recorded is 005cb4e7" in found["what"]
    assert "nova-ha node set compute-1 --probe" in found["remedy"]


def test_a_wrong_password_is_found_at_ssh_and_at_the_bmc(at_cloud: Commands, store: Store) -> None:
    for service in ("ssh", "bmc"):
        store.client.kv.put(f"ha_cluster/compute_nodes/compute-1/config/{service}/password", "wrong-s3cret")
    found = findings(at_cloud)
    assert (found["SSH", "compute-1"]["level"], found["BMC", "compute-1"]["level"]) == ("bad", "bad")
    assert found["SSH", "compute-2"]["level"] == "ok"
    assert "s3cret" not in str(found)


def test_doctor_records_what_is_not_recorded_and_nothing_else(at_cloud: Commands, store: Store) -> None:
    recorded = {key: store.get(key) for key in (IDENTITY, HOST_KEY)}
    for key in (IDENTITY, HOST_KEY):
        store.client.kv.delete(key)
    found = findings(at_cloud)
    assert (found["BMC", "compute-1"]["level"], found["SSH", "compute-1"]["level"]) == ("warning", "warning")
    assert store.get(IDENTITY) is None
    assert findings(at_cloud, "--record")["record", "compute-1"]["what"] == "host key and BMC identity recorded"
    for key, before in recorded.items():
        after = store.get(key)
        assert after is not None
        assert before is None or after.value == before.value


def test_doctor_does_not_record_another_identity_over_a_recorded_one(at_cloud: Commands, store: Store) -> None:
    store.client.kv.put(IDENTITY, "005cb4e7-0989-eb11-8000-7cc255106afe")
    findings(at_cloud, "--record")
    after = store.get(IDENTITY)
    assert after is not None
    assert after.value == b"005cb4e7-0989-eb11-8000-7cc255106afe"


def test_the_rights_of_an_ha_node_are_enough_and_are_told_from_an_operators(
    at_cloud: Commands, cloud: Sandbox
) -> None:
    token = cloud.consul.clients["ha-1"].token
    rows = at_cloud("doctor", "--quick", "--json", CONSUL_HTTP_TOKEN=token).values
    [found] = [row for row in rows if row["subject"] == "token"]
    assert (found["level"], "nothing that only an operator does" in found["what"]) == ("ok", True)


@pytest.mark.fault(36)
def test_rights_that_a_driver_needs_and_lacks_are_named(at_cloud: Commands, cloud: Sandbox) -> None:
    rules = 'key_prefix "ha_cluster/" { policy = "read" }'
    cloud.consul.define_policy("reader", rules)
    token = cloud.consul.token("reader", ["reader"])
    rows = at_cloud("doctor", "--quick", "--json", CONSUL_HTTP_TOKEN=token).values
    [found] = [row for row in rows if row["subject"] == "token"]
    assert found["level"] == "bad"
    assert "write key 'ha_cluster/compute_nodes/'" in found["what"]
    assert "write session" in found["what"]


def test_without_nova_the_rest_is_tried_all_the_same(at_cloud: Commands) -> None:
    rows = at_cloud("doctor", "--quick", "--json", OS_AUTH_URL="http://127.17.255.1:9/v3").values
    levels = {(row["area"], row["level"]) for row in rows}
    assert ("Nova", "bad") in levels
    assert ("BMC", "ok") in levels


def test_a_plan_shows_the_servers_the_fence_and_the_room(at_cloud: Commands) -> None:
    until_observed(at_cloud)
    values = at_cloud.well("plan", "compute-2", "--json").values
    assert [server["would_be"] for server in values["servers"]] == ["evacuate", "evacuate"]
    assert "VCPU" in values["targets"]["ha-1"]
    gates = {gate["gate"]: gate for gate in values["gates"]}
    assert gates["answers"]["is"] == "closed"
    assert gates["bmc-identity"]["is"] == "open"


def test_adding_a_node_again_under_another_name_is_refused_by_its_bmcs_identity(
    at_cloud: Commands, cloud: Sandbox, store: Store
) -> None:
    bmc = {
        e.key.rpartition("/")[2]: e.value.decode()
        for e in store.list("ha_cluster/compute_nodes/compute-1/config/bmc/")
    }
    # The same BMC by another name of its address: only its identity gives it away.
    words = ("--bmc-ip", "::ffff:" + bmc["ip"], "--bmc-port", bmc["port"], "--bmc-user", bmc["user"])
    secret = f"probe-word\n{bmc['password']}\n"
    files = ("--ssh-user", "probe", "--ssh-password-file", "-", "--bmc-password-file", "-")
    ran = at_cloud("node", "add", "compute-9", *words, *files, given=secret)
    assert ran.code == 2, ran
    assert "BMC identity" in ran.err
    assert "compute-1" in ran.err


def test_ctrl_c_ends_a_watch_with_130(at_cloud: Commands) -> None:
    import signal
    import subprocess

    from kit.machines.commands_at_work import NOVA_HA

    watch = subprocess.Popen(
        [NOVA_HA, "status", "--watch"],
        env=at_cloud.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert watch.stdout is not None
    assert "compute nodes" in watch.stdout.readline()
    watch.send_signal(signal.SIGINT)
    out, err = watch.communicate(timeout=120)
    assert (watch.returncode, "Traceback" in out + err) == (130, False)
