"""Evacuation: every server of the host is asked for at most once at a time, followed, and ends named."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile

from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import MOST_SERVERS, Incident, IncidentState, ServerProgress, ServerState
from nova_ha.cluster.reading import GateReading
from nova_ha.compute import ComputeService, Migration, Server, ServerID, ServiceReading
from nova_ha.compute.states import MigrationStatus, VMState
from nova_ha.errors import EvacuationRefused, HAError, NoSuchHost, NoSuchServer, NovaError, OutcomeUnknown
from nova_ha.limits import NOVA_PATIENCE_S
from nova_ha.printable import first_few
from nova_ha.recovery.destinations import Destinations
from nova_ha.recovery.driver import Driver
from nova_ha.recovery.driver_clients import Halted, NeedsOperator
from nova_ha.recovery.following import (
    UNSEEN_S,
    Followed,
    Waiting,
    and_may_run,
    failed_at,
    follow,
    newest,
    unanswered,
)
from nova_ha.recovery.moving import being_rebuilt, leaving, left_moving
from nova_ha.recovery.power_watch import PowerWatch
from nova_ha.recovery.reports import Silence
from nova_ha.recovery.servers import ACTS_FIRST, Action, TagFilter, first_progress, in_order, judged, rule_for
from nova_ha.recovery.storage import Disks, with_disks
from nova_ha.recovery.targets import targets
from nova_ha.recovery.transitions import Event

log = logging.getLogger(__name__)

POLL_S = 0.5
NAMES_SHOWN = 5


def evacuate(driver: Driver) -> None:
    """Bring every server of the host to an end: evacuated, skipped by rule, or failed with its reason.

    Raises NeedsOperator where the power is not off any more, Nova takes the host for up again, or Nova fails.
    """
    if driver.incident.state not in (IncidentState.FORCED_DOWN, IncidentState.EVACUATING):
        return
    if driver.incident.state is IncidentState.FORCED_DOWN:
        driver.patiently(lambda: list_servers(driver), f"listing the servers of {driver.incident.nova_host}")
    else:
        driver.patiently(lambda: read_disks(driver), f"reading the disks of {driver.incident.nova_host}")
    with PowerWatch(driver) as power:
        Evacuation(driver, power).run()


def list_servers(driver: Driver) -> None:
    """Write every server that Nova has on the host, with its state, into the incident."""
    incident = with_servers_listed(driver, driver.incident)
    count = sum(not p.state.final for p in incident.servers.values())
    left = sum(p.state is ServerState.LEFT for p in incident.servers.values())
    words = f"{len(incident.servers)} servers, {count} to evacuate"
    if left:
        words += f", {left} left: their root disks would not come along"
    driver.reached(Event.SERVERS_LISTED, words, incident)


def read_disks(driver: Driver) -> None:
    """Take in what Nova shows of the disks of those still on the host: an older release has listed them without."""
    found = {str(server.id): server for server in driver.compute.servers(driver.incident.nova_host)}
    before = driver.incident.servers
    servers = {s: with_disks(p, found[s]) if s in found and not p.state.final else p for s, p in before.items()}
    # Written with whatever is written next.
    driver.incident = replace(driver.incident, servers=servers)


def with_servers_listed(driver: Driver, incident: Incident) -> Incident:
    """Return the incident with the servers on the host that it does not know yet.

    One that was passed over, though no rule says so, had gone by Nova's word: listed here, it waits its turn again.
    Raises NovaError, and NeedsOperator where they are too many for one incident.
    """
    carries_tag = TagFilter(driver.compute, driver.policy.recovery_only_tagged)
    why_left_moving = partial(left_moving, driver.compute)
    disks, now = driver.disks(), driver.latest_now
    found = driver.compute.servers(incident.nova_host)
    passed_over = {str(s) for s, progress in incident.servers.items() if progress.state is ServerState.SKIPPED}
    to_judge = any(s.id not in incident.servers or s.id in passed_over for s in found)
    moved = leaving(driver.compute, incident.nova_host) if to_judge else ()
    back = {
        str(s.id): replace(incident.servers[s.id], state=ServerState.PENDING)
        for s in found
        if s.id in passed_over and first_progress(s, carries_tag, why_left_moving, moved).state is ServerState.PENDING
    }
    before = {} if incident.listed else _not_brought_back(driver)
    records = _records_of(driver, found, before)
    followed = _still_followed(records, before)
    new = {
        str(s.id): disks.judged(
            s.id,
            _as_it_is_now(
                s,
                replace(
                    with_disks(first_progress(s, carries_tag, why_left_moving, moved), s),
                    may_run_on=_may_run_on(s, records, before.get(s.id)),
                ),
                before.get(s.id),
                s.id in followed,
            ),
            now,
        )
        for s in found
        if s.id not in incident.servers
    }
    if len(new) + len(incident.servers) > MOST_SERVERS:
        count = len(new) + len(incident.servers)
        raise NeedsOperator.by(GateReading.of(Gate.TOO_MANY_SERVERS, False, servers=count, most=MOST_SERVERS))
    return replace(incident, servers={**incident.servers, **back, **new}, listed=True)


def _as_it_is_now(
    server: Server, first: ServerProgress, before: ServerProgress | None, followed: bool
) -> ServerProgress:
    """Return the progress that a server begins with: by today's rules, though an earlier incident knows of it.

    What is `followed` uses none of this incident's tries.
    """
    if before is None or first.state is not ServerState.PENDING:
        return first
    # A rebuild that failed has left it in error: what it was before is what it has to be again.
    vm_state = before.vm_state if server.vm_state is VMState.ERROR else first.vm_state
    begun = replace(before, attempts=0, priority=first.priority, task_state=first.task_state) if followed else first
    return replace(
        begun,
        vm_state=vm_state,
        task_state=before.task_state if before.task_state in ACTS_FIRST else first.task_state,
        on_volume=first.on_volume,
        ephemeral=first.ephemeral,
        may_run_on=first.may_run_on,
    )


def _records_of(driver: Driver, found: Sequence[Server], before: Mapping[str, ServerProgress]) -> Sequence[Migration]:
    """Return what Nova shows of the host's evacuations, where that says something of the servers found on it."""
    tried = before or any(server.vm_state is VMState.ERROR for server in found)
    return driver.compute.evacuations(driver.incident.nova_host) if tried else []


