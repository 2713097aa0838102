"""The recorder of a World: what its Consul, its BMCs, its Nova and its hosts have seen, as the auditor's trace.

The clock of a World stands still between two events, so each of them gets a microsecond of its own.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

from nova_ha.clock import Clock
from nova_ha.cluster.schema import compute_node
from nova_ha.compute import Compute, ServerID
from nova_ha.compute import Migration as NovasRecord
from nova_ha.consul.transaction import Entry
from nova_ha.errors import OutcomeUnknown
from nova_ha.power import BMC, PowerOffAnswer, PowerState
from nova_ha.power import PowerReading as Reading
from nova_ha.recovery.driver_clients import DriverClients
from nova_ha.recovery.recover import Result

from kit.audit import Cluster, Trace, audit, make_trace
from kit.audit.trace import (
    SHARED,
    SOURCES,
    Answering,
    GuestRun,
    Injected,
    KVChange,
    Migration,
    NovaCall,
    Output,
    PowerCommand,
    PowerReading,
    PowerTruth,
    Record,
    Report,
    SessionChange,
    Stamps,
)
from kit.fakes.world import Crash, World

# Seconds within which a host that failed must have come to its end, once drivers run and nothing else fails.
BOUND_S = 60.0
# What a step of a recovery may take there, where nothing else fails.
STEP_S = 30.0


class Notes:
    """All records of one World, each with a stamp of its own. Several threads may write, who holds `alone`."""

    def __init__(self, world: World) -> None:
        self.records: list[Record] = []
        self.alone = threading.RLock()
        self._start = world.clock.now()
        self._world = world
        self._stamps = Stamps()

    def now(self) -> datetime:
        """Return a stamp: the time that has gone by, whatever the time of day is said to be."""
        with self.alone:
            return self._stamps.next(self._start + timedelta(seconds=self._world.clock.monotonic()))

    def add(self, make: Callable[[datetime], Record]) -> None:
        """Add what is made with a new stamp."""
        with self.alone:
            self.records.append(make(self.now()))


class NovasClock:
    """The clock of Nova's own machine, which no jump of the HA nodes' clocks moves."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._start = clock.now() - timedelta(seconds=clock.monotonic())

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._clock.monotonic())

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def sleep(self, seconds: float) -> None:
        self._clock.sleep(seconds)


class TracedWorld(World):
    """A World that records itself, whatever is done to it, and by whom. `audited` has its violations until then.

    `said` is why the last run of a handler left a node that was due for later; `lost_answers`, how many of Consul's
    next answers to a transaction get lost. With `all_is_injected` every fault there is was given to `inject`.
    """

    def __init__(self, compute: int = 4, ha: int = 3) -> None:
        super().__init__(compute, ha)
        self.secrets = [f"Pa$$/w+rd of {name}" for name in self.names]
        for name, secret in zip(self.names, self.secrets, strict=True):
            self.store.put(compute_node(name, "config/bmc/password"), secret)
        self.nova.clock = NovasClock(self.clock)
        self.notes = Notes(self)
        self.outputs: list[Output] = []
        self.said: dict[str, str] = {}
        self.lost_answers = 0
        self.all_is_injected = False
        self.step_s = STEP_S
        self.reached = threading.local()
        self._faults: list[Injected] = []
        self._guests = TracedGuests(self)
        self._watches: tuple[Any, ...] = (TracedConsul(self), TracedPower(self), TracedReports(self), self._guests)
        self.clock.meanwhile.append(self.look)
        for bmc in self.bmcs.values():
            bmc.on_off = _both(bmc.on_off, self.look)
        reach = self.nova._call
        self.nova._call = lambda method, act, *words: reach(method, self._reaching(act), *words)  # type: ignore[method-assign]
        self.look()

    def look(self) -> None:
        """Note all that has changed since the last look."""
        with self.notes.alone:
            for watch in self._watches:
                watch.look()

    def clients(self, me: str = "ha-1") -> DriverClients:
        clients = super().clients(me)
        bmc = clients.bmc
        return replace(
            clients,
            compute=lambda: cast(Compute, TracedNova(self, me)),
            bmc=lambda device: TracedBMC(self, me, self.fenced_by(device), bmc(device)),
        )

    def report(self, without: Sequence[str] = ()) -> None:
        super().report(without)
        if hasattr(self, "notes"):
            self.look()

    def recover(self, me: str = "ha-1") -> dict[str, Result]:
        self.look()
        try:
            results = super().recover(me)
        finally:
            self.look()
        self.said = {node: result.words for node, result in results.items() if result.outcome == "waits"}
        return results

    def inject(self, fault: str, subject: str = "", reach: str = SHARED) -> None:
        """Note a fault that begins now."""
        self._faults.append(Injected(self.notes.now(), fault, subject, reach=reach))

    def mend(self) -> None:
        """Note that all faults have ended."""
        now = self.notes.now()
        self._faults = [fault if fault.ended else replace(fault, ended=now) for fault in self._faults]

    def trace(self) -> Trace:
        """Return what happened until now."""
        self.look()
        guests = self._guests
        said = [Output(f"explain {node}", words) for node, words in self.said.items()]
        cluster = Cluster(
            compute=tuple(self.names),
            ha_nodes=tuple(self.observers),
            servers=tuple(self.nova.inventory),
            services={service.id: host for host, service in self.nova.hosts.items()},
            secrets=tuple(self.secrets),
            reaction_s=0.0,
            bound_s=BOUND_S,
            step_s=self.step_s,
            sources=SOURCES - {"argv"} - (set() if self.all_is_injected else {"faults"}),
        )
        records = [*self.notes.records, *self._faults, *guests.runs(), *guests.migrations(), *self.outputs, *said]
        return make_trace(cluster, self.notes.now(), records)

    @property
    def audited(self) -> list[str]:
        """What the auditor finds in it, a line for each."""
        return [str(violation) for violation in audit(self.trace())]

    def _reaching(self, act: Callable[[], None]) -> Callable[[], None]:
        """Return what notes the moment at which Nova begins to act: hooks may have taken long before it."""

        def reaching() -> None:
            self.reached.at = self.notes.now()
            act()

        return reaching


