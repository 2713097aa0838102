"""Faults 49 and 50: what Nova says of the servers and the services is not all there is, or not the whole truth."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kit.clouds.observed_cloud import ObservedCloud
from kit.shown import shows
from nova_ha.cluster.incident import ServerState
from nova_ha.errors import NovaError

DROPPED = NovaError(
    "Nova drops the filter by host: among the servers of c1 is server-3, which is on c2",
    remedy="give the user the right os_compute_api:servers:allow_all_filters, or the role admin on compute",
)


# --- servers on the move


@pytest.mark.fault(49)
@pytest.mark.parametrize("task", ["migrating", "resize_prep", "resize_migrating", "resize_finish"])
def test_a_server_on_the_move_out_of_the_host_is_named_and_does_not_run_twice(
    cloud: ObservedCloud, task: str
) -> None:
    moved, stays = cloud.servers["c1"]
    cloud.nova.migrate(moved, "c2", handed_over=True)
    cloud.nova.inventory[moved] = replace(cloud.nova.inventory[moved], task_state=task)
    shows(49, "was being migrated to c2: see where it runs, then retry", cloud.says("plan", "c1"))
    cloud.fails("c1")
    cloud.turns()
    [incident] = cloud.closed("c1")
    assert incident.servers[moved].state is ServerState.FAILED
    assert incident.servers[stays].state is ServerState.EVACUATED
    assert cloud.nova.guests[moved] == {"c2"}
    assert not cloud.nova.doubled
    history = cloud.says("history", "c1")
    shows(49, "audit: server-1 is still on c1: was being migrated to c2: see where it runs, then retry", history)
    cloud.audit()


@pytest.mark.fault(49)
def test_a_server_whose_state_was_set_while_its_migration_stays_open_does_not_run_twice(cloud: ObservedCloud) -> None:
    moved, stays = cloud.servers["c1"]
    cloud.nova.migrate(moved, "c2", handed_over=True)
    cloud.nova.inventory[moved] = replace(cloud.nova.inventory[moved], task_state="")
    shows(49, "was being migrated to c2: see where it runs, then retry", cloud.says("plan", "c1"))
    cloud.fails("c1")
    cloud.turns()
    [incident] = cloud.closed("c1")
    assert incident.servers[moved].state is ServerState.FAILED
    assert incident.servers[stays].state is ServerState.EVACUATED
    assert cloud.nova.guests[moved] == {"c2"}
    assert not cloud.nova.doubled
    cloud.audit()


@pytest.mark.fault(49)
def test_a_server_on_the_move_to_the_host_is_named_at_the_end(cloud: ObservedCloud) -> None:
    coming, _ = cloud.servers["c3"]
    cloud.nova.migrate(coming, "c1", handed_over=True)
    cloud.fails("c1")
    cloud.turns()
    [incident] = cloud.closed("c1")
    assert coming not in incident.servers
    shows(49, "audit: server-5 was being migrated here from c3: see where it runs", cloud.says("history", "c1"))
    assert ("evacuate", coming) not in [call[:2] for call in cloud.nova.calls]


# --- lists


@pytest.mark.fault(50)
def test_a_filter_that_nova_drops_stops_everything_before_a_server_is_asked_for(cloud: ObservedCloud) -> None:
    cloud.fails("c1")
    cloud.after_writing(b'"state":"fenced"', lambda: cloud.nova.fail("servers", DROPPED, times=1000))
    cloud.turns()
    shows(
        50,
        "listing the servers of c1: Nova drops the filter by host: among the servers of c1 is server-3, "
        "which is on c2: give the user the right os_compute_api:servers:allow_all_filters",
        cloud.timer_says(),
    )
    assert "evacuate" not in [call[0] for call in cloud.nova.calls]
    cloud.nova.heal()
    cloud.turns()
    cloud.assert_recovered("c1")


@pytest.mark.fault(50)
def test_a_filter_that_nova_drops_before_the_fence_stops_it(cloud: ObservedCloud) -> None:
    cloud.fails("c1")
    cloud.nova.fail("servers", DROPPED, times=1000)
    cloud.turns(2)
    assert (
        "c1: failed, to be recovered: waits at nova-away: Nova drops the filter by host: among the servers of c1 is "
        "server-3, which is on c2: give the user the right os_compute_api:servers:allow_all_filters"
    ) in cloud.timer_says()
    cloud.assert_untouched("c1")


@pytest.mark.fault(50)
def test_a_cell_that_is_away_stops_its_own_hosts_and_no_others(cloud: ObservedCloud) -> None:
    cloud.nova.cell_down = {"c2", "c4"}
    cloud.fails("c1", "c2")
    cloud.turns(2)
    cloud.assert_recovered_so_far("c1")
    assert cloud.fenced == ["c1"]
    shows(
        50,
        "nova-away closed Nova cannot read the service of c2: its cell's database is away",
        cloud.says("plan", "c2"),
    )
    cloud.nova.cell_down = set()
    cloud.turns(2)
    cloud.assert_recovered("c1", "c2")


@pytest.mark.fault(50)
def test_a_host_of_which_nova_has_two_records_is_not_fenced(
    cloud: ObservedCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = cloud.nova.services

    def with_what_was_left(about: str = "") -> object:
        found = [*read(about)]
        left = next(reading for reading in found if reading.service.host == "c1")
        return [*found, replace(left, service=replace(left.service, id="id-of-old"))]

    monkeypatch.setattr(cloud.nova, "services", with_what_was_left)
    cloud.fails("c1")
    cloud.turns()
    assert cloud.fenced == []
    shows(
        50,
        "runtime-config: Nova has 2 records of a nova-compute on a host named 'c1'",
        cloud.timer_says(),
    )