def _may_run_on(server: Server, records: Sequence[Migration], before: ServerProgress | None) -> str:
    """Return where its guest may run, as a try of ours or by hand has left it in error."""
    tried = server.vm_state is VMState.ERROR or (before is not None and before.may_run_on)
    return failed_at(records, server.id) if tried else ""


def _not_brought_back(driver: Driver) -> Mapping[str, ServerProgress]:
    """Return the servers of the node's last incident that it had not brought to a good end, as it knew them.

    One that was left unasked is as Nova has it: no try of ours has changed it.
    """
    former = driver.former_incident()
    return {
        server: progress
        for server, progress in (former.servers.items() if former else ())
        if progress.state in (ServerState.ASKED, ServerState.FAILED, ServerState.PENDING)
        or (progress.state is ServerState.LEFT and progress.attempts > 0)
    }


def _still_followed(records: Sequence[Migration], before: Mapping[str, ServerProgress]) -> Collection[str]:
    """Return the servers that were asked for before, and of which nobody has seen the end.

    Nova may act on that still: they are followed, as after a take-over, and not asked for at once again. However
    long ago it was: stamps of two machines are not compared.
    """
    asked = [server for server, progress in before.items() if progress.state is ServerState.ASKED]
    return [server for server in asked if not _came_home(records, server, before[server].previous)]


def _came_home(records: Sequence[Migration], server: str, previous: str) -> bool:
    """True where the host has been back since the record `previous`: whatever was asked for has ended.

    The server has come home by other ways then. `records` are newest first.
    """
    newer = takewhile(lambda record: record.uuid != previous, records)
    return any(record.server == server and record.status is MigrationStatus.COMPLETED for record in newer)


