"""The promise on real guests, in one test."""

from __future__ import annotations

from kit.guests.cloud import GuestsCloud


def test_a_hung_hosts_guests_go_on_from_their_own_numbers_on_an_ha_node(cloud: GuestsCloud) -> None:
    host = cloud.loaded_host(2)
    host.hang()
    incident = cloud.audit_moved(host)
    assert {progress.host for progress in incident.servers.values()} == {incident.driver}
    assert host.only_cut
    cloud.take_back(host)