def _both(first: Callable[[], None], then: Callable[[], None]) -> Callable[[], None]:
    def both() -> None:
        first()
        then()

    return both


class TracedPower:
    """Notes what the machines do: whether they are on, and whether they answer."""

    def __init__(self, world: TracedWorld) -> None:
        self._world = world
        self._on = dict.fromkeys(world.names, True)
        self._answering = dict.fromkeys(world.names, True)

    def look(self) -> None:
        """Note what has changed."""
        for name in self._on:
            on = self._world.bmcs[name].state is PowerState.ON
            answers = on and name not in self._world.silent
            if self._on[name] != on:
                self._world.notes.records.append(PowerTruth(self._world.notes.now(), name, on))
            if self._answering[name] != answers:
                self._world.notes.records.append(Answering(self._world.notes.now(), name, answers))
            self._on[name], self._answering[name] = on, answers


class TracedReports:
    """Notes what the observers report, as Consul has it."""

    def __init__(self, world: TracedWorld) -> None:
        self._world = world
        self._told: dict[tuple[str, str], tuple[int | None, bool]] = {}

    def look(self) -> None:
        """Note what has changed."""
        for entry in self._world.store.answers["/v1/health/service/nova-ha"]:
            checks = {check["CheckID"]: check for check in entry["Checks"]}
            alive = checks["serfHealth"]["Status"] == "passing"
            record = json.loads(checks["nova-ha-ssh"]["Output"].splitlines()[1])
            for host in self._world.names:
                row = record["failing"].get(host)
                streak = row[0] if row else None if host in record["unknown"] else 0
                self._tell(entry["Node"]["Node"], host, streak, alive)

    def _tell(self, observer: str, host: str, streak: int | None, alive: bool) -> None:
        if self._told.get((observer, host)) != (streak, alive):
            self._told[observer, host] = (streak, alive)
            self._world.notes.records.append(Report(self._world.notes.now(), observer, host, streak, alive))


class TracedConsul:
    """Notes every change of a World's keys and sessions, and loses the answers that it is told to lose."""

    def __init__(self, world: TracedWorld) -> None:
        self._world = world
        self._notes = world.notes
        self._consul = world.store.consul
        self._data: dict[str, Entry] = {}
        self._sessions: dict[str, tuple[str, str]] = {}
        for name in ("commit", "create_session", "end_session"):
            self._look_after(name)

    def _look_after(self, name: str) -> None:
        carry_out = getattr(self._consul, name)

        def noted(*arguments: Any) -> Any:
            result = carry_out(*arguments)
            self.look()
            if name == "commit" and self._world.lost_answers:
                self._world.lost_answers -= 1
                raise OutcomeUnknown("Consul took the transaction but did not answer (fake)")
            return result

        setattr(self._consul, name, noted)

    def look(self) -> None:
        """Note what has changed: new sessions first, then keys, then the sessions that are gone."""
        with self._notes.alone:
            data, before, index = self._consul.data, self._data, self._consul.index
            sessions = {name: (found.node, found.name) for name, found in self._consul.sessions.items()}
            for name in sessions.keys() - self._sessions.keys():
                self._session(name, sessions[name], exists=True)
            for key in sorted(key for key, entry in data.items() if before.get(key) != entry):
                self._key(data[key])
            for key in sorted(before.keys() - data.keys()):
                self._notes.records.append(KVChange(self._notes.now(), index, key, None))
            for name in self._sessions.keys() - sessions.keys():
                self._session(name, self._sessions[name], exists=False)
            self._data, self._sessions = dict(data), sessions

    def _key(self, entry: Entry) -> None:
        at = self._notes.now()
        change = KVChange(at, entry.index, entry.key, entry.value, entry.session or "", entry.lock_index)
        self._notes.records.append(change)

    def _session(self, name: str, told: tuple[str, str], *, exists: bool) -> None:
        self._notes.records.append(SessionChange(self._notes.now(), name, told[0], exists, told[1]))


