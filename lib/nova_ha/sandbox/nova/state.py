"""What the simulated cloud consists of: hosts with their nova-compute, servers, guests, evacuations."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import RLock

from nova_ha.clock import Clock, SystemClock

INVENTORY = {"VCPU": 64, "MEMORY_MB": 131072, "DISK_GB": 2000}
FLAVOR_SIZE = {"VCPU": 1, "MEMORY_MB": 64, "DISK_GB": 1}


@dataclass(frozen=True)
class Timing:
    """How long everything takes, in seconds. The first two are Nova's own defaults; `heartbeat_s` is the hosts'."""

    report_interval_s: float = 10.0
    service_down_time_s: float = 60.0
    heartbeat_s: float = 1.0
    schedule_s: float = 0.2
    rebuild_s: float = 1.0
    handover_s: float = 0.3
    giving_up_s: float = 0.5
    power_s: float = 0.3
    start_s: float = 1.0
    rpc_timeout_s: float = 60.0
    clock_offset_s: float = 0.0


@dataclass
class Host:
    """A compute host and its nova-compute, which reports by itself until its first heartbeat from outside.

    `shares_disks`: its root disks are on storage that it shares with all others that do so. `cell_down`: Nova cannot
    read the database that has the host and its servers. `left_record`: the id of a second record of its nova-compute,
    left where the host was before it moved to another cell.
    """

    name: str
    inventory: dict[str, int] = field(default_factory=lambda: dict(INVENTORY))
    service_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    provider_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    powered: bool = True
    running: bool = True
    reports_itself: bool = True
    boot: str = ""
    ready_at: float | None = None
    heard_at: float | None = None
    reported_at: float | None = None
    reported: datetime | None = None
    forced_down: bool = False
    enabled: bool = True
    disabled_reason: str = ""
    shares_disks: bool = True
    cell_down: bool = False
    left_record: str = ""


@dataclass
class Flavor:
    """A flavor; `size` is by resource class, as Placement counts it."""

    id: str
    name: str
    extra_specs: dict[str, str] = field(default_factory=dict)
    size: dict[str, int] = field(default_factory=lambda: dict(FLAVOR_SIZE))


@dataclass
class Image:
    """An image with its properties and tags."""

    id: str
    name: str
    properties: dict[str, str] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)


@dataclass
class SimulatedServer:
    """A server, as Nova's database has it.

    `on_volume`: its root disk is a volume; else it is on its host. `disk` tells the disk from every other one.
    `ephemeral_gb` is what its flavor gives it beside that. `power_due` is when a stop or start in progress ends.
    `delete_queued_on` is a host whose nova-compute was asked to delete it and did not answer: it does so when it
    returns, wherever the server is by then.
    """

    id: str
    name: str
    host: str
    flavor: Flavor
    created: datetime
    number: int
    vm_state: str = "active"
    task_state: str | None = None
    locked: bool = False
    locked_reason: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    image_id: str = ""
    fault: str = ""
    project: str = "admin"
    deleted: bool = False
    launched: bool = True
    delete_queued_on: str = ""
    power_due: float | None = None
    on_volume: bool = False
    ephemeral_gb: int = 0
    disk: str = field(default_factory=lambda: str(uuid.uuid4()))


class RebuildStage(enum.Enum):
    """How far an evacuation really is; Nova shows only a migration's status."""

    SCHEDULING = "scheduling"
    QUEUED = "queued"
    SPAWNING = "spawning"
    SPAWNED = "spawned"
    GIVING_UP = "giving-up"
    OVER = "over"


@dataclass
class Rebuild:
    """A migration record, and the work behind it. `stage` OVER with an open status is a record left for ever.

    `fault` is why it has failed, while the server does not have it yet: the record ends first, as in Nova itself.
    `source_freed` is True once the source has been restarted: until then Placement keeps what the server took there.
    """

    uuid: str
    number: int
    server_id: str
    source: str
    destination: str | None
    created: datetime
    updated: datetime
    due: float
    status: str = "accepted"
    stage: RebuildStage = RebuildStage.SCHEDULING
    stops_after: bool = False
    fault: str = ""
    source_freed: bool = False
    kind: str = "evacuation"


@dataclass
class Move:
    """A migration record of another `kind`: live-migration, migration, resize. Nothing of it goes on by itself."""

    uuid: str
    number: int
    server_id: str
    source: str
    destination: str
    created: datetime
    updated: datetime
    status: str = "running"
    kind: str = "live-migration"


