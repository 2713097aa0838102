"""What the recovery relies on in Nova. The same tests run on a real Nova (tests/nova) and on the simulator
(tests/integration/compute), so that the simulator cannot drift: where they differ, the simulator is wrong."""

from __future__ import annotations

import pytest
from nova_ha.compute import Compute, ServerID
from nova_ha.compute import client as connection_module
from nova_ha.compute import nova as nova_module
from nova_ha.compute.states import MigrationStatus, VMState
from nova_ha.errors import EvacuationRefused, NoSuchHost, NoSuchServer, NovaError

from kit.clouds.contract_cloud import ContractCloud, Failed, evacuations_of, server, service, until

NOBODY = ServerID("11111111-2222-3333-4444-555555555555")
# A guest that does not start before the test lets it.
FOR_LONG_S = 600.0


@pytest.fixture
def nova(cloud: ContractCloud) -> Compute:
    return cloud.connect()


@pytest.fixture
def source(cloud: ContractCloud) -> str:
    return cloud.hosts[0]


@pytest.fixture
def target(cloud: ContractCloud) -> str:
    return cloud.hosts[1]


@pytest.fixture
def other(cloud: ContractCloud) -> str:
    return cloud.hosts[2]


def arrived(cloud: ContractCloud, nova: Compute, host: str, server_id: ServerID) -> str:
    """Wait for a server's newest evacuation to be over, and its server to have moved; return where to."""

    def moved() -> str:
        newest = evacuations_of(nova, host, server_id)[0]
        assert newest.status not in (MigrationStatus.ERROR, MigrationStatus.FAILED), newest
        place = server(nova, server_id).host
        return place if newest.status.arrived and place != host else ""

    return until(f"{server_id} evacuated from {host}", cloud.patience_s, moved)


def failed(cloud: ContractCloud, nova: Compute, host: str, server_id: ServerID) -> MigrationStatus:
    """Wait for a server's newest evacuation to fail, and for the task that was to do it to be over.

    Nova ends the record first, then says why on the server, and clears its task last.
    """

    def over() -> MigrationStatus | None:
        newest = evacuations_of(nova, host, server_id)[0]
        left = server(nova, server_id)
        ended = left.vm_state is VMState.ERROR and not left.task_state
        return newest.status if ended and not newest.status.open else None

    return until(f"{server_id} failed to evacuate", cloud.patience_s, over)


def spawning(cloud: ContractCloud, nova: Compute, server_id: ServerID) -> None:
    """Wait until the destination is starting the guest."""
    until(
        "rebuild_spawning", cloud.patience_s, lambda: server(nova, server_id).task_state == "rebuild_spawning" or None
    )


