"""The table of `nova_ha.recovery.servers` on a real Nova: each state that can be produced, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from kit.clouds.real_cloud import RealCloud
from kit.machines.machine import RealMachine
from kit.stack import client, hosts
from nova_ha.cluster.incident import Incident, ServerProgress, ServerState
from nova_ha.compute import Server
from nova_ha.compute.states import VMState

FOR_EVER_S = 3600.0


@dataclass(frozen=True)
class Row:
    """What a server was when its host failed; what was done, and why; what it is afterwards.

    `task` is what Nova had begun with it, for which it waits for the dead host.
    """

    was: VMState
    done: ServerState
    why: str
    becomes: VMState
    runs: bool = False
    task: str = ""


ROWS = {
    "active": Row(VMState.ACTIVE, ServerState.EVACUATED, "", VMState.ACTIVE, runs=True),
    "locked": Row(VMState.ACTIVE, ServerState.EVACUATED, "", VMState.ACTIVE, runs=True),
    "stopped": Row(VMState.STOPPED, ServerState.EVACUATED, "", VMState.STOPPED),
    "error": Row(VMState.ERROR, ServerState.EVACUATED, "", VMState.ACTIVE, runs=True),
    "paused": Row(VMState.PAUSED, ServerState.EVACUATED, "was paused", VMState.STOPPED),
    "suspended": Row(VMState.SUSPENDED, ServerState.EVACUATED, "was suspended", VMState.STOPPED),
    "rescued": Row(VMState.RESCUED, ServerState.EVACUATED, "was in rescue", VMState.STOPPED),
    "resized": Row(VMState.RESIZED, ServerState.FAILED, "waits for its resize", VMState.RESIZED),
    "shelved": Row(VMState.SHELVED, ServerState.SKIPPED, "is shelved", VMState.SHELVED),
    "building": Row(VMState.BUILDING, ServerState.FAILED, "was being built", VMState.BUILDING, task="spawning"),
    "soft-deleted": Row(VMState.SOFT_DELETED, ServerState.SKIPPED, "is deleted", VMState.SOFT_DELETED),
    "stopping": Row(VMState.ACTIVE, ServerState.EVACUATED, "", VMState.ACTIVE, runs=True, task="powering-off"),
    "rebooting": Row(VMState.ACTIVE, ServerState.EVACUATED, "", VMState.ACTIVE, runs=True, task="rebooting_hard"),
    # Its message waits for the dead host: named at the end, with the queue to purge.
    "starting": Row(VMState.STOPPED, ServerState.EVACUATED, "", VMState.STOPPED, task="powering-on"),
    "deleting": Row(VMState.ACTIVE, ServerState.SKIPPED, "is being deleted", VMState.ACTIVE, task="deleting"),
    "soft-deleting": Row(VMState.ACTIVE, ServerState.SKIPPED, "is being del", VMState.ACTIVE, task="soft-deleting"),
}


@dataclass(frozen=True)
class Recovered:
    """A recovered host that had a server in each state; by the state's name."""

    cloud: RealCloud
    host: RealMachine
    servers: Mapping[str, str]
    incident: Incident
    offloaded: str

    def progress(self, name: str) -> ServerProgress:
        return self.incident.servers[self.servers[name]]

    def server(self, name: str) -> Server:
        return self.cloud.server(self.servers[name])


@pytest.fixture(scope="module")
def recovered(whole: RealCloud) -> Iterator[Recovered]:
    """It is taken back to work afterwards, which its servers that were left behind must not prevent."""
    host, elsewhere = whole.host(), whole.host()
    names = [name for name in ROWS if name not in ("resized", "building")]
    *made, offloaded = whole.load(host, len(names) + 1)
    servers = dict(zip(names, made, strict=True))
    whole.servers_of(host).remove(offloaded)
    put_into_states(whole, servers)
    whole.bring(offloaded, "shelve", VMState.SHELVED)
    whole.bring(offloaded, "shelve_offload", VMState.SHELVED_OFFLOADED)
    servers["resized"] = resized(whole, elsewhere, host)
    servers["building"] = building(whole, host)
    # What it begins must reach Nova before Nova misses the host: so it has logged in before.
    nova = client.nova()
    nova.servers.get(servers["stopping"])
    host.hang()
    begin_tasks(nova, servers)
    incident = whole.finished(host)
    hosts.mend(host.name)
    yield Recovered(whole, host, servers, incident, offloaded)
    whole.take_back(host)
    whole.forget(elsewhere)


