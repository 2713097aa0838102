"""Nova's words for the states of servers and migrations, and where a root disk lies."""

from __future__ import annotations

import enum


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


class RootDisk(enum.Enum):
    """Where a server's root disk lies. What is not seen to be a volume is taken to be on its host.

    Whether it lies there on storage that other hosts share, nothing in Nova's API tells.
    """

    HOST = "host"
    VOLUME = "volume"


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
    def ended(self) -> bool:
        """True when an evacuation has come to an end without the server."""
        return not self.open and not self.arrived

    @property
    def arrived(self) -> bool:
        """True when the server was rebuilt on the destination, of an evacuation."""
        return self in (MigrationStatus.DONE, MigrationStatus.COMPLETED)
