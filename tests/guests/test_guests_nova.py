"""What Nova and libvirt are in the middle of when the host fails, with real guests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from kit.guests.cloud import GuestsCloud
from kit.stack import client
from nova_ha.cluster.incident import ServerState
from nova_ha.cluster.registry import NodeSettings, set_compute_node
from nova_ha.compute.states import VMState

# Some 40 MiB of a guest's memory are not empty.
SLOWLY_MIB_S = 1


@pytest.fixture(params=[0])
def migrating_hosts(cloud: GuestsCloud, request: pytest.FixtureRequest) -> Iterator[None]:
    """The compute hosts can migrate guests, so fast; with local disks, which come along.

    libvirt 9 migrates from a shared disk only where it knows the kind of file system, and calls all else unsafe.
    """
    names = list(cloud.machines)
    cloud.set_up_again(*names, shared=False, migration_mib_s=request.param)
    for name in names:
        set_compute_node(cloud.store(), name, NodeSettings(storage="local"))
    yield
    for name in names:
        set_compute_node(cloud.store(), name, NodeSettings(storage=""))
    cloud.set_up_again(*names, shared=True, migration_mib_s=0)


# So that a migration can be cut in the middle.
slowly = pytest.mark.parametrize("migrating_hosts", [SLOWLY_MIB_S], indirect=True)


def test_a_host_whose_libvirtd_died_first_is_recovered_all_the_same(cloud: GuestsCloud) -> None:
    """Nova disables its service by itself, with a reason that is nobody's wish."""
    host = cloud.loaded_host(2)
    os.kill(host.host.process("libvirtd"), signal.SIGKILL)

    def disabled() -> bool:
        reading = cloud.nova.service(host.name)
        return reading is not None and reading.service.disabled_reason.startswith("AUTO:")

    cloud.wait(disabled, "Nova to disable it")
    cloud.write_on(*cloud.servers_of(host))
    host.hang()
    cloud.audit_moved(host)
    cloud.take_back(host)


def test_a_guest_is_migrated_live_and_never_blinks(cloud: GuestsCloud, migrating_hosts: None) -> None:
    """That the other two mean something: QEMU to QEMU works in emulation."""
    source, target = cloud.loaded_host(1), cloud.host()
    [server] = cloud.servers_of(source)
    cloud.beside(server, source.name, target.name)
    client.nova().servers.live_migrate(server, target.name, block_migration=True)
    cloud.wait(lambda: cloud.server(server).host == target.name, "the migration")
    cloud.becomes(server, VMState.ACTIVE)
    cloud.write_on(server)
    assert cloud.guests_of(target) == {server}
    cloud.give_up(source, target)


@slowly
def test_a_live_migration_that_dies_with_its_source_is_named_and_not_evacuated(
    cloud: GuestsCloud, migrating_hosts: None
) -> None:
    source, target = cloud.loaded_host(1), cloud.host()
    server = migrating(cloud, source.name, target.name)
    source.lose_power()
    incident = cloud.finished(source)
    assert incident.servers[server].state is ServerState.FAILED
    assert f"was being migrated to {target.name}" in incident.servers[server].reason
    assert not [record for record in cloud.records(source) if record.server == server]
    cloud.boot_again(source)
    cloud.return_to_work(source)
    cloud.give_up(target)


@slowly
def test_a_live_migration_that_dies_with_its_target_leaves_the_guest_where_it_is(
    cloud: GuestsCloud, migrating_hosts: None
) -> None:
    source, target = cloud.loaded_host(1), cloud.host()
    server = migrating(cloud, source.name, target.name)
    target.lose_power()
    incident = cloud.finished(target)
    assert server not in incident.servers
    cloud.write_on(server)
    assert cloud.guests_of(source) == {server}
    cloud.boot_again(target)
    cloud.return_to_work(target)
    cloud.give_up(source)


def migrating(cloud: GuestsCloud, source: str, target: str) -> str:
    """Return the server of the source in the middle of a live migration: a process waits for it on the target."""
    [server] = cloud.servers_of(cloud.machines[source])
    cloud.beside(server, source, target)
    client.nova().servers.live_migrate(server, target, block_migration=True)
    cloud.wait(lambda: server in cloud.guests_of(cloud.machines[target]), "the migration to begin", every_s=0.02)
    return server