def _held(names: Sequence[str]) -> str:
    return f"a writer holds the disk of {first_few(sorted(names), NAMES_SHOWN)}"


@dataclass(frozen=True)
class Answered:
    """The state in which Nova's answer leaves a server, with the reason, and how long Nova asks to wait."""

    state: ServerState
    why: str = ""
    retry_after_s: float = 0.0


class Evacuation:
    """The loop: read Nova's records, follow what was asked for, ask for more, until every server has ended."""

    def __init__(self, driver: Driver, power: PowerWatch) -> None:
        self.driver = driver
        self.power = power
        self.clock = driver.clients.clock
        self.waiting = Waiting(driver.policy.recovery_server_timeout)
        self.nova_answered_at = self.clock.monotonic()
        self.silence = Silence(driver)
        self.destinations = Destinations(driver)
        self._disks: Disks | None = None
        self._contradicted: Counter[str] = Counter()

    @property
    def disks(self) -> Disks:
        """What becomes of the disks, by the keys as this turn reads them: at most once, and only where it asks."""
        self._disks = self._disks or self.driver.disks()
        return self._disks

    def run(self) -> None:
        """Run it to the end."""
        while True:
            try:
                ended = self._turn()
                self.nova_answered_at = self.clock.monotonic()
            except (NovaError, OutcomeUnknown) as error:
                # An error of the API means unknown: nothing is concluded from it.
                ended = False
                self._bear_with_nova(error)
            if ended:
                return
            self.clock.sleep(POLL_S)

    def _turn(self) -> bool:
        self.driver.stop_if_asked()
        self._disks = None
        self.power.off()  # raises where it is on, whether or not there is something to send
        host = self.driver.incident.nova_host
        records = self.driver.compute.evacuations(host)
        services = {s.service.host: s for s in self.driver.compute.services(host)}
        silent = self.silence.kept(self._refuse_if_up(services.get(host)))
        self.destinations.read(services)
        self._follow(records)
        self._leave_behind()
        if all(p.state.final for p in self.driver.incident.servers.values()):
            return self._nothing_new()
        if self.power.off() and silent:
            self._send(records, services)
        return False

    def _bear_with_nova(self, error: HAError) -> None:
        log.warning("host=%s step=evacuating %s", self.driver.node.name, error)
        if self.clock.monotonic() - self.nova_answered_at > NOVA_PATIENCE_S:
            raise NeedsOperator(Gate.NOVA_FAILS, f"for {NOVA_PATIENCE_S:g} s: {error}") from error

    def _refuse_if_up(self, reading: ServiceReading | None) -> ComputeService:
        if reading is None or reading.service.up or not reading.service.forced_down:
            host = self.driver.incident.nova_host
            raise NeedsOperator(Gate.SERVICE_UP, f"Nova no longer takes {host} for forced down: somebody undid it")
        return reading.service

    def _nothing_new(self) -> bool:
        """True when the host has no server that is not accounted for; else they are taken in."""
        before = self.driver.incident
        incident = with_servers_listed(self.driver, before)
        if incident.servers == before.servers:
            return True
        back = [server for server, progress in before.servers.items() if incident.servers[server] != progress]
        for server in back:
            incident = incident.with_server(server, self._listed_again(server, before.servers[server]))
        what = f"passed over before, but Nova lists it on {before.nova_host}"
        names = first_few(sorted(before.servers[server].name for server in back), NAMES_SHOWN)
        self.driver.note(f"{names}: {what}" if back else "more servers were found on the host", incident)
        return False

    def _listed_again(self, server: str, progress: ServerProgress) -> ServerProgress:
        """Return what becomes of one that was passed over, and is listed on the host: tried again, within bounds."""
        self._contradicted[server] += 1
        if (times := self._contradicted[server]) > self.driver.policy.recovery_attempts:
            host = self.driver.incident.nova_host
            why = f"{progress.reason}, but Nova lists it on {host}: see where it is, then `nova-ha node retry`"
            return replace(progress, state=ServerState.FAILED, reason=why)
        self.waiting.pause(server, replace(progress, attempts=times), self.clock.monotonic())
        return replace(progress, state=ServerState.PENDING)

    # --- follow ---

    def _follow(self, records: Sequence[Migration]) -> None:
        changed: dict[str, ServerProgress] = {}
        lines, locked = [], []
        for server, progress in self.driver.incident.servers.items():
            if progress.state is not ServerState.ASKED:
                continue
            followed = self._one_followed(server, progress, records)
            if followed.progress != progress:
                changed[server] = followed.progress
            if followed.line:
                lines.append(f"{progress.name}: {followed.line}")
            if followed.disk_locked:
                locked.append(progress.name)
        incident = replace(self.driver.incident, servers={**self.driver.incident.servers, **changed})
        for line in lines:
            incident = incident.noting(self.clock.now(), self.driver.clients.me, line)
            log.info("host=%s step=evacuating %s", self.driver.node.name, line)
        if changed or lines:
            self.driver.save(incident)
        if locked:
            self._refuse_locked_disks(locked)

    def _refuse_locked_disks(self, names: Sequence[str]) -> None:
        """Raise NeedsOperator: whoever writes the disks of the fenced host may be that host."""
        try:
            power = "is off" if self.power.read_anew() else "cannot be read"
        except NeedsOperator as refusal:
            # The gate is the power's own: it says more.
            raise NeedsOperator(refusal.closed.gate, f"{refusal.closed.why}; and {_held(names)}") from refusal
        raise NeedsOperator(Gate.DISK_LOCKED, f"{_held(names)}; its power {power}")

    def _leave_behind(self) -> None:
        """End those still to be asked for that would come back without their disks: a word may have ended."""
        before, now = self.driver.incident.servers, self.driver.latest_now
        if not self._room_for(in_order(before)):
            return
        servers = {server: self.disks.judged(server, progress, now) for server, progress in before.items()}
        if left := [p.name for server, p in servers.items() if p != before[server]]:
            incident = replace(self.driver.incident, servers=servers)
            self.driver.note(f"left, their root disks do not come along: {first_few(left, NAMES_SHOWN)}", incident)

    def _one_followed(self, server: str, progress: ServerProgress, records: Sequence[Migration]) -> Followed:
        record = newest(records, server, progress.previous)
        now = self.clock.monotonic()
        waited_s = self.waiting.since(server, progress, now)
        try:
            followed = follow(
                progress,
                record,
                destination_fenced=record is not None and self.destinations.fenced(record.destination),
                waited_s=waited_s,
                server_timeout_s=self.waiting.server_timeout_s,
                attempts=self.driver.policy.recovery_attempts,
                look=lambda: self.driver.compute.server(ServerID(server)),
                rebuilt_for=lambda: self.waiting.rebuilt_for(server, progress, now),
                source=self.driver.incident.nova_host,
            )
        except NovaError as error:
            # Nova has answered a moment ago: one server that it cannot read must not hold up the others.
            log.warning("host=%s step=evacuating %s: %s", self.driver.node.name, progress.name, error)
            return unanswered(progress, waited_s, self.waiting.server_timeout_s, str(error))
        if followed.progress.state is ServerState.EVACUATED:
            return self._arrived(server, followed)
        return followed

    def _arrived(self, server: str, followed: Followed) -> Followed:
        progress = self.disks.arrived(replace(followed.progress, done_at=self.clock.now()))
        if progress.reason:
            followed = replace(followed, line=f"{followed.line}; {progress.reason}")
        rule = rule_for(progress.vm_state)
        if rule.left_stopped:
            progress = replace(progress, reason="; ".join(filter(None, (rule.why, progress.reason))))
        if rule.left_stopped and not followed.stopped:
            self.driver.before_effect(self.driver.compute.call_timeout_s)
            try:
                self.driver.compute.stop(ServerID(server))
            except (NovaError, OutcomeUnknown) as error:
                why = f"{progress.reason}; " if progress.reason else ""
                progress = replace(progress, reason=f"{why}shutting it down failed: {error}")
        return replace(followed, progress=progress)

    # --- ask ---

    @property
    def _in_flight(self) -> int:
        return sum(p.state is ServerState.ASKED for p in self.driver.incident.servers.values())

    def _room_for(self, pending: Sequence[str]) -> int:
        """Return how many of them may be asked for in this turn; 0 where all of them pause."""
        now = self.clock.monotonic()
        may_be_asked = any(self.waiting.may_be_asked(server, now) for server in pending)
        return max(0, self.driver.policy.recovery_concurrency - self._in_flight) if may_be_asked else 0

    def _send(self, records: Sequence[Migration], services: Mapping[str, ServiceReading]) -> None:
        servers = self.driver.incident.servers
        pending = [s for s in in_order(servers) if not self.destinations.awaits_silence(servers[s].may_run_on)]
        now = self.clock.monotonic()
        free = self._room_for(pending)
        if not free:
            return
        found = self._targets(services)
        hosts = {s: self.disks.hosts_for(servers[s], self._places(servers[s], found)) for s in pending}
        if not any(hosts.values()) and not self._in_flight:
            raise NeedsOperator.by(GateReading.of(Gate.NO_TARGET, False))
        ready = [s for s in pending if hosts[s] and self.waiting.may_be_asked(s, now)][:free]
        if not ready:
            return
        batch, incident = [], self.driver.incident
        for server, (progress, seen) in self._looked_at(ready).items():
            ask = False
            if seen:
                progress, ask = self._intent(server, progress, seen, records, hosts[server])
            incident = incident.with_server(server, progress)
            batch += [server] if ask else []
        if incident != self.driver.incident:
            self.driver.save(incident)
        if batch:
            self._send_batch(batch, servers)

    def _send_batch(self, batch: Sequence[str], unasked: Mapping[str, ServerProgress]) -> None:
        """Ask for the batch; what Nova would refuse as it is, it resets first.

        Each of the two calls has a proof of its own: the driver may stand still while Nova answers the first one.
        """
        now = self.driver.incident.servers
        to_reset = [s for s in batch if rule_for(now[s].vm_state).action is Action.RESET_AND_EVACUATE]
        if to_reset and not self._may_be_sent(unasked):
            return
        not_reset = self._reset(to_reset)
        if self._may_be_sent(unasked):
            self._ask(batch, not_reset)

    def _may_be_sent(self, unasked: Mapping[str, ServerProgress]) -> bool:
        """True when the batch may be sent right now; else no server of it counts as asked for.

        Writing the intents may have taken long, so lock and power are proved again. Raises as before_effect does.
        """
        limit_s = self.driver.compute.call_timeout_s
        try:
            self.driver.before_effect(limit_s)
            if self.power.off():
                self.driver.held.require(limit_s)
                return True
        except (Halted, NeedsOperator):
            self.driver.incident = replace(self.driver.incident, servers=unasked)
            raise
        self.driver.save(replace(self.driver.incident, servers=unasked))
        return False

    def _places(self, progress: ServerProgress, found: Sequence[str]) -> Sequence[str]:
        """Return where a server may be asked for. Where its guest may run Nova itself sees whether it does."""
        bound = progress.may_run_on
        return [bound] if bound and not self.destinations.fenced(bound) else found

    def _intent(
        self,
        server: str,
        progress: ServerProgress,
        seen: Server,
        records: Sequence[Migration],
        hosts: Sequence[str],
    ) -> tuple[ServerProgress, bool]:
        """Return the intent to record, and whether to ask: not where somebody may be at work on the server already.

        `seen` is the server as Nova has it now, which is newer than the records.
        """
        mine = [record for record in records if record.server == server]
        for at, record in enumerate(mine):
            # Nova sets a record `completed` when the host is back, also while its destination is still at work.
            under_way = record.status.open or (at == 0 and record.status.arrived and being_rebuilt(seen))
            if record.status is MigrationStatus.COMPLETED and not under_way:
                break  # the host has been back since: nobody works on what is older, though it may stay open for ever
            if under_way and not self.destinations.fenced(record.destination):
                previous = mine[at + 1].uuid if at + 1 < len(mine) else ""
                adopted = replace(progress, state=ServerState.ASKED, migration=record.uuid, previous=previous)
                return replace(adopted, asked_at=self.clock.now(), attempts=progress.attempts + 1), False
        if being_rebuilt(seen) and (not mine or mine[0].status.ended) and self._may_be_seen_later(server, progress):
            return progress, False
        target = hosts[min(progress.attempts, len(hosts) - 1)]
        return (
            replace(
                progress,
                state=ServerState.ASKED,
                asked_at=self.clock.now(),
                attempts=progress.attempts + 1,
                target=target,
                may_run_on=progress.may_run_on if target == progress.may_run_on else "",
                migration="",
                previous=mine[0].uuid if mine else "",
                reason="",
            ),
            True,
        )

    def _may_be_seen_later(self, server: str, progress: ServerProgress) -> bool:
        """True while the record may be to come, or the task to go, of a server that somebody has rebuilt just now.

        Without a record it is its owner's rebuild, which waits for the failed host.
        """
        now = self.clock.monotonic()
        if self.waiting.rebuilt_for(server, progress, now) >= UNSEEN_S:
            return False
        self.waiting.pause(server, replace(progress, attempts=progress.attempts + 1), now)
        return True

    def _looked_at(self, ready: Sequence[str]) -> Mapping[str, tuple[ServerProgress, Server | None]]:
        """Return each server's progress after a look at its own record, and the server where it may be asked for.

        Nova would evacuate them from wherever it has them, whether that host is off or not.
        """
        with ThreadPoolExecutor(len(ready)) as pool:
            return dict(zip(ready, pool.map(self._looked_for, ready), strict=True))

    def _looked_for(self, server: str) -> tuple[ServerProgress, Server | None]:
        """Look at one server, and judge it by the rules of the listing."""
        progress, now = self.driver.incident.servers[server], self.clock.monotonic()
        try:
            seen = self.driver.compute.server(ServerID(server))
        except NovaError as error:
            # As in _one_followed: one server that Nova cannot read must not hold up the others.
            log.warning("host=%s step=evacuating %s: %s", self.driver.node.name, progress.name, error)
            self.waiting.pause(server, replace(progress, attempts=progress.attempts + 1), now)
            waited_s = self.waiting.since(server, progress, now)
            return unanswered(progress, waited_s, self.waiting.server_timeout_s, str(error)).progress, None
        if seen is None:
            return replace(progress, state=ServerState.SKIPPED, reason="was deleted meanwhile"), None
        if seen.host != self.driver.incident.nova_host:
            where = f"is on {seen.host or 'no host'}: somebody else moved it"
            return replace(progress, state=ServerState.SKIPPED, reason=where), None
        # Which ones carry the tag was decided when they were listed.
        state, reason = judged(seen, lambda _: True, partial(left_moving, self.driver.compute))
        if state is not ServerState.PENDING:
            return replace(progress, state=state, task_state=seen.task_state, reason=reason), None
        if seen.task_state in ACTS_FIRST:
            # It has begun since the listing: Nova forgets it over the rebuild, its host does not.
            progress = replace(progress, task_state=seen.task_state)
        return progress, seen

    def _reset(self, to_reset: Sequence[str]) -> Mapping[str, Answered]:
        """Set their state to error, and return the answers of those that were not: they are not asked for now."""
        if not to_reset:
            return {}
        with ThreadPoolExecutor(len(to_reset)) as pool:
            answers = dict(zip(to_reset, pool.map(self._reset_one, to_reset), strict=True))
        return {server: answered for server, answered in answers.items() if answered}

    def _reset_one(self, server: str) -> Answered | None:
        try:
            self.driver.compute.reset_to_error(ServerID(server))
        except NoSuchServer:
            return Answered(ServerState.SKIPPED, "was deleted meanwhile")
        except (NovaError, OutcomeUnknown) as error:
            return Answered(ServerState.PENDING, str(error))
        return None

    def _ask(self, batch: Sequence[str], not_reset: Mapping[str, Answered]) -> None:
        """Send the batch at once; record each refusal."""
        to_ask = [server for server in batch if server not in not_reset]
        with ThreadPoolExecutor(len(batch)) as pool:
            asked = dict(zip(to_ask, pool.map(self._ask_for, to_ask), strict=True))
        answers = self._looked_after({**not_reset, **asked})
        incident = self.driver.incident
        for server, answered in answers.items():
            progress, state, why = incident.servers[server], answered.state, answered.why
            where = progress.target or "where the scheduler likes"
            line = f"{progress.name}: asked for {where}" + (f"; {why}" if why else "")
            if state is ServerState.PENDING and progress.attempts >= self.driver.policy.recovery_attempts:
                state, why = ServerState.FAILED, why + and_may_run(progress)
            if state is ServerState.PENDING:
                self.waiting.pause(server, progress, self.clock.monotonic(), answered.retry_after_s)
            incident = incident.with_server(server, replace(progress, state=state, reason=why))
            incident = incident.noting(self.clock.now(), self.driver.clients.me, line)
            log.info("host=%s step=evacuating %s", self.driver.node.name, line)
        self.driver.save(incident)

    def _looked_after(self, answers: Mapping[str, Answered]) -> Mapping[str, Answered]:
        """Return the answers with each refusal looked after: a proxy may have sent the request twice.

        Where Nova has a migration that is newer than the intent, or cannot be asked, the server is followed.
        """
        refused = [server for server, answered in answers.items() if answered.state is ServerState.PENDING]
        if not refused:
            return answers
        try:
            records, unknown = self.driver.compute.evacuations(self.driver.incident.nova_host), ""
        except NovaError as error:
            records, unknown = [], str(error)
        followed = {}
        for server in refused:
            seen = newest(records, server, self.driver.incident.servers[server].previous)
            if seen or unknown:
                why = f"but there is migration {seen.uuid} of it" if seen else f"whether it was sent twice: {unknown}"
                followed[server] = Answered(ServerState.ASKED, f"{answers[server].why}; {why}")
        return {**answers, **followed}

    def _ask_for(self, server: str) -> Answered:
        """Ask Nova for one server."""
        progress, compute = self.driver.incident.servers[server], self.driver.compute
        try:
            compute.evacuate(ServerID(server), progress.target or None)
        except NoSuchServer:
            return Answered(ServerState.SKIPPED, "was deleted meanwhile")
        except (EvacuationRefused, NoSuchHost) as refusal:
            return Answered(ServerState.PENDING, str(refusal), getattr(refusal, "retry_after_s", 0.0))
        except (NovaError, OutcomeUnknown) as unknown:
            return Answered(ServerState.ASKED, str(unknown))
        return Answered(ServerState.ASKED)

    def _targets(self, services: Mapping[str, ServiceReading]) -> Sequence[str]:
        """Return where servers may go now; this HA node's host is enabled first where it is our reserve."""
        own, failed = self.driver.own_nova_host, self.driver.incident.nova_host
        kinds = self.driver.policy.recovery_target
        found = targets(kinds, services.values(), failed_host=failed, own_host=own)
        if own in found and not services[own].service.enabled:
            self.driver.before_effect(self.driver.compute.call_timeout_s)
            self.driver.compute.enable(services[own].service.id)
            # Beside the readings before, its change of state would look like silence.
            self.driver.clients.heard.clear()
            self.driver.note(f"enabled {own}, which was kept as a reserve")
        return found