def put_into_states(whole: RealCloud, servers: Mapping[str, str]) -> None:
    """Bring those servers that booted on the host into their states."""
    actions: Mapping[str, Callable[[str], object]] = {
        "stopped": client.nova().servers.stop,
        "starting": client.nova().servers.stop,
        "error": client.nova().servers.reset_state,
        "paused": client.nova().servers.pause,
        "suspended": client.nova().servers.suspend,
        "rescued": client.nova().servers.rescue,
        "shelved": client.nova().servers.shelve,
        "locked": client.nova().servers.lock,
        "soft-deleted": client.nova().servers.delete,
    }
    for name, act in actions.items():
        act(servers[name])
    for name, server in servers.items():
        whole.becomes(server, ROWS[name].was)


def begin_tasks(nova: Any, servers: Mapping[str, str]) -> None:
    """Let their owners begin with servers what only their host could end, which does not answer any more."""
    nova.servers.stop(servers["stopping"])
    nova.servers.start(servers["starting"])
    nova.servers.reboot(servers["rebooting"], reboot_type="HARD")
    nova.servers.force_delete(servers["deleting"])
    nova.servers.delete(servers["soft-deleting"])


def resized(whole: RealCloud, elsewhere: RealMachine, host: RealMachine) -> str:
    """Return a server that was moved to the host and waits for the confirmation."""
    [server] = client.boot(elsewhere.name, 1)
    whole.bring(server, "migrate", VMState.RESIZED, host=host.name)
    whole.took(host, server)
    return server


def building(whole: RealCloud, host: RealMachine) -> str:
    """Return a server that is being built on the host, and will never be ready."""
    hosts.slow_spawn(host.name, FOR_EVER_S)
    nova = client.nova()
    flavor = nova.flavors.find(name=client.FLAVOR)
    made = nova.servers.create("building", client.image_id(), flavor, nics="none", host=host.name)
    whole.wait(lambda: whole.server(made.id).task_state == "spawning", "a server to be in the making")
    whole.took(host, made.id)
    return str(made.id)


@pytest.mark.parametrize("name", ROWS)
def test_a_server_ends_as_the_table_says(recovered: Recovered, name: str) -> None:
    row, progress = ROWS[name], recovered.progress(name)
    assert (progress.vm_state, progress.task_state) == (row.was.value, row.task)
    assert progress.state is row.done, progress
    assert progress.reason.startswith(row.why) if row.why else not progress.reason, progress
    recovered.cloud.becomes(recovered.servers[name], row.becomes) if row.done is ServerState.EVACUATED else None
    found = recovered.server(name)
    assert found.vm_state is row.becomes
    moved = row.done is ServerState.EVACUATED
    assert (found.host != recovered.host.name) is moved
    guests = recovered.cloud.openstack.guests.get(recovered.servers[name], {})
    assert guests == ({found.host: row.runs} if moved else {})


def test_a_users_lock_stays(recovered: Recovered) -> None:
    assert recovered.server("locked").locked


def test_a_server_that_is_not_on_the_host_is_not_the_incidents(recovered: Recovered) -> None:
    assert recovered.offloaded not in recovered.incident.servers


def test_after_that_the_audit_names_what_was_left_and_nothing_is_open(recovered: Recovered) -> None:
    told = "\n".join(step.what for step in recovered.incident.steps)
    for name in ("resized", "building", "deleting", "soft-deleting"):
        assert f"{recovered.server(name).name} is still on {recovered.host.name}" in told
    host = recovered.host.name
    assert f"before nova-compute starts on {host}: `rabbitmqctl purge_queue compute.{host}`" in told
    assert f"{recovered.server('starting').name} (powering-on)" in told
    recovered.cloud.audit_nova(recovered.host)
