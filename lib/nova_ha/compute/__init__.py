"""Nova, behind one Protocol: its words as enums, its records as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NewType, Protocol

from nova_ha.compute.states import MigrationStatus, RootDisk, VMState

ServerID = NewType("ServerID", str)

# What Nova's reason begins with where it disables a service by itself, and enables it again (nova 34, libvirt).
NOVA_REASON = "AUTO:"


@dataclass(frozen=True)
class ComputeService:
    """A `nova-compute` service. `updated_at` is its last report, by Nova's clock; None before the first.

    `zone` is its availability zone, empty where Nova does not say.
    """

    id: str
    host: str
    up: bool
    enabled: bool
    forced_down: bool
    disabled_reason: str
    updated_at: datetime | None
    zone: str = ""

    @property
    def disabled_by_nova(self) -> bool:
        """True where Nova has disabled it by itself, as when its libvirtd died: that is nobody's wish."""
        return not self.enabled and self.disabled_reason.startswith(NOVA_REASON)


@dataclass(frozen=True)
class ServiceReading:
    """A service with the time of the answer by the clock of Nova's API (its `Date` header)."""

    service: ComputeService
    read_at: datetime

    @property
    def silent_for_s(self) -> float | None:
        """Seconds since nova-compute's last report, or None where it never reported: to be shown only.

        The two stamps are of two machines, and their clocks may differ.
        """
        if self.service.updated_at is None:
            return None
        return (self.read_at - self.service.updated_at).total_seconds()


@dataclass(frozen=True)
class Server:
    """A server as the recovery needs it. `tags` are the server's own.

    `flavor_marks` has its flavor's extra specs as the server itself carries them, which outlive the flavor;
    None where Nova's answer has none: then ask `Compute.flavor_marks`. `disk_locked`: its fault says that a writer
    holds the lock of its disk.
    """

    id: ServerID
    name: str
    host: str
    vm_state: VMState
    task_state: str = ""
    locked: bool = False
    fault: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    flavor_id: str = ""
    image_id: str = ""
    flavor_marks: Mapping[str, str] | None = None
    root_disk: RootDisk = RootDisk.HOST
    ephemeral_gb: int = 0
    disk_locked: bool = False


@dataclass(frozen=True)
class Migration:
    """A migration's record in Nova: of an evacuation, or of another move.

    `number` is Nova's own id, one sequence for all records of a cell; 0 where it gives none. `created_at` is of the
    clock of the nova-api that took the request. `live` is True of a live migration.
    """

    uuid: str
    server: ServerID
    status: MigrationStatus
    source: str
    destination: str
    created_at: datetime
    number: int = 0
    live: bool = False


class Compute(Protocol):
    """Nova, with the methods that the recovery uses. Every call has its own time-out (`call_timeout_s`).

    Each raises NovaError when Nova cannot be asked, or refuses; a write whose answer was lost raises
    OutcomeUnknown. No call retries a write.
    """

    call_timeout_s: float

    def service(self, host: str) -> ServiceReading | None:
        """Return the nova-compute of the host, or None where Nova knows none."""

    def services(self, about: str = "") -> Sequence[ServiceReading]:
        """Return every nova-compute that Nova can read; those of a cell whose database is away are left out.

        Raises NovaError where it cannot read one of the host that it is `about`.
        """

    def force_down(self, service_id: str, down: bool) -> None:
        """Set or clear `forced_down`. Idempotent. Nova refuses to clear it while evacuations are `done`."""

    def disable(self, service_id: str, reason: str) -> None:
        """Disable the service with a reason of 1 to 255 characters. Force it down first: else this blocks."""

    def enable(self, service_id: str) -> None:
        """Enable the service."""

    def servers(self, host: str) -> Sequence[Server]:
        """Return all servers of all projects on the host, through all pages.

        Raises NovaError where one of them is on another host: Nova drops the filter then, and says nothing.
        """

    def server(self, server_id: ServerID) -> Server | None:
        """Return one server, or None where it no longer exists."""

    def evacuations(self, host: str) -> Sequence[Migration]:
        """Return all evacuation records with this source host, newest first, through all pages."""

    def moves_of(self, server_id: ServerID) -> Sequence[Migration]:
        """Return the records of a server's live and cold migrations and resizes, newest first."""

    def moves_at(self, host: str) -> Sequence[Migration]:
        """Return the records of all such moves from or to this host, newest first, through all pages."""

    def moves_to(self, host: str) -> Sequence[Migration]:
        """Return the records of all such moves with this destination, newest first, through all pages."""

    def evacuate(self, server_id: ServerID, target: str | None) -> None:
        """Ask Nova to rebuild the server on `target`, or where its scheduler likes. Returns before it is done.

        Raises NoSuchServer (deleted meanwhile), EvacuationRefused (this request changed nothing), OutcomeUnknown.
        """

    def reset_to_error(self, server_id: ServerID) -> None:
        """Set the server's vm_state to ERROR and clear its task_state, so that Nova accepts an evacuation."""

    def stop(self, server_id: ServerID) -> None:
        """Shut the server down; returns before it is done."""

    def lock(self, server_id: ServerID, reason: str) -> None:
        """Lock the server against its own project. Idempotent."""

    def flavor_marks(self, flavor_id: str) -> Mapping[str, str]:
        """Return a flavor's extra specs (empty where the flavor is gone)."""

    def image_marks(self, image_id: str) -> tuple[Mapping[str, str], tuple[str, ...]]:
        """Return an image's properties and tags (both empty where the image is gone or there is none)."""

    def room(self, host: str) -> Mapping[str, int]:
        """Return what Placement has free on the host, by resource class (`VCPU`, `MEMORY_MB`, `DISK_GB`)."""

    def usage(self, host: str) -> Mapping[str, int]:
        """Return what is taken on the host, by resource class: what its servers would need elsewhere."""
