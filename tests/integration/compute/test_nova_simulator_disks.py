"""The simulator's disks, as on real hypervisors: a new one comes back without a word, a locked one does not."""

from __future__ import annotations

import pytest
from kit.clouds.contract_cloud import until
from kit.clouds.simulated_cloud import SimulatedCloud
from nova_ha.compute import Server
from nova_ha.compute.states import MigrationStatus, RootDisk, VMState

SOURCE, TARGET = "compute-1", "compute-2"


def evacuated(cloud: SimulatedCloud, **fields: object) -> tuple[Server, bool]:
    """Evacuate a server with these fields; return it as Nova shows it then, and whether it has its disk."""
    nova, simulator = cloud.connect(), cloud.simulator
    server = simulator.add_server(SOURCE, "vm", image_id="i1", **fields)
    before = server.disk
    with simulator.cloud.lock:
        simulator.history.look()
    cloud.power_off(SOURCE)
    service = nova.service(SOURCE)
    assert service is not None
    nova.force_down(service.service.id, True)
    [shown] = nova.servers(SOURCE)
    nova.evacuate(shown.id, TARGET)

    def ended() -> Server | None:
        """Return the server once its record and its task are over; a record ends before its server says why."""
        record, found = nova.evacuations(SOURCE)[0], nova.server(shown.id)
        assert found is not None
        return found if not (record.status.open or found.task_state) else None

    return until("ended", 60.0, ended), server.disk == before


@pytest.mark.parametrize(
    ("unshared", "on_volume", "kept"),
    [
        ((), False, True),
        ((SOURCE,), False, False),
        ((TARGET,), False, False),
        ((SOURCE, TARGET), False, False),
        ((SOURCE, TARGET), True, True),
    ],
)
def test_a_disk_comes_back_where_both_ends_see_it(
    cloud: SimulatedCloud, unshared: tuple[str, ...], on_volume: bool, kept: bool
) -> None:
    for host in unshared:
        cloud.simulator.cloud.hosts[host].shares_disks = False
    found, has_its_disk = evacuated(cloud, on_volume=on_volume)
    # Nova says the same of all of them.
    assert (found.host, found.vm_state, found.fault) == (TARGET, VMState.ACTIVE, "")
    assert has_its_disk is kept
    assert found.root_disk is (RootDisk.VOLUME if on_volume else RootDisk.HOST)
    runs = cloud.simulator.history.to_json()["runs"]
    assert len({run["disk"] for run in runs if run["server"] == found.id}) == (1 if kept else 2)


def test_a_disk_that_is_locked_leaves_the_server_where_it_was_in_error(cloud: SimulatedCloud) -> None:
    cloud.simulator.cloud.locked_disks.add("vm")
    found, has_its_disk = evacuated(cloud, ephemeral_gb=3)
    assert (found.host, found.vm_state, found.disk_locked) == (SOURCE, VMState.ERROR, True)
    assert (has_its_disk, found.ephemeral_gb) == (True, 3)
    assert cloud.connect().evacuations(SOURCE)[0].status is MigrationStatus.FAILED
