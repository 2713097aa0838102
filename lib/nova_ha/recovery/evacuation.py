"""Evacuation: every server of the host is asked for at most once at a time, followed, and ends named."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile

from nova_ha.cluster.gate import Gate
from nova_ha.cluster.incident import MOST_SERVERS, Incident, IncidentState, ServerProgress, ServerState
from nova_ha.cluster.reading import GateReading
from nova_ha.compute import ComputeService, Migration, MigrationStatus, Server, ServerID, ServiceReading, VMState
from nova_ha.errors import EvacuationRefused, HAError, NoSuchHost, NoSuchServer, NovaError, OutcomeUnknown
from nova_ha.limits import NOVA_PATIENCE_S
from nova_ha.recovery.driver import Driver
from nova_ha.recovery.driver_clients import Halted, NeedsOperator
from nova_ha.recovery.following import Followed, Waiting, follow, newest, unanswered
from nova_ha.recovery.force_down import fenced_by_us
from nova_ha.recovery.moving import left_moving, moving
from nova_ha.recovery.power_watch import PowerWatch
from nova_ha.recovery.reports import Silence
from nova_ha.recovery.servers import Action, TagFilter, first_progress, in_order, rule_for
from nova_ha.recovery.states import Event
from nova_ha.recovery.targets import targets

log = logging.getLogger(__name__)

POLL_S = 0.5


def evacuate(driver: Driver) -> None:
    """Bring every server of the host to an end: evacuated, skipped by rule, or failed with its reason.

    Raises NeedsOperator where the power is not off any more, Nova takes the host for up again, or Nova fails.
    """
    if driver.incident.state not in (IncidentState.FORCED_DOWN, IncidentState.EVACUATING):
        return
    if driver.incident.state is IncidentState.FORCED_DOWN:
        driver.patiently(lambda: list_servers(driver), f"listing the servers of {driver.incident.nova_host}")
    with PowerWatch(driver) as power:
        Evacuation(driver, power).run()


def list_servers(driver: Driver) -> None:
    """Write every server that Nova has on the host, with its state, into the incident."""
    incident = with_servers_listed(driver, driver.incident)
    count = sum(not p.state.final for p in incident.servers.values())
    driver.reached(Event.SERVERS_LISTED, f"{len(incident.servers)} servers, {count} to evacuate", incident)


def with_servers_listed(driver: Driver, incident: Incident) -> Incident:
    """Return the incident with the servers on the host that it does not know yet.

    Raises NovaError, and NeedsOperator where they are too many for one incident.
    """
    carries_tag = TagFilter(driver.compute, driver.policy.recovery_only_tagged)
    why_left_moving = partial(left_moving, driver.compute)
    found = driver.compute.servers(incident.nova_host)
    before = {} if incident.listed else _not_brought_back(driver)
    followed = _still_followed(driver, before)
    new = {
        str(s.id): _as_it_is_now(
            s, first_progress(s, carries_tag, why_left_moving), before.get(s.id), s.id in followed
        )
        for s in found
        if s.id not in incident.servers
    }
    if len(new) + len(incident.servers) > MOST_SERVERS:
        count = len(new) + len(incident.servers)
        why = f"{count} servers are on {incident.nova_host}: the record of an incident has room for {MOST_SERVERS}"
        raise NeedsOperator(Gate.TOO_MANY_SERVERS, why)
    return replace(incident, servers={**incident.servers, **new}, listed=True)


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
    return replace(begun, vm_state=vm_state)


def _not_brought_back(driver: Driver) -> Mapping[str, ServerProgress]:
    """Return the servers of the node's last incident that it had asked for, or that failed, as it knew them."""
    former = driver.former_incident()
    return {
        server: progress
        for server, progress in (former.servers.items() if former else ())
        if progress.state in (ServerState.ASKED, ServerState.FAILED)
    }


def _still_followed(driver: Driver, before: Mapping[str, ServerProgress]) -> Collection[str]:
    """Return the servers that were asked for before, and of which nobody has seen the end.

    Nova may act on that still: they are followed, as after a take-over, and not asked for at once again. However
    long ago it was: stamps of two machines are not compared.
    """
    asked = [server for server, progress in before.items() if progress.state is ServerState.ASKED]
    records = driver.compute.evacuations(driver.incident.nova_host) if asked else []
    return [server for server in asked if not _came_home(records, server, before[server].previous)]


