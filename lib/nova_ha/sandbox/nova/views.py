"""The simulated Nova's records as its API shows them (microversions 2.53 to 2.96)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from nova_ha.sandbox.nova.state import Cloud, Flavor, Host, Move, Rebuild, SimulatedServer

Version = tuple[int, int]

STATUS = {
    "active": "ACTIVE",
    "building": "BUILD",
    "stopped": "SHUTOFF",
    "paused": "PAUSED",
    "suspended": "SUSPENDED",
    "rescued": "RESCUE",
    "resized": "VERIFY_RESIZE",
    "soft-delete": "SOFT_DELETED",
    "error": "ERROR",
    "shelved": "SHELVED",
    "shelved_offloaded": "SHELVED_OFFLOADED",
}
POWER = {"active": 1, "paused": 3, "rescued": 1, "resized": 1, "stopped": 4, "suspended": 4}


def service(cloud: Cloud, host: Host) -> dict[str, Any]:
    if host.cell_down:
        return {"binary": "nova-compute", "host": host.name, "status": "UNKNOWN"}
    return {
        "id": host.service_id,
        "binary": "nova-compute",
        "host": host.name,
        "zone": "nova",
        "status": "enabled" if host.enabled else "disabled",
        "state": "up" if cloud.is_up(host) else "down",
        "forced_down": host.forced_down,
        "disabled_reason": host.disabled_reason or None,
        "updated_at": stamp(host.reported) if host.reported else None,
    }


def status(server: SimulatedServer) -> str:
    """Return the one word that Nova makes of vm_state and task_state."""
    if (server.task_state or "").startswith("rebuil") and server.vm_state in ("active", "stopped", "error"):
        return "REBUILD"
    return STATUS.get(server.vm_state, "UNKNOWN")


def brief(server: SimulatedServer) -> dict[str, Any]:
    return {"id": server.id, "name": server.name, "links": []}


def detailed(cloud: Cloud, server: SimulatedServer, version: Version, admin: bool) -> dict[str, Any]:
    record: dict[str, Any] = {
        **brief(server),
        "status": status(server),
        "tenant_id": server.project,
        "user_id": server.project,
        "created": zulu(server.created),
        "updated": zulu(cloud.now()),
        "metadata": server.metadata,
        "tags": server.tags,
        "locked": server.locked,
        "addresses": {},
        "image": {"id": server.image_id, "links": []} if server.image_id and not server.on_volume else "",
        "os-extended-volumes:volumes_attached": [{"id": server.disk}] if server.on_volume else [],
        "flavor": embedded_flavor(server) if version >= (2, 47) else {"id": server.flavor.id, "links": []},
        "OS-EXT-STS:vm_state": server.vm_state,
        "OS-EXT-STS:task_state": server.task_state,
        "OS-EXT-STS:power_state": POWER.get(server.vm_state, 0),
    }
    if version >= (2, 73):
        record["locked_reason"] = server.locked_reason
    if admin:
        record["OS-EXT-SRV-ATTR:host"] = server.host or None
        record["OS-EXT-SRV-ATTR:hypervisor_hostname"] = server.host or None
    if status(server) == "ERROR" and server.fault:
        record["fault"] = {"code": 500, "message": server.fault, "created": zulu(cloud.now())}
    return record


def embedded_flavor(server: SimulatedServer) -> dict[str, Any]:
    flavor = server.flavor
    return {
        "original_name": flavor.name,
        "vcpus": flavor.size.get("VCPU", 0),
        "ram": flavor.size.get("MEMORY_MB", 0),
        "disk": flavor.size.get("DISK_GB", 0),
        "ephemeral": server.ephemeral_gb,
        "swap": 0,
        "extra_specs": flavor.extra_specs,
    }


def flavor(entry: Flavor) -> dict[str, Any]:
    return {
        "id": entry.id,
        "name": entry.name,
        "vcpus": entry.size.get("VCPU", 0),
        "ram": entry.size.get("MEMORY_MB", 0),
        "disk": entry.size.get("DISK_GB", 0),
        "extra_specs": entry.extra_specs,
        "links": [],
    }


def migration(entry: Rebuild | Move, version: Version) -> dict[str, Any]:
    record: dict[str, Any] = {
        "id": entry.number,
        "instance_uuid": entry.server_id,
        "migration_type": entry.kind,
        "status": entry.status,
        "source_compute": entry.source,
        "source_node": entry.source,
        "dest_compute": entry.destination,
        "dest_node": entry.destination,
        "dest_host": None,
        "old_instance_type_id": None,
        "new_instance_type_id": None,
        "created_at": stamp(entry.created),
        "updated_at": stamp(entry.updated),
    }
    return {**record, "uuid": entry.uuid} if version >= (2, 59) else record


def stamp(moment: datetime) -> str:
    """Return a database's stamp: UTC without saying so, in whole seconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000000")


def zulu(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
