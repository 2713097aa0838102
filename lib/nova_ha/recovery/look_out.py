"""The look-out: whether the nova-computes of hosts whose SSH login fails report to Nova, as one HA node sees it.

It holds no lock of the recovery and has no effect but its record, which may keep the monitor from setting a host
failed. Without it everything works: the last look asks the same again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from nova_ha.cluster.reading import in_words
from nova_ha.cluster.schema import WITNESS, ha_node
from nova_ha.cluster.view import ClusterView, read_view
from nova_ha.cluster.witness import MOST_ROWS, Life, Testimony, testimonies_to
from nova_ha.consul.transaction import Rejected, lock
from nova_ha.consul.values import SessionID
from nova_ha.errors import ConsulError, HAError, OutcomeUnknown
from nova_ha.probe.votes import Votes, read_votes
from nova_ha.recovery.driver_clients import DriverClients
from nova_ha.recovery.findings import follow, hear
from nova_ha.recovery.gates import too_few_heard
from nova_ha.recovery.ranks import first_in_rank
from nova_ha.recovery.silence import Heard, silence_of

log = logging.getLogger(__name__)

PERIOD_S = 1.0
# A node that is held for long is no emergency: Nova is asked less often.
SLOW_PERIOD_S = 30.0
SLOW_AFTER_S = 120.0
# Consul ends a session between one and two TTLs after its last renewal: a look-out that hangs is gone in 20 s.
TTL_S = 10
RENEWED_EVERY_S = 5.0
# One whose last answer of Nova is older than its period and this much more lets its session go.
ANSWER_LASTS_S = 10.0
# Without Consul for so long, it is not coming back soon.
WITHOUT_CONSUL_S = 600.0
# Held for so long, a host is an operator's concern.
TOLD_AFTER_S = 60.0


@dataclass(frozen=True)
class Watched:
    """A node that is watched, since when by both clocks, and what was seen. `life` is None where Nova cannot tell.

    `up` is what Nova calls its nova-compute. `why` as Testimony has it.
    """

    number_fails: int
    since: datetime
    since_s: float
    life: Life | None = Life.LOOKING
    up: bool = False
    told: bool = False
    why: str = ""


class LookOut:
    """One HA node's look-out. `wake` starts the monitor's handler, and `tell` what NOVA_HA_NOTIFY names."""

    def __init__(self, clients: DriverClients, wake: Callable[[], None], tell: Callable[[str, str], object]) -> None:
        self._clients = clients
        self._wake = wake
        self._tell = tell
        self._watched: dict[str, Watched] = {}
        self._rests = False
        self._session: SessionID | None = None
        self._renewed_s = float("-inf")
        self._asked_s = float("-inf")
        # That it is looking is said before Nova has answered for the first time: the threshold may be near.
        self._answered_s = clients.clock.monotonic()
        self._written: Mapping[str, Testimony] = {}
        self._agents: frozenset[str] = frozenset()

    def run(self) -> None:
        """Watch until nobody fails any more, or it is asked to end.

        A Consul that is away ends nothing, as over a change of its leader: what was seen since the failure began
        would be forgotten. Raises ConsulError once that has lasted for too long.
        """
        clock = self._clients.clock
        reached_s = clock.monotonic()
        try:
            while not self._clients.stopping():
                try:
                    if not self.turn():
                        return
                    reached_s = clock.monotonic()
                except ConsulError as error:
                    if clock.monotonic() - reached_s > WITHOUT_CONSUL_S:
                        raise
                    log.warning("step=look-out %s", error)
                clock.sleep(PERIOD_S)
        finally:
            self._end()

    def turn(self) -> bool:
        """Take one look, and write what has changed; False where nobody is left to watch. Raises ConsulError."""
        clients, now_s = self._clients, self._clients.clock.monotonic()
        view = read_view(clients.store)
        votes = read_votes(clients.store, view)
        self._take_up(view, votes)
        if not self._watched or clients.me not in view.ha_nodes:
            follow(clients, view, votes, now_s)
            return False
        self._see_agents_go(votes)
        self._rest(view, votes)
        self._speak()
        answered = self._is_due(now_s) and self._ask_nova()
        failing, well = follow(clients, view, votes, now_s)
        if answered:
            for name, watched in self._watched.items():
                self._watched[name] = self._judged(view, name, watched, failing, well)
        self._speak()
        self._tell_of_the_held(view, votes)
        return True

    # --- whom ---

    def _take_up(self, view: ClusterView, votes: Votes) -> None:
        clients = self._clients
        now, now_s = clients.clock.now(), clients.clock.monotonic()
        failing = failing_nodes(view, votes, now, clients.me)
        for name in set(self._watched) - set(failing):
            del self._watched[name]
        for name in failing:
            if name not in self._watched and len(self._watched) < MOST_ROWS:
                self._watched[name] = Watched(view.compute_nodes[name].number_fails, now, now_s)
                log.info("host=%s step=look-out its SSH login fails: is its nova-compute silent too?", name)

    def _rest(self, view: ClusterView, votes: Votes) -> None:
        """Leave it to the first in rank to ask Nova about hosts that are held for long, while its record has them.

        What was seen here is old by then, so the record says no more than that somebody looks: a first in rank that
        sees the host silent is not spoken against, and one that has gone is missed by nobody.
        """
        rests = all(
            self._held_for_long(watched) and self._first_speaks_of(view, votes, name)
            for name, watched in self._watched.items()
        )
        if rests and not self._rests:
            log.info("step=look-out %s: the first in rank asks Nova", ", ".join(self._watched))
            # It was seen to live here, so it is no late look that finds the threshold reached.
            resting = {
                name: replace(one, life=Life.LOOKING, number_fails=0, why="") for name, one in self._watched.items()
            }
            self._watched.update(resting)
        self._rests = rests
        if rests:
            self._answered_s = self._clients.clock.monotonic()  # by the record of whoever has asked

    def _first_speaks_of(self, view: ClusterView, votes: Votes, name: str) -> bool:
        first = first_in_rank(view, votes.alive, view.compute_nodes[name])
        said = view.ha_nodes[first].testimonies.get(name) if first and first != self._clients.me else None
        return said is not None and said.life is not Life.LOOKING

    def _see_agents_go(self, votes: Votes) -> None:
        """Wake the monitor where the agent of one that is watched lives no more: no watch of ours sees that."""
        alive = votes.alive & set(self._watched)
        if gone := self._agents.difference(alive).intersection(self._watched):
            log.info("hosts=%s step=look-out its Consul agent lives no more", ",".join(sorted(gone)))
            self._wake()
        self._agents = alive

    def _period_s(self) -> float:
        return SLOW_PERIOD_S if all(map(self._held_for_long, self._watched.values())) else PERIOD_S

    def _held_for_long(self, watched: Watched) -> bool:
        age_s = self._clients.clock.monotonic() - watched.since_s
        return (self._rests or watched.life is Life.ALIVE) and watched.up and age_s > SLOW_AFTER_S

    # --- what Nova says ---

    def _is_due(self, now_s: float) -> bool:
        if self._rests or now_s - self._asked_s < self._period_s():
            return False
        self._asked_s = now_s
        return True

    def _ask_nova(self) -> bool:
        clients = self._clients
        try:
            hear(clients)
        except HAError as error:
            log.warning("step=look-out Nova cannot be asked: %s", error)
            return False
        self._answered_s = clients.heard[-1].answered_s
        return True

    def _judged(
        self, view: ClusterView, name: str, watched: Watched, failing: Collection[str], well: Collection[str]
    ) -> Watched:
        heard, node = self._clients.heard, view.compute_nodes[name]
        host, interval_s = node.nova_host or "", node.report_interval_s(view.policy.nova_report_interval)
        since = self._clients.failing_since.get(host)
        has_reported = since is not None and since.reported
        life, why = seen_of(heard, host, has_reported, failing, interval_s, well)
        if life is not watched.life or bool(why) != bool(watched.why):
            seen = life.value if life else "unknown"
            log.info("host=%s step=look-out its nova-compute is seen: %s%s", name, seen, f": {why}" if why else "")
        service = heard[-1].of(host)
        return replace(watched, life=life, up=bool(service and service.up), why=why)

    # --- the record ---

    def _speak(self) -> None:
        """Write the record where a verdict has changed, else renew its session while Nova answers."""
        clients, now_s = self._clients, self._clients.clock.monotonic()
        if self._answered_s < now_s - self._period_s() - ANSWER_LASTS_S:
            return  # its session ends by itself, and with it the record
        rows = {
            name: Testimony(one.life, one.number_fails, one.since, one.why)
            for name, one in self._watched.items()
            if one.life
        }
        if self._session and now_s - self._renewed_s >= RENEWED_EVERY_S:
            self._renewed_s = now_s
            if not clients.store.renew_session(self._session):
                self._session = None
        if self._session and rows == self._written:
            return
        said = _verdicts(self._written)
        if self._write(rows) and said != _verdicts(rows):
            self._wake()

    def _write(self, rows: Mapping[str, Testimony]) -> bool:
        clients = self._clients
        if self._session is None:
            self._renewed_s = clients.clock.monotonic()
            self._session = clients.store.create_session(f"nova-ha look-out {clients.me}", TTL_S, 0)
        key = ha_node(clients.me, WITNESS)
        try:
            outcome = clients.store.commit([lock(key, self._session, testimonies_to(rows))])
        except OutcomeUnknown as error:
            log.warning("step=look-out %s", error)
            return False  # it is written again in the next turn
        if isinstance(outcome, Rejected):
            log.warning("step=look-out its record is not written: %s", outcome)
            return False
        self._written = rows
        return True

    def _end(self) -> None:
        if self._session is not None:
            try:
                self._clients.store.destroy_session(self._session)
            except HAError as error:
                log.warning("step=look-out its session ends by itself: %s", error)
            self._session = None

    # --- the operator ---

    def _tell_of_the_held(self, view: ClusterView, votes: Votes) -> None:
        """Tell of one that has been held for a while: of one in a turn, since whoever is told may take his time."""
        now_s, clients = self._clients.clock.monotonic(), self._clients
        for name, watched in self._watched.items():
            node, told = view.compute_nodes[name], votes.of(name)
            agent = name in votes.alive and not told.takes_connections(view.quorum)
            held = agent or watched.life in (Life.ALIVE, Life.LOOKING)
            reached = node.number_fails >= view.policy.monitor_fail_threshold
            if watched.told or not held or not reached or now_s - watched.since_s < TOLD_AFTER_S:
                continue
            self._watched[name] = replace(watched, told=True)
            if first_in_rank(view, votes.alive, node) == clients.me:
                self._tell("held", name)
                return


def _verdicts(rows: Mapping[str, Testimony]) -> Mapping[str, Life]:
    """Return what a record says for good: that somebody begins to look changes nothing for the monitor."""
    return {name: one.life for name, one in rows.items() if one.life is not Life.LOOKING}


def failing_nodes(view: ClusterView, votes: Votes, now: datetime, me: str) -> list[str]:
    """Return whose SSH login any observer sees fail, and who is not set failed, in maintenance, or our own host."""
    mine = view.ha_nodes.get(me)
    return [
        name
        for name, node in view.compute_nodes.items()
        if votes.of(name).fails
        and not node.failed
        and not node.maintained(now)
        and node.nova_host
        and not (mine and mine.is_on(name, node.nova_host))
    ]


def seen_of(
    heard: list[Heard],
    host: str,
    has_reported: bool,
    failing: Collection[str],
    report_interval_s: float,
    well: Collection[str],
) -> tuple[Life | None, str]:
    """Judge by all readings, oldest first: what is seen of it, and why that cannot be known yet, as Testimony has it.

    None where it cannot be told: Nova knows none of it, or no others.
    """
    if not heard or heard[-1].of(host) is None:
        return None, ""
    found = silence_of(heard, host, failing, report_interval_s, well, has_reported=has_reported)
    if found is None or found.others is None:
        return Life.ALIVE if has_reported else Life.LOOKING, ""
    if found.others.number == 0:
        return None, ""
    if (nobody := too_few_heard(found)) is None:
        return Life.SILENT, ""
    return Life.LOOKING, in_words(nobody)