def _came_home(records: Sequence[Migration], server: str, previous: str) -> bool:
    """True where the host has been back since the record `previous`: whatever was asked for has ended.

    The server has come home by other ways then. `records` are newest first.
    """
    newer = takewhile(lambda record: record.uuid != previous, records)
    return any(record.server == server and record.status is MigrationStatus.COMPLETED for record in newer)


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
        self.power.off()  # raises where it is on, whether or not there is something to send
        host = self.driver.incident.nova_host
        records = self.driver.compute.evacuations(host)
        services = {s.service.host: s for s in self.driver.compute.services(host)}
        silent = self.silence.kept(self._refuse_if_up(services.get(host)))
        self._follow(records, services)
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
        """True when no server has appeared on the host since it was listed; else they are taken in."""
        incident = with_servers_listed(self.driver, self.driver.incident)
        if incident.servers == self.driver.incident.servers:
            return True
        self.driver.note("more servers were found on the host", incident)
        return False

    # --- follow ---

    def _follow(self, records: Sequence[Migration], services: Mapping[str, ServiceReading]) -> None:
        changed: dict[str, ServerProgress] = {}
        lines = []
        for server, progress in self.driver.incident.servers.items():
            if progress.state is not ServerState.ASKED:
                continue
            followed = self._one_followed(server, progress, records, services)
            if followed.progress != progress:
                changed[server] = followed.progress
            if followed.line:
                lines.append(f"{progress.name}: {followed.line}")
        incident = replace(self.driver.incident, servers={**self.driver.incident.servers, **changed})
        for line in lines:
            incident = incident.noting(self.clock.now(), self.driver.clients.me, line)
            log.info("host=%s step=evacuating %s", self.driver.node.name, line)
        if changed or lines:
            self.driver.save(incident)

    def _one_followed(
        self,
        server: str,
        progress: ServerProgress,
        records: Sequence[Migration],
        services: Mapping[str, ServiceReading],
    ) -> Followed:
        record = newest(records, server, progress.previous)
        waited_s = self.waiting.since(server, progress, self.clock.monotonic())
        try:
            followed = follow(
                progress,
                record,
                destination_fenced=record is not None and fenced_by_us(services.get(record.destination)),
                waited_s=waited_s,
                server_timeout_s=self.waiting.server_timeout_s,
                attempts=self.driver.policy.recovery_attempts,
                look=lambda: self.driver.compute.server(ServerID(server)),
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
        progress = replace(followed.progress, done_at=self.clock.now())
        rule = rule_for(progress.vm_state)
        if rule.left_stopped:
            progress = replace(progress, reason=rule.why)
        if rule.left_stopped and not followed.stopped:
            self.driver.before_effect(self.driver.compute.call_timeout_s)
            try:
                self.driver.compute.stop(ServerID(server))
            except (NovaError, OutcomeUnknown) as error:
                why = f"{rule.why}; " if rule.why else ""
                progress = replace(progress, reason=f"{why}shutting it down failed: {error}")
        return replace(followed, progress=progress)

    # --- ask ---

    def _send(self, records: Sequence[Migration], services: Mapping[str, ServiceReading]) -> None:
        servers = self.driver.incident.servers
        in_flight = sum(p.state is ServerState.ASKED for p in servers.values())
        free = self.driver.policy.recovery_concurrency - in_flight
        now = self.clock.monotonic()
        ready = [s for s in in_order(servers) if self.waiting.may_be_asked(s, now)][: max(0, free)]
        if not ready:
            return
        hosts = self._targets(services)
        if not hosts and in_flight:
            return
        if not hosts:
            raise NeedsOperator.by(GateReading.of(Gate.NO_TARGET, False))
        batch, incident, kept = [], self.driver.incident, self._not_to_ask(ready)
        for server in ready:
            if server in kept:
                incident = incident.with_server(server, kept[server])
                continue
            progress, ask = self._intent(server, servers[server], records, services, hosts)
            incident = incident.with_server(server, progress)
            batch += [server] if ask else []
        if incident != self.driver.incident:
            self.driver.save(incident)
        if batch and self._may_be_sent(servers):
            self._ask(batch)

    def _may_be_sent(self, unasked: Mapping[str, ServerProgress]) -> bool:
        """True when the batch may be sent right now; else no server of it counts as asked for.

        Writing the intents may have taken long, so lock and power are proved again. Raises as before_effect does.
        """
        limit_s = 2 * self.driver.compute.call_timeout_s
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

    def _intent(
        self,
        server: str,
        progress: ServerProgress,
        records: Sequence[Migration],
        services: Mapping[str, ServiceReading],
        hosts: Sequence[str],
    ) -> tuple[ServerProgress, bool]:
        """Return the intent to record, and whether to ask: not where a migration of the server is open already."""
        mine = [record for record in records if record.server == server]
        for at, record in enumerate(mine):
            if record.status is MigrationStatus.COMPLETED:
                break  # the host has been back since: nobody works on what is older, though it may stay open for ever
            if record.status.open and not fenced_by_us(services.get(record.destination)):
                previous = mine[at + 1].uuid if at + 1 < len(mine) else ""
                adopted = replace(progress, state=ServerState.ASKED, migration=record.uuid, previous=previous)
                return replace(adopted, asked_at=self.clock.now(), attempts=progress.attempts + 1), False
        return (
            replace(
                progress,
                state=ServerState.ASKED,
                asked_at=self.clock.now(),
                attempts=progress.attempts + 1,
                target=hosts[min(progress.attempts, len(hosts) - 1)],
                migration="",
                previous=mine[0].uuid if mine else "",
                reason="",
            ),
            True,
        )

    def _not_to_ask(self, ready: Sequence[str]) -> Mapping[str, ServerProgress]:
        """Return what becomes of the servers that are not on the host any more, or on the move, by their own records.

        Nova would evacuate them from wherever it has them, whether that host is off or not.
        """
        with ThreadPoolExecutor(len(ready)) as pool:
            found = dict(zip(ready, pool.map(self._looked_for, ready), strict=True))
        return {server: progress for server, progress in found.items() if progress}

    def _looked_for(self, server: str) -> ServerProgress | None:
        """Return what becomes of one server that is not to be asked for, None where it is."""
        progress, now = self.driver.incident.servers[server], self.clock.monotonic()
        try:
            seen = self.driver.compute.server(ServerID(server))
        except NovaError as error:
            # As in _one_followed: one server that Nova cannot read must not hold up the others.
            log.warning("host=%s step=evacuating %s: %s", self.driver.node.name, progress.name, error)
            self.waiting.pause(server, replace(progress, attempts=progress.attempts + 1), now)
            waited_s = self.waiting.since(server, progress, now)
            return unanswered(progress, waited_s, self.waiting.server_timeout_s, str(error)).progress
        if seen is None:
            return replace(progress, state=ServerState.SKIPPED, reason="was deleted meanwhile")
        if seen.host != self.driver.incident.nova_host:
            where = f"is on {seen.host or 'no host'}: somebody else moved it"
            return replace(progress, state=ServerState.SKIPPED, reason=where)
        if moving(seen):
            why = left_moving(self.driver.compute, seen)
            return replace(progress, state=ServerState.FAILED, task_state=seen.task_state, reason=why)
        return None

    def _ask(self, batch: Sequence[str]) -> None:
        """Send the batch at once; record each refusal."""
        with ThreadPoolExecutor(len(batch)) as pool:
            answers = self._looked_after(dict(zip(batch, pool.map(self._ask_for, batch), strict=True)))
        incident = self.driver.incident
        for server, answered in answers.items():
            progress, state, why = incident.servers[server], answered.state, answered.why
            where = progress.target or "where the scheduler likes"
            line = f"{progress.name}: asked for {where}" + (f"; {why}" if why else "")
            if state is ServerState.PENDING and progress.attempts >= self.driver.policy.recovery_attempts:
                state = ServerState.FAILED
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
            if rule_for(progress.vm_state).action is Action.RESET_AND_EVACUATE:
                compute.reset_to_error(ServerID(server))
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
