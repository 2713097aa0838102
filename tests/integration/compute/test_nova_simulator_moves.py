"""Servers on the move in the simulated cloud: where Nova says they are, and where their guests run."""

from __future__ import annotations

import pytest
import requests
from kit.clouds.contract_cloud import Failed, server, until
from kit.clouds.simulated_cloud import SimulatedCloud
from nova_ha.compute import Compute, ServerID
from nova_ha.compute.states import MigrationStatus
from nova_ha.recovery.moving import left_moving, moving, on_their_way_here
from nova_ha.recovery.servers import first_progress

SOURCE, THERE, ELSEWHERE = "compute-1", "compute-2", "compute-3"


@pytest.fixture
def nova(cloud: SimulatedCloud) -> Compute:
    return cloud.connect()


def moved(cloud: SimulatedCloud, vm: ServerID, destination: str, **fields: object) -> None:
    body = {"server": vm, "destination": destination, **fields}
    assert requests.post(f"{cloud.url}/sandbox/moves", json=body, timeout=60).status_code == 201


def test_a_server_whose_guest_was_handed_over_is_evacuated_by_nova_all_the_same_and_runs_twice(
    cloud: SimulatedCloud, nova: Compute
) -> None:
    """Why a recovery does not ask for it."""
    [vm] = cloud.boot(SOURCE)
    moved(cloud, vm, THERE, handed_over=True)
    found = server(nova, vm)
    assert (found.host, found.task_state, cloud.guests(vm)) == (SOURCE, "migrating", {THERE})
    Failed(cloud, nova, SOURCE)
    assert cloud.guests(vm) == {THERE}

    nova.evacuate(vm, ELSEWHERE)

    until("evacuated", 60.0, lambda: nova.evacuations(SOURCE)[0].status is MigrationStatus.DONE or None)
    [overlap] = cloud.simulator.cloud.overlaps
    assert (overlap.server_id, overlap.hosts) == (vm, (THERE, ELSEWHERE))


@pytest.mark.parametrize("kind", ["live-migration", "migration", "resize"])
@pytest.mark.parametrize("pages", [True, False])
def test_a_server_on_the_move_is_named_with_its_destination(
    cloud: SimulatedCloud, nova: Compute, kind: str, pages: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nova_ha.compute.nova.MIGRATIONS_PER_PAGE", 1 if pages else 500)
    here, other, came = cloud.boot(SOURCE) + cloud.boot(SOURCE) + cloud.boot(THERE)
    moved(cloud, came, SOURCE, kind=kind)
    moved(cloud, here, THERE, kind=kind)
    moved(cloud, other, ELSEWHERE, kind=kind)

    found = server(nova, here)

    assert moving(found)
    progress = first_progress(found, lambda server: True, lambda server: left_moving(nova, server))
    assert progress.reason.startswith(f"was being migrated to {THERE}: see where it runs, then retry")
    assert [move.server for move in nova.moves_to(SOURCE)] == [came]
    assert list(on_their_way_here(nova, SOURCE)) == [f"vm-0 was being migrated here from {THERE}: see where it runs"]
    assert nova.evacuations(SOURCE) == []


def test_an_evacuation_is_no_such_move(cloud: SimulatedCloud, nova: Compute) -> None:
    [vm] = cloud.boot(SOURCE)
    Failed(cloud, nova, SOURCE)
    nova.evacuate(vm, THERE)
    assert [move.server for move in nova.evacuations(SOURCE)] == [vm]
    assert nova.moves_of(vm) == []
    assert nova.moves_to(THERE) == []
