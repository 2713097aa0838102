"""Nova's answers as our values."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from nova_ha.compute import ServiceReading, records
from nova_ha.compute.states import MigrationStatus, RootDisk, VMState
from nova_ha.errors import NovaError

SERVICE = {
    "id": "3f0c",
    "host": "compute-1",
    "binary": "nova-compute",
    "state": "up",
    "status": "enabled",
    "forced_down": False,
    "disabled_reason": None,
    "updated_at": "2026-11-23T01:54:42.000000",
}
SERVER: dict[str, Any] = {
    "id": "a1",
    "name": "vm",
    "status": "ACTIVE",
    "locked": False,
    "metadata": {"ha_priority": "5"},
    "tags": ["gold"],
    "image": {"id": "i1"},
    "flavor": {"original_name": "tiny", "extra_specs": {"ha": "yes"}},
    "OS-EXT-SRV-ATTR:host": "compute-1",
    "OS-EXT-STS:vm_state": "active",
    "OS-EXT-STS:task_state": None,
}
MIGRATION = {
    "id": 7,
    "uuid": "m7",
    "instance_uuid": "a1",
    "status": "pre-migrating",
    "source_compute": "compute-1",
    "dest_compute": None,
    "created_at": "2026-11-23T01:54:42.000000",
}


def test_a_service_is_read_with_its_times_in_utc() -> None:
    service = records.service(SERVICE)

    assert (service.up, service.enabled, service.forced_down, service.disabled_reason) == (True, True, False, "")
    assert service.updated_at == datetime(2026, 11, 23, 1, 54, 42, tzinfo=UTC)


def test_a_service_has_its_zone_where_nova_says_one() -> None:
    assert records.service({**SERVICE, "zone": "az-2"}).zone == "az-2"
    assert {records.service({**SERVICE, **zone}).zone for zone in ({}, {"zone": None})} == {""}


def test_a_service_that_never_reported_has_no_age() -> None:
    service = records.service({**SERVICE, "updated_at": None})

    assert ServiceReading(service, datetime.now(UTC)).silent_for_s is None


@pytest.mark.parametrize("read", [records.service, records.server])
def test_a_record_from_a_cell_that_is_away_is_an_error(read: Any) -> None:
    """As Nova answers from microversion 2.69 on: the name, and status UNKNOWN."""
    with pytest.raises(NovaError, match="cell"):
        read({"id": "x", "binary": "nova-compute", "host": "compute-1", "status": "UNKNOWN"})


def test_a_server_is_read_with_what_the_recovery_needs() -> None:
    server = records.server(SERVER)

    assert (server.host, server.vm_state, server.task_state) == ("compute-1", VMState.ACTIVE, "")
    assert (server.flavor_id, server.image_id, server.tags) == ("tiny", "i1", ("gold",))
    assert (server.metadata, server.flavor_marks) == ({"ha_priority": "5"}, {"ha": "yes"})


def test_a_server_from_a_volume_and_without_a_host_is_read() -> None:
    server = records.server({**SERVER, "image": "", "OS-EXT-SRV-ATTR:host": None})

    assert (server.image_id, server.host) == ("", "")


VOLUME = {"os-extended-volumes:volumes_attached": [{"id": "v1"}]}


@pytest.mark.fault(51)
@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"image": "", **VOLUME}, RootDisk.VOLUME),
        ({**VOLUME}, RootDisk.HOST),  # a data volume beside a disk from an image
        ({"image": ""}, RootDisk.HOST),
        ({"image": "", "os-extended-volumes:volumes_attached": []}, RootDisk.HOST),
        ({"image": None, **VOLUME}, RootDisk.HOST),
        ({"image": {}, **VOLUME}, RootDisk.HOST),
        ({}, RootDisk.HOST),
    ],
)
def test_a_root_disk_is_a_volume_only_where_nova_shows_one(fields: dict[str, Any], where: RootDisk) -> None:
    assert records.server({**SERVER, **fields}).root_disk is where


def test_an_ephemeral_disk_is_read_from_the_flavor_that_the_server_carries() -> None:
    assert records.server({**SERVER, "flavor": {"original_name": "tiny", "ephemeral": 20}}).ephemeral_gb == 20
    assert records.server(SERVER).ephemeral_gb == 0


@pytest.mark.fault(51)
@pytest.mark.parametrize(
    "said",
    [
        # As measured with QEMU 7.2 and libvirt 9.0, and as older QEMUs, virtlockd and sanlock say it.
        {"message": 'libvirtError: internal error: process exited: Failed to get "write" lock'},
        {"message": "libvirtError", "details": "Is another process using the image [/var/lib/nova/x/disk]?"},
        {"message": 'Failed to get shared "write" lock'},
        {"message": "resource busy: Lockspace resource '6d1e' is locked"},
        {"message": "Failed to acquire lock: error -243"},
    ],
)
def test_that_a_writer_holds_a_disk_is_read_from_its_fault(said: dict[str, str]) -> None:
    assert records.server({**SERVER, "fault": said}).disk_locked


@pytest.mark.parametrize("said", [None, {}, {"message": "No valid host was found", "details": None}])
def test_another_fault_says_nothing_of_a_writer(said: dict[str, str] | None) -> None:
    assert not records.server({**SERVER, "fault": said}).disk_locked


@pytest.mark.parametrize("field", ["OS-EXT-SRV-ATTR:host", "OS-EXT-STS:vm_state"])
def test_a_server_without_an_administrators_fields_names_the_rights_that_are_missing(field: str) -> None:
    with pytest.raises(NovaError, match=f"lacks {field}: give the user the role admin"):
        records.server({name: value for name, value in SERVER.items() if name != field})


def test_a_word_that_nova_adds_later_is_unknown_and_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert records.server({**SERVER, "OS-EXT-STS:vm_state": "cloned"}).vm_state is VMState.UNKNOWN
        assert records.migration({**MIGRATION, "status": "thinking"}).status is MigrationStatus.UNKNOWN
    assert "'cloned'" in caplog.text
    assert MigrationStatus.UNKNOWN.open


@pytest.mark.parametrize("state", [state for state in VMState if state is not VMState.UNKNOWN])
def test_every_state_of_nova_is_known(state: VMState) -> None:
    assert records.server({**SERVER, "OS-EXT-STS:vm_state": state.value}).vm_state is state


def test_a_migration_is_read_and_below_2_59_its_number_stands_for_the_uuid() -> None:
    assert records.migration(MIGRATION).uuid == "m7"
    assert records.migration(MIGRATION).destination == ""
    assert records.migration({name: value for name, value in MIGRATION.items() if name != "uuid"}).uuid == "7"


def test_the_time_of_an_answer_is_its_date() -> None:
    date = {"Date": "Mon, 23 Nov 2026 01:54:42 GMT"}

    assert records.answered_at(date) == datetime(2026, 11, 23, 1, 54, 42, tzinfo=UTC)


def test_a_date_without_a_zone_is_utc() -> None:
    at = records.answered_at({"Date": "Wed, 05 Jan 2030 10:00:00 -0000"})
    assert at.utcoffset() == timedelta(0)


@pytest.mark.parametrize("headers", [{}, {"Date": "yesterday"}])
def test_an_answer_without_a_date_is_an_error_not_a_guess(headers: dict[str, str]) -> None:
    with pytest.raises(NovaError, match="Date"):
        records.answered_at(headers)