@dataclass(frozen=True)
class Overlap:
    """A guest that ran on two hosts at once."""

    server_id: str
    hosts: tuple[str, ...]
    since: datetime


@dataclass
class Cloud:
    """The whole state. Everything that reads or changes it holds `lock`.

    `drops_filters`: as for a user without the right allow_all_filters, lists of servers are not filtered by host.
    `bus_away`: no message comes through between Nova and its nova-computes, neither reports nor rebuilds.
    """

    timing: Timing = field(default_factory=Timing)
    clock: Clock = field(default_factory=SystemClock)
    lock: RLock = field(default_factory=RLock)
    hosts: dict[str, Host] = field(default_factory=dict)
    servers: dict[str, SimulatedServer] = field(default_factory=dict)
    flavors: dict[str, Flavor] = field(default_factory=dict)
    images: dict[str, Image] = field(default_factory=dict)
    evacuations: list[Rebuild] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    fail_spawn: set[str] = field(default_factory=set)
    slow_spawn: dict[str, float] = field(default_factory=dict)
    locked_disks: set[str] = field(default_factory=set)
    drops_filters: bool = False
    bus_away: bool = False
    overlaps: list[Overlap] = field(default_factory=list)
    _guests: dict[str, dict[str, bool]] = field(default_factory=dict)

    def now(self) -> datetime:
        """Return the time by Nova's own clock."""
        return self.clock.now() + timedelta(seconds=self.timing.clock_offset_s)

    def is_alive(self, host: Host) -> bool:
        """Return True when the host's nova-compute really works, whatever Nova thinks."""
        if not (host.powered and host.running) or host.ready_at is not None:
            return False
        return host.reports_itself or self._age(host.heard_at) <= 2.5 * self.timing.heartbeat_s

    def is_up(self, host: Host) -> bool:
        """Return what Nova thinks: reported lately, and not forced down."""
        return not host.forced_down and self._age(host.reported_at) <= self.timing.service_down_time_s

    def _age(self, at: float | None) -> float:
        return self.clock.monotonic() - at if at is not None else float("inf")

    def live_servers(self) -> Iterator[SimulatedServer]:
        return (server for server in self.servers.values() if not server.deleted)

    def shown_evacuations(self) -> list[Rebuild]:
        """Return those that Nova shows, oldest first: a server's go with it when it is deleted."""
        return [evacuation for evacuation in self.evacuations if not self.servers[evacuation.server_id].deleted]

    def shown_migrations(self) -> list[Rebuild | Move]:
        """Return evacuations and other moves that Nova shows, oldest first."""
        moves = [move for move in self.moves if not self.servers[move.server_id].deleted]
        return sorted([*self.shown_evacuations(), *moves], key=lambda entry: entry.number)

    def next_number(self) -> int:
        """Return the number of a new migration record."""
        every: list[Rebuild | Move] = [*self.evacuations, *self.moves]
        return max((entry.number for entry in every), default=0) + 1

    def set_guest(self, host: str, server_id: str, running: bool) -> None:
        """Put a guest on a host. Running on two hosts at once is recorded for ever."""
        self._guests.setdefault(host, {})[server_id] = running
        hosts = tuple(sorted(name for name, running in self.guests_of(server_id).items() if running))
        if running and len(hosts) > 1:
            self.overlaps.append(Overlap(server_id, hosts, self.now()))

    def drop_guest(self, host: str, server_id: str) -> None:
        self._guests.get(host, {}).pop(server_id, None)

    def drop_guests(self, host: str) -> None:
        """Forget all guests of a host that lost its power."""
        self._guests.pop(host, None)

    def forget_server(self, server_id: str) -> None:
        """Forget a server with its guests and its migrations, as if there had never been one."""
        del self.servers[server_id]
        self.evacuations = [entry for entry in self.evacuations if entry.server_id != server_id]
        self.moves = [entry for entry in self.moves if entry.server_id != server_id]
        for host in self._guests:
            self.drop_guest(host, server_id)

    def guests_of(self, server_id: str) -> Mapping[str, bool]:
        """Return where a server's guest is: by host, whether it runs there."""
        return {host: guests[server_id] for host, guests in self._guests.items() if server_id in guests}

    def guests(self) -> Mapping[str, Mapping[str, bool]]:
        """Return all guests by server id, then host."""
        ids = sorted({server_id for guests in self._guests.values() for server_id in guests})
        return {server_id: self.guests_of(server_id) for server_id in ids}
