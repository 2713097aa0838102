"""What a fence is for, with real guests: which must not have been evacuated, which must not even blink."""

from __future__ import annotations

from kit.guests.cloud import GuestsCloud
from kit.machines.bmc import Fault
from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import ServerState


def test_a_host_that_goes_on_after_a_fence_that_was_not_proved_has_all_its_guests(cloud: GuestsCloud) -> None:
    """Its BMC says ok, and leaves the power as it is."""
    host = cloud.loaded_host(2)
    host.bmc.break_commands(Fault.LIES)
    host.hang()
    cloud.asks(host, Gate.NOT_OFF)
    host.go_on()
    cloud.write_on(*cloud.servers_of(host))
    assert not cloud.records(host)
    assert not cloud.outages(cloud.servers_of(host), host.failed_at)
    host.bmc.break_commands(None)
    cloud.return_to_work(host)


def test_guests_that_write_on_in_a_partition_are_ended_before_they_go_on_elsewhere(cloud: GuestsCloud) -> None:
    host = cloud.loaded_host(2)
    host.lose_network()
    cloud.write_on(*cloud.servers_of(host))
    incident = cloud.audit_moved(host)
    assert {progress.host for progress in incident.servers.values()} == {incident.driver}
    cloud.take_back(host)


def test_a_guest_whose_host_loses_its_power_while_it_writes_goes_on(cloud: GuestsCloud) -> None:
    host = cloud.loaded_host(2)
    host.lose_power()
    cloud.audit_moved(host)
    cloud.take_back(host)


def test_a_healthy_hosts_guest_does_not_blink_when_its_bmc_stands_in_a_failed_ones_keys(cloud: GuestsCloud) -> None:
    """Once the keys are right and the operator says so, the failed one is recovered."""
    failed, healthy = cloud.loaded_host(1), cloud.loaded_host(1)
    cloud.name_bmc(failed, healthy)
    cloud.name_bmc(healthy, failed)
    commands = healthy.commands
    failed.hang()
    cloud.asks(failed, Gate.BMC_IDENTITY)
    assert healthy.commands == commands
    cloud.write_on(*cloud.servers_of(healthy))
    for machine in (failed, healthy):
        cloud.name_bmc(machine, machine)
    cloud.retry(failed)
    cloud.audit_moved(failed)
    assert not cloud.outages(cloud.servers_of(healthy), failed.failed_at)
    cloud.take_back(failed)
    cloud.forget(healthy)


def test_a_disk_that_is_held_by_a_host_that_should_be_off_is_left_to_it_and_named(cloud: GuestsCloud) -> None:
    """The host is cut off and silent, its BMC says that it is off, and its guest writes on: only the disk tells."""
    host = cloud.loaded_host(1)
    [server] = cloud.servers_of(host)
    cloud.beside(server, host.name, *cloud.ha_nodes)
    host.bmc.break_commands(Fault.PRETENDS)
    host.lose_network()
    incident = cloud.asks(host, Gate.DISK_LOCKED)
    assert incident.servers[server].state is ServerState.PENDING
    assert len(cloud.records(host)) == 1
    cloud.write_on(server)
    assert not cloud.outages([server], host.failed_at)
    host.lose_bmc()
    host.return_bmc()
    cloud.retry(host)
    cloud.audit_runs(server, cloud.finished(host).servers[server].host)
    cloud.take_back(host)
