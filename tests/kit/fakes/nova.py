"""A Nova that holds services, servers, migrations and guests, and moves them on with the clock."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from nova_ha.clock import Clock
from nova_ha.compute import ComputeService, Migration, Server, ServerID, ServiceReading
from nova_ha.compute.states import MigrationStatus, RootDisk, VMState
from nova_ha.errors import EvacuationRefused, NoSuchServer, NovaError, OutcomeUnknown

# As libvirt says it, and Nova shows it.
LOCKED = (
    'internal error: process exited while connecting to monitor: Failed to get "write" lock\n'
    "Is another process using the image [/var/lib/nova/instances/1/disk]?"
)
# How long after a record has failed its server says why, and that its task is over.
GIVING_UP_S = 1.5
EVACUABLE = (VMState.ACTIVE, VMState.STOPPED, VMState.ERROR)


@dataclass
class Rebuild:
    """An evacuation on its way."""

    migration: str
    server: str
    target: str
    began: float
    fails: str = ""


class FakeNova:
    """Implements nova_ha.compute.Compute.

    `fail(method, error, times, acts=False)` scripts errors; `fail_spawn[host]` makes evacuations to it end in `error`
    with that text, as where no host takes them; `fail_late[host]` in `failed`, with the guest left running there.
    Nova cannot read the hosts in `cell_down`. `guests[server]` are the hosts where it runs; `doubled` collects
    the servers that ever ran on two, `unfenced` those that were asked for while `is_off(host)` was false.
    `disks[server]` tells its root disk from every other: a rebuild keeps it where it is a volume, or where both hosts
    see the shared storage, which those in `unshared` do not; else it makes a new one, and says nothing. A writer
    holds the disks of `locked_disks`.
    `answers_at` is the clock of the API's Date, where it is not that of the stamps.
    `calls` has every call with an effect. `before` runs before each of them.
    """

    call_timeout_s = 8.0

    def __init__(self, clock: Clock, hosts: Sequence[str], rebuild_s: float = 2.0) -> None:
        # Nova's own service_down_time and report_interval. Each nova-compute has a phase of its own.
        self.report_interval_s = 10.0
        self.own_interval_s: dict[str, float] = {}
        # Nova's own service_down_time is 60 s; without one it calls nobody down.
        self.down_after_s = math.inf
        self.reports_at = {name: -7.3 * number % 10.0 for number, name in enumerate(hosts)}
        self.clock = clock
        self.answers_at: Callable[[], datetime] = lambda: self.clock.now()
        self.rebuild_s = rebuild_s
        self.hosts = {name: ComputeService(f"id-{name}", name, True, True, False, "", clock.now()) for name in hosts}
        self.silent: set[str] = set()
        self.cell_down: set[str] = set()
        self.inventory: dict[str, Server] = {}
        self.records: list[Migration] = []
        self.moves: list[Migration] = []
        self.rebuilds: list[Rebuild] = []
        self.guests: dict[str, set[str]] = {}
        self.disks: dict[str, str] = {}
        self.unshared: set[str] = set()
        self.locked_disks: set[str] = set()
        self.doubled: set[str] = set()
        self.unfenced: set[str] = set()
        self.is_off: Callable[[str], bool] = lambda host: True
        self.calls: list[tuple[str, ...]] = []
        self.fail_spawn: dict[str, str] = {}
        self.fail_late: dict[str, str] = {}
        self.before: Callable[[tuple[str, ...]], None] = lambda call: None
        self._late_s = 0.0
        self._later: list[tuple[float, ServerID, str | None]] = []
        self._giving_up: list[tuple[float, str, str]] = []
        self._failures: dict[str, list[tuple[Exception, bool]]] = {}
        self._ids = itertools.count(1)

    # --- what a test does to it ---

    def add(self, host: str, count: int = 1, vm_state: VMState = VMState.ACTIVE, **fields: Any) -> list[str]:
        """Put so many servers on the host."""
        made = []
        for _ in range(count):
            server = f"server-{next(self._ids)}"
            self.inventory[server] = replace(Server(ServerID(server), server, host, vm_state), **fields)
            self.guests[server] = {host} if vm_state is VMState.ACTIVE else set()
            self.disks[server] = f"disk of {server}"
            made.append(server)
        return made

    def migrate(self, server: str, destination: str, *, handed_over: bool = False) -> Migration:
        """Let a live migration begin; `handed_over`: its guest runs on the destination already."""
        moved = self.inventory[server]
        self.inventory[server] = replace(moved, task_state="migrating")
        uuid, now = f"move-{next(self._ids)}", self.clock.now()
        move = Migration(uuid, ServerID(server), MigrationStatus.RUNNING, moved.host, destination, now)
        self.moves.insert(0, move)
        if handed_over:
            self.guests[server] = {destination}
        return move

    def fail(self, method: str, error: Exception, times: int = 1, *, acts: bool = False) -> None:
        """Let the next calls of the method raise; `acts` carries them out first."""
        self._failures.setdefault(method, []).extend([(error, acts)] * times)

    def heal(self) -> None:
        """Let nothing that was scripted fail any more."""
        self._failures.clear()
        self.fail_spawn.clear()
        self.fail_late.clear()
        self._late_s = 0.0

    def lose_and_act_later(self, after_s: float) -> None:
        """Let the next evacuation's answer be lost, and the evacuation itself begin only so many seconds later."""
        self._late_s = after_s

    def power_lost(self, host: str) -> None:
        """The host's power is off: its guests are gone, and it reports no more."""
        self.silent.add(host)
        for where in self.guests.values():
            where.discard(host)

    def guests_resume(self, host: str) -> None:
        """The host has booted, though not as far as to report: what Nova still has on it runs there again."""
        for server in self.inventory.values():
            if server.host == host:
                self.guests[server.id].add(host)
                if len(self.guests[server.id]) > 1:
                    self.doubled.add(server.id)

    def tick(self) -> None:
        """Let what is due by the clock happen."""
        now = self.clock.monotonic()
        for due in [due for due in self._later if due[0] <= now]:
            self._later.remove(due)
            with contextlib.suppress(NovaError):
                self._evacuate(due[1], due[2])
        for given_up in [given_up for given_up in self._giving_up if given_up[0] <= now]:
            self._giving_up.remove(given_up)
            _, failed, why = given_up
            if server := self.inventory.get(failed):
                self.inventory[failed] = replace(server, fault=why, disk_locked=why == LOCKED, task_state="")
        for name, service in self.hosts.items():
            if name not in self.silent and self.reports_at[name] <= now:
                # The one of now is the last that was due, and the next one keeps its phase.
                every_s = self.own_interval_s.get(name, self.report_interval_s)
                late = (now - self.reports_at[name]) % every_s
                stamp = self.clock.now() - timedelta(seconds=late)
                self.reports_at[name] = now - late + every_s
                self.hosts[name] = replace(service, updated_at=stamp, up=not service.forced_down)
            elif service.updated_at and (self.clock.now() - service.updated_at).total_seconds() > self.down_after_s:
                self.hosts[name] = replace(service, up=False)
        for rebuild in list(self.rebuilds):
            if now - rebuild.began >= self.rebuild_s:
                self.rebuilds.remove(rebuild)
                self._rebuilt(rebuild)

    def _rebuilt(self, rebuild: Rebuild) -> None:
        server = self.inventory.get(rebuild.server)
        if server is None:
            return self._record(rebuild.migration, MigrationStatus.ERROR)
        if why := rebuild.fails or self.fail_spawn.get(rebuild.target, ""):
            return self._fails(rebuild, server, MigrationStatus.ERROR, why)
        if rebuild.target in self.guests[server.id]:
            return self._fails(rebuild, server, MigrationStatus.FAILED, "Instance already exists.")
        if why := self.fail_late.get(rebuild.target, ""):
            self.guests[server.id].add(rebuild.target)
            self._count_doubled(server.id)
            return self._fails(rebuild, server, MigrationStatus.FAILED, why)
        if server.id in self.locked_disks:
            return self._fails(rebuild, server, MigrationStatus.FAILED, LOCKED)
        if server.root_disk is not RootDisk.VOLUME and {server.host, rebuild.target} & self.unshared:
            self.disks[server.id] = f"new disk of {server.id}, from its image on {rebuild.target}"
        was = VMState.STOPPED if server.vm_state is VMState.STOPPED else VMState.ACTIVE
        self.inventory[server.id] = replace(
            server, host=rebuild.target, vm_state=was, fault="", task_state="", disk_locked=False
        )
        if was is VMState.ACTIVE:
            self.guests[server.id].add(rebuild.target)
        self._count_doubled(server.id)
        return self._record(rebuild.migration, MigrationStatus.DONE)

    def _fails(self, rebuild: Rebuild, server: Server, status: MigrationStatus, why: str) -> None:
        """End the record. Why it failed, and that the task is over, is said a moment later, as in Nova."""
        self._record(rebuild.migration, status)
        self.inventory[server.id] = replace(server, vm_state=VMState.ERROR)
        self._giving_up.append((self.clock.monotonic() + GIVING_UP_S, server.id, why))

    def _count_doubled(self, server: str) -> None:
        if len(self.guests[server]) > 1:
            self.doubled.add(server)

    def _record(self, migration: str, status: MigrationStatus) -> None:
        self.records = [replace(r, status=status) if r.uuid == migration else r for r in self.records]

    def _call(self, method: str, act: Callable[[], None], *words: str) -> None:
        call = (method, *words)
        self.before(call)
        failures = self._failures.get(method, [])
        if failures:
            error, acts = failures.pop(0)
            if acts:
                act()
                self.calls.append(call)
            raise error
        act()
        self.calls.append(call)

    def _read(self, method: str) -> None:
        if failures := self._failures.get(method, []):
            raise failures.pop(0)[0]

    # --- Compute ---

    def service(self, host: str) -> ServiceReading | None:
        self._read("service")
        self.tick()
        self._refuse_unreadable(host)
        service = self.hosts.get(host)
        return ServiceReading(service, self.answers_at()) if service else None

    def services(self, about: str = "") -> Sequence[ServiceReading]:
        self._read("services")
        self.tick()
        self._refuse_unreadable(about)
        readable = [service for service in self.hosts.values() if service.host not in self.cell_down]
        return [ServiceReading(service, self.answers_at()) for service in readable]

    def _refuse_unreadable(self, host: str) -> None:
        if host in self.cell_down:
            raise NovaError(f"Nova cannot read the service of {host}: its cell's database is away")

    def _named(self, service_id: str) -> ComputeService:
        return next(service for service in self.hosts.values() if service.id == service_id)

    def force_down(self, service_id: str, down: bool) -> None:
        service = self._named(service_id)

        def act() -> None:
            self.hosts[service.host] = replace(service, forced_down=down, up=not down and service.up)

        self._call("force_down", act, service.host, str(down))

    def disable(self, service_id: str, reason: str) -> None:
        service = self._named(service_id)

        def act() -> None:
            self.hosts[service.host] = replace(service, enabled=False, disabled_reason=reason)

        self._call("disable", act, service.host, reason)

    def enable(self, service_id: str) -> None:
        service = self._named(service_id)

        def act() -> None:
            self.hosts[service.host] = replace(service, enabled=True, disabled_reason="")

        self._call("enable", act, service.host)

    def servers(self, host: str) -> Sequence[Server]:
        self._read("servers")
        self._refuse_unreadable(host)
        return [server for server in self.inventory.values() if server.host == host]

    def server(self, server_id: ServerID) -> Server | None:
        self._read("server")
        return self.inventory.get(server_id)

    def evacuations(self, host: str) -> Sequence[Migration]:
        self._read("evacuations")
        self.tick()
        return [record for record in self.records if record.source == host]

    def moves_of(self, server_id: ServerID) -> Sequence[Migration]:
        self._read("moves_of")
        return [move for move in self.moves if move.server == server_id]

    def moves_at(self, host: str) -> Sequence[Migration]:
        self._read("moves_at")
        return [move for move in self.moves if host in (move.source, move.destination)]

    def moves_to(self, host: str) -> Sequence[Migration]:
        self._read("moves_to")
        return [move for move in self.moves if move.destination == host]

    def evacuate(self, server_id: ServerID, target: str | None) -> None:
        late, self._late_s = self._late_s, 0.0
        if late:
            self._later.append((self.clock.monotonic() + late, server_id, target))
            raise OutcomeUnknown("Nova took the evacuation and did not answer")
        self._call("evacuate", lambda: self._evacuate(server_id, target), server_id, target or "")

    def _evacuate(self, server_id: ServerID, target: str | None) -> None:
        server = self.inventory.get(server_id)
        if server is None:
            raise NoSuchServer(f"no server {server_id}")
        source = self.hosts[server.host]
        if not self.is_off(server.host):
            self.unfenced.add(server_id)
        if source.up and not source.forced_down:
            raise EvacuationRefused(f"Compute service of {server.host} is still in use")
        if server.vm_state not in EVACUABLE:
            raise EvacuationRefused(f"Cannot 'evacuate' instance while it is in vm_state {server.vm_state.value}")
        open_before = [r for r in self.records if r.server == server_id and r.status.open]
        chosen = target or self._scheduled(server.host)
        uuid = f"migration-{next(self._ids)}"
        created: datetime = self.clock.now()
        self.records.insert(0, Migration(uuid, server_id, MigrationStatus.ACCEPTED, server.host, chosen, created))
        rebuild = Rebuild(uuid, server_id, chosen, self.clock.monotonic())
        self.inventory[server_id] = replace(server, task_state="rebuilding")
        if not self._takes(chosen):
            rebuild.fails = "No valid host was found"
        if open_before:
            # Nova breaks both, and the guest may run on either.
            self.doubled.add(server_id)
        self.rebuilds.append(rebuild)

    def _takes(self, host: str) -> bool:
        service = self.hosts.get(host)
        return bool(service and service.up and service.enabled and not service.forced_down)

    def _scheduled(self, source: str) -> str:
        return next((host for host in self.hosts if host != source and self._takes(host)), "")

    def reset_to_error(self, server_id: ServerID) -> None:
        def act() -> None:
            self.inventory[server_id] = replace(self.inventory[server_id], vm_state=VMState.ERROR, task_state="")

        self._call("reset_to_error", act, server_id)

    def stop(self, server_id: ServerID) -> None:
        def act() -> None:
            self.inventory[server_id] = replace(self.inventory[server_id], vm_state=VMState.STOPPED)
            self.guests[server_id] = set()

        self._call("stop", act, server_id)

    def lock(self, server_id: ServerID, reason: str) -> None:
        raise NovaError("nothing locks servers")

    def flavor_marks(self, flavor_id: str) -> Mapping[str, str]:
        return {}

    def image_marks(self, image_id: str) -> tuple[Mapping[str, str], tuple[str, ...]]:
        return {}, ()

    def room(self, host: str) -> Mapping[str, int]:
        return {"VCPU": 100}

    def usage(self, host: str) -> Mapping[str, int]:
        return {"VCPU": len(self.servers(host))}
