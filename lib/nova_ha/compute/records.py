"""Nova's answers as our values. Every word that we do not know becomes UNKNOWN; a missing field is an error."""

from __future__ import annotations

import enum
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from nova_ha.compute import ComputeService, Migration, Server, ServerID
from nova_ha.compute.states import MigrationStatus, RootDisk, VMState
from nova_ha.errors import NovaError

log = logging.getLogger(__name__)

Word = TypeVar("Word", bound=enum.Enum)
Record = Mapping[str, Any]

HOST = "OS-EXT-SRV-ATTR:host"
VM_STATE = "OS-EXT-STS:vm_state"
TASK_STATE = "OS-EXT-STS:task_state"
LIVE = "live-migration"
VOLUMES = "os-extended-volumes:volumes_attached"
# What a hypervisor says whose disk another one writes: QEMU, libvirt's virtlockd and sanlock.
DISK_LOCKED = re.compile(
    r"Failed to get (shared )?\"[a-z ]+\" lock|another process using the image|Lockspace resource .* is locked"
    r"|Failed to acquire lock",
    re.IGNORECASE,
)
RIGHTS = "give the user the role admin on compute, see docs/install.md"
FILTERS = "give the user the right os_compute_api:servers:allow_all_filters, or the role admin on compute"


class CellAway(NovaError):
    """Nova has a record, and cannot read it itself: the database of its cell is away."""


def service(record: Record) -> ComputeService:
    """Read one entry of `os-services`. Raises CellAway where Nova could not read it itself."""
    if record.get("status") == "UNKNOWN" or "id" not in record:
        raise CellAway(f"Nova cannot read the service of {record.get('host')}: its cell's database is away")
    return ComputeService(
        id=str(record["id"]),
        host=_name(record["host"]),
        up=record["state"] == "up",
        enabled=record["status"] == "enabled",
        forced_down=bool(record["forced_down"]),
        disabled_reason=record.get("disabled_reason") or "",
        updated_at=moment(record["updated_at"]) if record.get("updated_at") else None,
        zone=record.get("zone") or "",
    )


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"a host's name is {value!r}")
    return value


def server(record: Record) -> Server:
    """Read one detailed server. Raises NovaError where the fields that only an administrator sees are missing."""
    if record.get("status") == "UNKNOWN" and VM_STATE not in record:
        raise NovaError(f"Nova cannot read server {record.get('id')}: its cell's database is away")
    for name in (HOST, VM_STATE):
        if name not in record:
            raise NovaError(f"Nova's answer on server {record.get('id')} lacks {name}", remedy=RIGHTS)
    flavor, fault = record.get("flavor") or {}, record.get("fault") or {}
    return Server(
        id=ServerID(record["id"]),
        name=record.get("name") or "",
        host=record[HOST] or "",
        vm_state=word(VMState, record[VM_STATE], VMState.UNKNOWN),
        task_state=record.get(TASK_STATE) or "",
        locked=bool(record.get("locked")),
        fault=fault.get("message") or "",
        metadata=dict(record.get("metadata") or {}),
        tags=tuple(record.get("tags") or ()),
        flavor_id=flavor.get("id") or flavor.get("original_name") or "",
        image_id=(record.get("image") or {}).get("id") or "",
        flavor_marks=flavor.get("extra_specs"),
        root_disk=root_disk(record),
        ephemeral_gb=flavor.get("ephemeral") or 0,
        # Nova's message may be the exception's name alone, with the text in the details.
        disk_locked=bool(DISK_LOCKED.search(f"{fault.get('message')} {fault.get('details')}")),
    )


def root_disk(record: Record) -> RootDisk:
    """Return where a server's root disk lies. Nova shows an empty image for one that was booted from a volume.

    Without a volume attached an empty image is no evidence: an old Nova may have forgotten the image.
    """
    return RootDisk.VOLUME if record.get("image") == "" and record.get(VOLUMES) else RootDisk.HOST


def server_on(host: str, record: Record) -> Server:
    """Read one detailed server of a list that was asked for by host. Raises NovaError where it is on another one.

    Nova drops the filter, without a word, for whoever has not the right to use it.
    """
    found = server(record)
    if found.host != host:
        where = f"which is on {found.host or 'no host'}"
        raise NovaError(
            f"Nova drops the filter by host: among the servers of {host} is {found.id}, {where}", remedy=FILTERS
        )
    return found


def migration(record: Record) -> Migration:
    """Read one entry of `os-migrations`. Below microversion 2.59 it has no UUID: then the number stands for it."""
    return Migration(
        uuid=str(record.get("uuid") or record["id"]),
        server=ServerID(record["instance_uuid"]),
        status=word(MigrationStatus, record["status"], MigrationStatus.UNKNOWN),
        source=record["source_compute"] or "",
        destination=record.get("dest_compute") or "",
        created_at=moment(record["created_at"]),
        number=record["id"] if isinstance(record.get("id"), int) else 0,
        live=record.get("migration_type") == LIVE,
    )


def word(kind: type[Word], text: object, unknown: Word) -> Word:
    """Return the enum's member with this value, or `unknown` with a warning."""
    try:
        return kind(text)
    except ValueError:
        log.warning("Nova says %s %r, which we do not know", kind.__name__, text)
        return unknown


def moment(text: str) -> datetime:
    """Read a stamp of Nova's: ISO 8601, in UTC whether it says so or not."""
    stamp = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)


def answered_at(headers: Mapping[str, str]) -> datetime:
    """Return the time of an answer by the clock of the one who gave it. Raises NovaError where it has no `Date`."""
    try:
        at = parsedate_to_datetime(headers["Date"])
        # `-0000` is UTC too, by a server that does not say where it is.
        return at if at.tzinfo else at.replace(tzinfo=UTC)
    except (KeyError, TypeError, ValueError):
        raise NovaError(
            "Nova's answer has no valid Date header", remedy="let the proxy in front of Nova pass it on"
        ) from None
