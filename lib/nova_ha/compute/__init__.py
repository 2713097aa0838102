"""Nova, behind one Protocol: its words as enums, its records as values."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NewType, Protocol

ServerID = NewType("ServerID", str)


class VMState(enum.Enum):
    """`OS-EXT-STS:vm_state`. A word that Nova may add later is UNKNOWN."""

    ACTIVE = "active"
    BUILDING = "building"
    PAUSED = "paused"
    SUSPENDED = "suspended"
    STOPPED = "stopped"
    RESCUED = "rescued"
    RESIZED = "resized"
    SOFT_DELETED = "soft-delete"
    DELETED = "deleted"
    ERROR = "error"
    SHELVED = "shelved"
    SHELVED_OFFLOADED = "shelved_offloaded"
    UNKNOWN = "unknown"


class MigrationStatus(enum.Enum):
    """The states of a migration record, as Nova names them: of evacuations, resizes, live and cold migrations."""

    ACCEPTED = "accepted"
    PRE_MIGRATING = "pre-migrating"
    MIGRATING = "migrating"
    POST_MIGRATING = "post-migrating"
    DONE = "done"
    COMPLETED = "completed"
    # Of live migrations.
    QUEUED = "queued"
    PREPARING = "preparing"
    RUNNING = "running"
    # Of resizes and cold migrations. A finished one waits for its owner, with nobody at work on it.
    FINISHED = "finished"
    CONFIRMING = "confirming"
    CONFIRMED = "confirmed"
    REVERTING = "reverting"
    REVERTED = "reverted"
    ERROR = "error"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"

    @property
    def open(self) -> bool:
        """True while Nova may still act on it. A word we do not know counts as open."""
        return self in (
            MigrationStatus.ACCEPTED,
            MigrationStatus.PRE_MIGRATING,
            MigrationStatus.MIGRATING,
            MigrationStatus.POST_MIGRATING,
            MigrationStatus.QUEUED,
            MigrationStatus.PREPARING,
            MigrationStatus.RUNNING,
            MigrationStatus.CONFIRMING,
            MigrationStatus.REVERTING,
            MigrationStatus.UNKNOWN,
        )

    @property
    def arrived(self) -> bool:
        """True when the server was rebuilt on the destination, of an evacuation."""
        return self in (MigrationStatus.DONE, MigrationStatus.COMPLETED)


@dataclass(frozen=True)
class ComputeService:
    """A `nova-compute` service. `updated_at` is its last report, by Nova's clock; None before the first."""

    id: str
    host: str
    up: bool
    enabled: bool
    forced_down: bool
    disabled_reason: str
    updated_at: datetime | None


@dataclass(frozen=True)
class ServiceReading:
    """A service with the time of the answer by Nova's own clock (its `Date` header), to tell its age."""

    service: ComputeService
    read_at: datetime

    @property
    def silent_for_s(self) -> float | None:
        """Seconds since nova-compute's last report, or None where it never reported."""
        if self.service.updated_at is None:
            return None
        return (self.read_at - self.service.updated_at).total_seconds()


@dataclass(frozen=True)
class Server:
    """A server as the recovery needs it. `tags` are the server's own.

    `flavor_marks` has its flavor's extra specs as the server itself carries them, which outlive the flavor;
    None where Nova's answer has none: then ask `Compute.flavor_marks`.
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


@dataclass(frozen=True)
class Migration:
    """A migration's record in Nova: of an evacuation, or of another move."""

    uuid: str
    server: ServerID
    status: MigrationStatus
    source: str
    destination: str
    created_at: datetime


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
