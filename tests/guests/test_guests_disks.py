"""Which disk comes back, with real guests: raw and qcow2, shared and local, an image that is gone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from kit.guests import image
from kit.guests.cloud import GuestsCloud
from kit.guests.machine import GuestsMachine
from kit.stack import client
from nova_ha.cluster.incident import ServerState
from nova_ha.cluster.registry import NodeSettings, set_compute_node
from nova_ha.compute.states import VMState


@pytest.fixture
def local(cloud: GuestsCloud) -> Iterator[GuestsMachine]:
    """A host with two guests whose disks are its own, as its keys say too."""
    host = cloud.host()
    cloud.set_up_again(host.name, shared=False)
    set_compute_node(cloud.store(), host.name, NodeSettings(storage="local"))
    cloud.load(host, 2)
    yield host
    set_compute_node(cloud.store(), host.name, NodeSettings(storage=""))
    cloud.set_up_again(host.name, shared=True)


@pytest.fixture
def qcow2(cloud: GuestsCloud) -> Iterator[Sequence[str]]:
    """All hosts have qcow2 disks meanwhile."""
    cloud.set_up_again(*cloud.all_hosts, images_type="qcow2")
    yield cloud.all_hosts
    cloud.set_up_again(*cloud.all_hosts, images_type="raw")


@pytest.fixture
def images_are_back() -> Iterator[None]:
    """Whatever the test does to them."""
    yield
    image.seed()


def test_servers_on_a_local_disk_are_left_and_one_is_rebuilt_when_the_operator_says_so(
    cloud: GuestsCloud, local: GuestsMachine
) -> None:
    """The other one goes on from its own number when its host is back."""
    given_up, kept = cloud.servers_of(local)
    before = cloud.number(kept)
    local.hang()
    incident = cloud.finished(local)
    assert {progress.state for progress in incident.servers.values()} == {ServerState.LEFT}
    assert "its root disk is on the dead host" in incident.servers[kept].reason
    assert not cloud.records(local)
    assert not cloud.openstack.guests
    cloud.new_disk(given_up)
    done = cloud.command("node", "rebuild-server", local.name, given_up, "--yes")
    assert done.returncode == 0, done.stderr
    rebuilt = cloud.history(local)[-1].servers[given_up]
    assert (rebuilt.state, rebuilt.reason) == (ServerState.REBUILT, "came back with a new disk from its image")
    cloud.audit_runs(given_up, rebuilt.host)
    cloud.boot_again(local)
    cloud.becomes(kept, VMState.STOPPED)
    client.nova().servers.start(kept)
    cloud.writes(kept, local.name, before)
    cloud.return_to_work(local)


def test_no_disk_is_given_up_where_the_target_does_not_see_it(cloud: GuestsCloud) -> None:
    """By the operator's word about both HA nodes. Once it is taken back the guest goes on from its own number."""
    host = cloud.loaded_host(1)
    [server] = cloud.servers_of(host)
    keys = [f"ha_cluster/ha_nodes/{name}/config/storage" for name in cloud.ha_nodes]
    for key in keys:
        cloud.write(key, b"local")
    host.lose_power()
    incident = cloud.finished(host)
    assert incident.servers[server].state is ServerState.LEFT
    assert "does not share its root disk" in incident.servers[server].reason
    for key in keys:
        cloud.remove(key)
    cloud.retry(host)
    cloud.audit_moved(host)
    cloud.take_back(host)


def test_guests_with_qcow2_disks_go_on_from_their_own_numbers(cloud: GuestsCloud, qcow2: Sequence[str]) -> None:
    host = cloud.loaded_host(1)
    [server] = cloud.servers_of(host)
    with (host.host.instances / server / "disk").open("rb") as disk:
        assert disk.read(4) == b"QFI\xfb"
    host.lose_power()
    cloud.audit_moved(host)
    cloud.take_back(host)


@pytest.mark.usefixtures("images_are_back")
def test_an_image_that_is_gone_from_glance_is_not_needed_where_the_disk_is_shared(cloud: GuestsCloud) -> None:
    host = cloud.loaded_host(1)
    glance = client.connection().image
    for name in (image.IMAGE_NAME, *(path.name for path in (image.KERNEL, image.INITRD))):
        [found] = glance.images(name=name)
        glance.delete_image(found)
    host.lose_power()
    cloud.audit_moved(host)
    image.seed()
    cloud.take_back(host)