class TracedBMC:
    """A BMC as one HA node's driver has it: what is sent to it is noted."""

    def __init__(self, world: TracedWorld, sender: str, host: str, bmc: BMC) -> None:
        self._world = world
        self._sender = sender
        self._host = host
        self._bmc = bmc

    def power(self, timeout_s: float) -> Reading:
        reading = self._bmc.power(timeout_s)
        on = {PowerState.ON: True, PowerState.OFF: False}.get(reading.state)
        self._world.notes.add(lambda at: PowerReading(at, self._host, on, self._sender))
        return reading

    def power_off(self, timeout_s: float) -> PowerOffAnswer:
        self._world.look()
        if not getattr(self._bmc, "away", False):
            self._world.notes.add(lambda at: PowerCommand(at, self._host, "off", self._sender))
        return self._bmc.power_off(timeout_s)

    def identity(self, timeout_s: float) -> str | None:
        return self._bmc.identity(timeout_s)


class TracedNova:
    """Nova as one HA node's driver has it: what is sent to it is noted, also where it is refused or lost."""

    def __init__(self, world: TracedWorld, sender: str) -> None:
        self._world = world
        self._sender = sender
        self._nova = world.nova

    def __getattr__(self, name: str) -> Any:
        return getattr(self._nova, name)

    def force_down(self, service_id: str, down: bool) -> None:
        self._send(lambda: self._nova.force_down(service_id, down), service_id, {"forced_down": down})

    def disable(self, service_id: str, reason: str) -> None:
        body = {"status": "disabled", "disabled_reason": reason}
        self._send(lambda: self._nova.disable(service_id, reason), service_id, body)

    def enable(self, service_id: str) -> None:
        self._send(lambda: self._nova.enable(service_id), service_id, {"status": "enabled"})

    def evacuate(self, server_id: ServerID, target: str | None) -> None:
        arguments = {"host": target} if target else {}
        self._act(lambda: self._nova.evacuate(server_id, target), server_id, "evacuate", arguments)

    def reset_to_error(self, server_id: ServerID) -> None:
        self._act(lambda: self._nova.reset_to_error(server_id), server_id, "os-resetState", {"state": "error"})

    def stop(self, server_id: ServerID) -> None:
        self._act(lambda: self._nova.stop(server_id), server_id, "os-stop", None)

    def _send(self, call: Callable[[], None], service_id: str, body: Any) -> None:
        self._noted(call, "PUT", f"/v2.1/os-services/{service_id}", "", body)

    def _act(self, call: Callable[[], None], server_id: str, action: str, arguments: Any) -> None:
        self._noted(call, "POST", f"/v2.1/servers/{server_id}/action", action, {action: arguments})

    def _noted(self, call: Callable[[], None], method: str, path: str, action: str, body: Any) -> None:
        self._world.look()
        reached = self._world.reached
        reached.at, status, killed = None, 0, False
        try:
            call()
            status = 200
        except Crash:
            killed = True
            raise
        finally:
            if not killed:
                at = getattr(reached, "at", None) or self._world.notes.now()
                note = NovaCall(at, self._sender, method, path, action, body, status)
                self._world.notes.records.append(note)
            self._world.look()


class TracedGuests:
    """Where each guest of a World's Nova ran, from when to when, and every evacuation by Nova's own record."""

    def __init__(self, world: TracedWorld) -> None:
        self._notes = world.notes
        self._nova = world.nova
        self._running: dict[tuple[str, str], GuestRun] = {}
        self._ran: list[GuestRun] = []
        self._records: dict[str, Migration] = {}

    def look(self) -> None:
        """Note what has changed: what ended first, then what began."""
        now = {(server, host) for server, hosts in self._nova.guests.items() for host in hosts}
        for place in sorted(self._running.keys() - now):
            self._ran.append(replace(self._running.pop(place), ended=self._notes.now()))
        for server, host in sorted(now - self._running.keys()):
            run = GuestRun(server, host, self._notes.now(), disk=self._nova.disks.get(server, ""))
            self._running[server, host] = run
        for row in reversed(self._nova.records):
            self._look_at(row)

    def _look_at(self, row: NovasRecord) -> None:
        new = Migration(self._notes.now(), None, row.uuid, row.server, row.source, row.destination, "")
        known = self._records.get(row.uuid, new)
        if known.ended is None:
            ended = None if row.status.open else self._notes.now()
            self._records[row.uuid] = replace(known, ended=ended, status=row.status.value)

    def runs(self) -> list[GuestRun]:
        """Return every time that a guest ran somewhere."""
        return [*self._ran, *self._running.values()]

    def migrations(self) -> list[Migration]:
        """Return every evacuation."""
        return list(self._records.values())