def delete_after_first_page(
    cloud: ContractCloud, nova: Compute, server_id: ServerID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let a server be deleted as soon as the first page of the next listing has come."""
    page = nova_module.Nova._page
    deleted: list[ServerID] = []

    def page_then_delete(self: nova_module.Nova, *arguments: object) -> object:
        found: object = page(self, *arguments)  # type: ignore[arg-type]
        if not deleted:
            deleted.append(server_id)
            cloud.delete(server_id)
            until("deleted", cloud.patience_s, lambda: nova.server(server_id) is None or None)
        return found

    monkeypatch.setattr(nova_module.Nova, "_page", page_then_delete)


# --- what is read


def test_a_working_host_is_up_and_reported_a_moment_ago(cloud: ContractCloud, nova: Compute) -> None:
    reading = service(nova, cloud.hosts[0])

    assert reading.service.up
    assert reading.service.enabled
    assert not reading.service.forced_down
    assert reading.silent_for_s is not None
    assert -1.0 <= reading.silent_for_s < 10.0
    assert {r.service.host for r in nova.services()} >= set(cloud.hosts)


def test_a_host_that_nova_does_not_know_has_no_service_no_servers_and_no_evacuations(nova: Compute) -> None:
    assert nova.service("nowhere") is None
    assert nova.servers("nowhere") == []
    assert nova.evacuations("nowhere") == []
    assert nova.moves_at("nowhere") == []
    assert nova.moves_to("nowhere") == []
    assert nova.moves_of(NOBODY) == []
    with pytest.raises(NoSuchHost):
        nova.room("nowhere")
    with pytest.raises(NoSuchHost):
        nova.usage("nowhere")


@pytest.mark.parametrize("page", [1, 2, 3, 100])
def test_every_server_of_a_host_is_listed_once_whatever_the_pages(
    cloud: ContractCloud, nova: Compute, source: str, target: str, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = cloud.boot(source, 3)
    cloud.boot(target)
    monkeypatch.setattr(nova_module, "SERVERS_PER_PAGE", page)

    listed = nova.servers(source)

    assert sorted(entry.id for entry in listed) == sorted(here)
    assert all(entry.vm_state is VMState.ACTIVE and entry.host == source for entry in listed)


def test_a_server_deleted_between_two_pages_hides_no_other(
    cloud: ContractCloud, nova: Compute, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    oldest, middle, newest = cloud.boot(source) + cloud.boot(source) + cloud.boot(source)
    monkeypatch.setattr(nova_module, "SERVERS_PER_PAGE", 1)
    delete_after_first_page(cloud, nova, newest, monkeypatch)

    listed = [entry.id for entry in nova.servers(source)]

    assert {oldest, middle} <= set(listed)
    assert len(listed) == len(set(listed))


def test_a_servers_flavor_image_and_room_can_be_asked_for(cloud: ContractCloud, nova: Compute, source: str) -> None:
    before, taken = nova.room(source), nova.usage(source)
    [vm] = cloud.boot(source)
    found = server(nova, vm)

    assert nova.flavor_marks(found.flavor_id) == found.flavor_marks == {"ha": "yes"}
    assert nova.flavor_marks("no-such-flavor") == {}
    properties, tags = nova.image_marks(found.image_id)
    assert (properties["ha_image"], tags) == ("yes", ("gold",))
    assert nova.image_marks(str(NOBODY)) == nova.image_marks("") == ({}, ())
    until("taken in Placement", cloud.patience_s, lambda: nova.room(source)["VCPU"] == before["VCPU"] - 1 or None)
    assert nova.usage(source)["VCPU"] == taken["VCPU"] + 1


def test_a_server_that_does_not_exist_is_none(nova: Compute) -> None:
    assert nova.server(NOBODY) is None


# --- marking a host down


def test_force_down_acts_at_once_and_twice_is_once(cloud: ContractCloud, nova: Compute, source: str) -> None:
    service_id = service(nova, source).service.id

    nova.force_down(service_id, True)
    nova.force_down(service_id, True)
    nova.disable(service_id, "ours")
    reading = service(nova, source).service

    assert (reading.up, reading.forced_down, reading.enabled, reading.disabled_reason) == (False, True, False, "ours")
    nova.force_down(service_id, False)
    nova.enable(service_id)
    assert service(nova, source).service.enabled
    assert service(nova, source).service.disabled_reason == ""


def test_a_dead_host_is_noticed_only_after_a_while(cloud: ContractCloud, nova: Compute, source: str) -> None:
    cloud.kill_compute(source)

    assert service(nova, source).service.up
    until("seen down", cloud.patience_s, lambda: not service(nova, source).service.up or None)


def test_a_service_that_nova_does_not_know_cannot_be_forced_down(nova: Compute) -> None:
    with pytest.raises(NoSuchHost):
        nova.force_down(NOBODY, True)
    with pytest.raises(NoSuchHost):
        nova.disable(NOBODY, "ours")


def test_a_disable_reason_has_1_to_255_characters(cloud: ContractCloud, nova: Compute, source: str) -> None:
    for reason in ("", "x" * 256):
        with pytest.raises(NovaError, match="HTTP 400"):
            nova.disable(service(nova, source).service.id, reason)
    assert service(nova, source).service.enabled


# --- evacuating


@pytest.mark.parametrize("microversion", [(2, 53), (2, 60), (2, 67), (2, 68), (2, 94)])
def test_an_evacuation_to_a_host_ends_there_and_the_server_runs_once(
    cloud: ContractCloud, source: str, target: str, microversion: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "HIGHEST", microversion)
    nova = cloud.connect()
    [vm] = cloud.boot(source)
    Failed(cloud, nova, source)
    assert cloud.guests(vm) == set()

    nova.evacuate(vm, target)

    [record] = evacuations_of(nova, source, vm)
    assert record.source == source
    assert record.destination == target
    assert arrived(cloud, nova, source, vm) == target
    until("running", cloud.patience_s, lambda: server(nova, vm).vm_state is VMState.ACTIVE or None)
    assert cloud.guests(vm) == {target}


def test_without_a_target_the_scheduler_chooses_one(cloud: ContractCloud, nova: Compute, source: str) -> None:
    [vm] = cloud.boot(source)
    Failed(cloud, nova, source)

    nova.evacuate(vm, None)

    chosen = arrived(cloud, nova, source, vm)
    assert chosen != source
    assert evacuations_of(nova, source, vm)[0].destination == chosen


def test_states_are_kept_that_can_be(cloud: ContractCloud, nova: Compute, source: str, target: str) -> None:
    stopped, locked = cloud.boot(source, 2)
    cloud.put_into(stopped, VMState.STOPPED)
    nova.lock(locked, "by its owner")
    Failed(cloud, nova, source)

    nova.evacuate(stopped, target)
    nova.evacuate(locked, target)

    assert arrived(cloud, nova, source, stopped) == arrived(cloud, nova, source, locked) == target
    until("stopped", cloud.patience_s, lambda: server(nova, stopped).vm_state is VMState.STOPPED or None)
    assert server(nova, locked).vm_state is VMState.ACTIVE
    assert server(nova, locked).locked


def test_a_paused_server_is_refused_until_it_is_reset_and_then_runs(
    cloud: ContractCloud, nova: Compute, source: str, target: str
) -> None:
    [vm] = cloud.boot(source)
    cloud.put_into(vm, VMState.PAUSED)
    Failed(cloud, nova, source)

    with pytest.raises(EvacuationRefused, match="paused"):
        nova.evacuate(vm, target)
    assert server(nova, vm).vm_state is VMState.PAUSED
    nova.reset_to_error(vm)
    assert server(nova, vm).vm_state is VMState.ERROR
    nova.evacuate(vm, target)

    assert arrived(cloud, nova, source, vm) == target
    assert server(nova, vm).vm_state is VMState.ACTIVE


def test_a_stop_after_the_evacuation_stops_the_server(
    cloud: ContractCloud, nova: Compute, source: str, target: str
) -> None:
    [vm] = cloud.boot(source)
    Failed(cloud, nova, source)
    nova.evacuate(vm, target)
    arrived(cloud, nova, source, vm)

    nova.stop(vm)

    until("stopped", cloud.patience_s, lambda: server(nova, vm).vm_state is VMState.STOPPED or None)
    with pytest.raises(NovaError, match="HTTP 409"):
        nova.stop(vm)


def test_refusals_change_nothing_and_leave_no_record(
    cloud: ContractCloud, nova: Compute, source: str, target: str
) -> None:
    [vm] = cloud.boot(source)
    with pytest.raises(EvacuationRefused, match="still in use"):
        nova.evacuate(vm, target)
    Failed(cloud, nova, source)
    with pytest.raises(EvacuationRefused):
        nova.evacuate(vm, source)
    with pytest.raises(NoSuchHost):
        nova.evacuate(vm, "nowhere")
    with pytest.raises(NoSuchServer):
        nova.evacuate(NOBODY, target)
    for write in (nova.reset_to_error, nova.stop, lambda vm: nova.lock(vm, "ours")):
        with pytest.raises(NoSuchServer):
            write(NOBODY)

    found = server(nova, vm)
    assert (found.vm_state, found.task_state, found.host) == (VMState.ACTIVE, "", source)
    assert evacuations_of(nova, source, vm) == []


@pytest.mark.parametrize("page", [1, 2, 500])
def test_all_evacuations_of_a_host_are_listed_newest_first_whatever_the_pages(
    cloud: ContractCloud, nova: Compute, source: str, target: str, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = cloud.boot(source, 3)
    Failed(cloud, nova, source)
    for vm in servers:
        nova.evacuate(vm, target)
        arrived(cloud, nova, source, vm)
    monkeypatch.setattr(nova_module, "MIGRATIONS_PER_PAGE", page)

    listed = [entry for entry in nova.evacuations(source) if entry.server in servers]

    assert [entry.server for entry in listed] == list(reversed(servers))
    assert len({entry.uuid for entry in listed}) == 3


def test_a_record_that_goes_with_its_server_between_two_pages_hides_no_other(
    cloud: ContractCloud, nova: Compute, source: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, deleted = cloud.boot(source) + cloud.boot(source)
    Failed(cloud, nova, source)
    for vm in (kept, deleted):
        nova.evacuate(vm, target)
        arrived(cloud, nova, source, vm)
    monkeypatch.setattr(nova_module, "MIGRATIONS_PER_PAGE", 1)
    delete_after_first_page(cloud, nova, deleted, monkeypatch)

    assert kept in [entry.server for entry in nova.evacuations(source)]


# --- when it goes wrong


def test_a_disabled_target_fails_the_evacuation_later_and_it_can_be_sent_again(
    cloud: ContractCloud, nova: Compute, source: str, target: str
) -> None:
    [vm] = cloud.boot(source)
    Failed(cloud, nova, source)
    target_service = service(nova, target).service.id
    nova.disable(target_service, "ours")

    nova.evacuate(vm, target)

    assert failed(cloud, nova, source, vm) is MigrationStatus.ERROR
    assert "No valid host" in server(nova, vm).fault
    assert server(nova, vm).host == source
    nova.enable(target_service)
    nova.evacuate(vm, target)
    assert arrived(cloud, nova, source, vm) == target
    assert server(nova, vm).fault == ""


def test_a_guest_that_does_not_start_fails_the_evacuation_and_it_can_be_sent_again(
    cloud: ContractCloud, nova: Compute, source: str, target: str
) -> None:
    [vm] = cloud.boot(source)
    Failed(cloud, nova, source)
    cloud.fail_spawn(target, True)

    nova.evacuate(vm, target)

    assert failed(cloud, nova, source, vm) is MigrationStatus.FAILED
    assert "fail-spawn" in server(nova, vm).fault
    assert server(nova, vm).host == source
    cloud.fail_spawn(target, False)
    nova.evacuate(vm, target)
    assert arrived(cloud, nova, source, vm) == target


@pytest.mark.parametrize("second", [1, 2], ids=["to-the-same-host", "to-another-host"])
def test_a_second_evacuation_while_the_guest_starts_breaks_the_server_and_starts_it_twice(
    cloud: ContractCloud, nova: Compute, source: str, target: str, second: int
) -> None:
    [vm] = cloud.boot(source)
    Failed(cloud, nova, source)
    for host in (target, cloud.hosts[second]):
        cloud.slow_spawn(host, 15.0)
    nova.evacuate(vm, target)
    spawning(cloud, nova, vm)

    nova.evacuate(vm, cloud.hosts[second])
    # The second one too: the first must not be done before.
    spawning(cloud, nova, vm)

    def over() -> bool:
        return not any(entry.status.open for entry in evacuations_of(nova, source, vm))

    until("both over", cloud.patience_s, over)
    statuses = [entry.status for entry in evacuations_of(nova, source, vm)]
    assert statuses == [MigrationStatus.FAILED, MigrationStatus.DONE]
    until("in ERROR, and why", cloud.patience_s, lambda: "Conflict" in server(nova, vm).fault or None)
    assert server(nova, vm).vm_state is VMState.ERROR
    assert server(nova, vm).host == target
    assert cloud.guests(vm) == {target, cloud.hosts[second]}


def test_a_target_that_just_died_keeps_the_evacuation_until_it_returns(
    cloud: ContractCloud, nova: Compute, source: str, target: str
) -> None:
    [vm] = cloud.boot(source)
    Failed(cloud, nova, source)
    cloud.kill_compute(target)

    nova.evacuate(vm, target)
    until("seen down", cloud.patience_s, lambda: not service(nova, target).service.up or None)

    assert evacuations_of(nova, source, vm)[0].status is MigrationStatus.ACCEPTED
    assert server(nova, vm).task_state == "rebuilding"
    cloud.start_compute(target)
    assert arrived(cloud, nova, source, vm) == target


def test_a_target_that_dies_while_the_guest_starts_leaves_an_open_record_and_another_target_works(
    cloud: ContractCloud, nova: Compute, source: str, target: str, other: str
) -> None:
    [vm] = cloud.boot(source)
    Failed(cloud, nova, source)
    cloud.slow_spawn(target, FOR_LONG_S)
    nova.evacuate(vm, target)
    spawning(cloud, nova, vm)
    Failed(cloud, nova, target)

    assert evacuations_of(nova, source, vm)[0].status is MigrationStatus.PRE_MIGRATING
    nova.evacuate(vm, other)

    assert arrived(cloud, nova, source, vm) == other
    assert evacuations_of(nova, source, vm)[1].status is MigrationStatus.PRE_MIGRATING
    assert cloud.guests(vm) == {other}


def test_a_server_deleted_meanwhile_is_gone_with_its_records(
    cloud: ContractCloud, nova: Compute, source: str, target: str
) -> None:
    kept, deleted = cloud.boot(source, 2)
    Failed(cloud, nova, source)
    nova.evacuate(deleted, target)
    arrived(cloud, nova, source, deleted)

    cloud.delete(deleted)
    until("deleted", cloud.patience_s, lambda: nova.server(deleted) is None or None)

    with pytest.raises(NoSuchServer):
        nova.evacuate(deleted, target)
    assert evacuations_of(nova, source, deleted) == []
    assert [entry.id for entry in nova.servers(source)] == [kept]


def test_a_delete_that_waits_for_the_dead_host_strikes_the_evacuated_server_when_it_returns(
    cloud: ContractCloud, nova: Compute, source: str, target: str
) -> None:
    [vm] = cloud.boot(source)
    cloud.kill_compute(source)
    cloud.delete(vm)
    assert server(nova, vm).task_state == "deleting"
    Failed(cloud, nova, source)
    nova.evacuate(vm, target)
    assert arrived(cloud, nova, source, vm) == target

    cloud.start_compute(source)

    until("deleted after all", cloud.patience_s, lambda: nova.server(vm) is None or None)
    assert cloud.guests(vm) == {target}


# --- fencing, and the return of the host


def test_once_a_dead_host_is_forced_down_and_disabled_only_a_report_moves_its_stamp(
    cloud: ContractCloud, nova: Compute, source: str, target: str
) -> None:
    [vm] = cloud.boot(source)
    down = Failed(cloud, nova, source)
    nova.disable(down.service_id, "nova-ha: failed, fenced")
    silent = service(nova, source).service.updated_at
    nova.evacuate(vm, target)
    arrived(cloud, nova, source, vm)

    assert service(nova, source).service.updated_at == silent
    cloud.start_compute(source)
    assert service(nova, source).service.updated_at != silent
    until(
        "cleaned",
        cloud.patience_s,
        lambda: evacuations_of(nova, source, vm)[0].status is MigrationStatus.COMPLETED or None,
    )
    nova.force_down(down.service_id, False)
    nova.enable(down.service_id)


def test_a_host_that_was_not_off_runs_the_guest_twice_until_it_is_restarted(
    cloud: ContractCloud, nova: Compute, source: str, target: str
) -> None:
    [vm] = cloud.boot(source)
    nova.force_down(service(nova, source).service.id, True)
    nova.evacuate(vm, target)
    arrived(cloud, nova, source, vm)
    assert cloud.guests(vm) == {source, target}

    cloud.kill_compute(source)
    cloud.start_compute(source)

    until("cleaned", cloud.patience_s, lambda: cloud.guests(vm) == {target} or None)


def test_a_host_is_not_forced_up_nor_its_room_free_before_it_has_cleaned_its_evacuated_servers(
    cloud: ContractCloud, nova: Compute, source: str, target: str
) -> None:
    free = {host: nova.room(host)["VCPU"] for host in (source, target)}
    [vm] = cloud.boot(source)
    down = Failed(cloud, nova, source)
    nova.evacuate(vm, target)
    arrived(cloud, nova, source, vm)
    assert {host: free[host] - nova.room(host)["VCPU"] for host in free} == {source: 1, target: 1}

    with pytest.raises(NovaError, match="HTTP 400"):
        nova.force_down(down.service_id, False)
    silent = service(nova, source).service
    cloud.start_compute(source)
    alive = service(nova, source).service

    assert (alive.up, alive.forced_down) == (False, True)
    assert alive.updated_at != silent.updated_at
    until(
        "completed",
        cloud.patience_s,
        lambda: evacuations_of(nova, source, vm)[0].status is MigrationStatus.COMPLETED or None,
    )
    assert nova.room(source)["VCPU"] == free[source]
    nova.force_down(down.service_id, False)
    until("up again", cloud.patience_s, lambda: service(nova, source).service.up or None)


def test_a_host_that_returns_in_the_middle_completes_the_record_which_is_done_again_when_the_server_moves(
    cloud: ContractCloud, nova: Compute, source: str, target: str
) -> None:
    [vm] = cloud.boot(source)
    Failed(cloud, nova, source)
    cloud.slow_spawn(target, FOR_LONG_S)
    nova.evacuate(vm, target)
    spawning(cloud, nova, vm)

    cloud.start_compute(source)

    until(
        "completed",
        cloud.patience_s,
        lambda: evacuations_of(nova, source, vm)[0].status is MigrationStatus.COMPLETED or None,
    )
    assert server(nova, vm).host == source
    cloud.slow_spawn(target, 0)
    until("moved", cloud.patience_s, lambda: server(nova, vm).host == target or None)
    until(
        "done again",
        cloud.patience_s,
        lambda: evacuations_of(nova, source, vm)[0].status is MigrationStatus.DONE or None,
    )
    with pytest.raises(NovaError, match="HTTP 400"):
        nova.force_down(service(nova, source).service.id, False)


__all__ = [name for name in dir() if name.startswith("test_") or name in ("nova", "source", "target", "other")]
