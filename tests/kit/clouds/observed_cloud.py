"""A cloud of fakes from the first silent second on: hosts fail, observers sweep, handlers count and recover.

Nothing in it is the product's but what stands under test: sweeps become reports by `next_report`, reports become
counts by `count_failures` and the timer's check, and whatever is due is done by `recover_all`.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from typing import Any, ClassVar
from unittest.mock import patch

from nova_ha.checks import cluster as timer_check
from nova_ha.cli.clients import Clients
from nova_ha.cli.command_guard import run
from nova_ha.cli.root import root
from nova_ha.cluster.incident import IncidentState, ServerState
from nova_ha.cluster.schema import compute_node, open_incident
from nova_ha.compute import ServerID
from nova_ha.compute.states import MigrationStatus
from nova_ha.consul.transaction import Committed, Operation, Rejected
from nova_ha.consul.trouble import forbidden
from nova_ha.errors import ConsulError, HAError
from nova_ha.monitor.writing import count_failures
from nova_ha.power import PowerState
from nova_ha.probe.observation import Report
from nova_ha.probe.reach import SENDS_TOO_MUCH
from nova_ha.probe.sighting import WELL, SightCause, Sighting, graded
from nova_ha.probe.streak import next_report
from nova_ha.recovery.reset import reset

from kit.fakes.nova import FakeNova
from kit.fakes.observers import agents_live
from kit.fakes.store import FakeStore
from kit.fakes.trace import TracedReports, TracedWorld
from kit.fakes.world import INTERVAL_S

THRESHOLD = 3


class ObservedNova(FakeNova):
    """A Nova whose rebuilds end with the power of their destination, though their records stay open."""

    def power_lost(self, host: str) -> None:
        super().power_lost(host)
        self.rebuilds = [rebuild for rebuild in self.rebuilds if rebuild.target != host]

    def _evacuate(self, server_id: ServerID, target: str | None) -> None:
        every = self.records
        self.records = [r for r in every if not (r.server == server_id and r.status.open and self._is_dead(r))]
        hidden = [record for record in every if record not in self.records]
        super()._evacuate(server_id, target)
        self.records += hidden

    def _is_dead(self, record: object) -> bool:
        host = getattr(record, "destination", "")
        return host in self.silent and self.is_off(host)


class AgentStore(FakeStore):
    """What an HA node's agent gives: nothing while it is `away`; `after` happens once a write was carried out."""

    def __init__(self, cloud: ObservedCloud, node: str) -> None:
        super().__init__(node=node, consul=cloud.store.consul)
        self.cloud = cloud
        self.answers, self._alone = cloud.store.answers, cloud.store._alone
        self.before = lambda operations: cloud.store.before(operations) if cloud.store.before else None

    def at(self, node: str) -> FakeStore:
        return AgentStore(self.cloud, node)

    def commit(self, operations: Sequence[Operation]) -> Committed | Rejected:
        outcome = super().commit(operations)
        if isinstance(outcome, Committed):
            self.cloud.after(operations)
        return outcome

    def _calling(self):  # type: ignore[no-untyped-def]
        if self.node in self.cloud.tokenless:
            raise forbidden("its KV store")
        if self.node in self.cloud.away:
            raise ConsulError("Consul has no leader", remedy="see `consul operator raft list-peers`")
        return super()._calling()


class TracedOutputs(TracedReports):
    """Notes what the observers report, also where it is no report."""

    def look(self) -> None:
        answer = self._world.store.answers["/v1/health/service/nova-ha"]
        for entry in answer if isinstance(answer, list) else []:
            with suppress(LookupError, TypeError):
                self._look_at(entry)

    def _look_at(self, entry: Mapping[str, Any]) -> None:
        checks = {check["CheckID"]: check for check in entry["Checks"]}
        alive = checks["serfHealth"]["Status"] == "passing"
        report = Report.from_output(checks["nova-ha-ssh"]["Output"])
        for host in self._world.names:
            seen = report.failing.get(host) if isinstance(report, Report) else None
            streak = None if not isinstance(report, Report) or host in report.unknown else seen.streak if seen else 0
            self._tell(entry["Node"]["Node"], host, streak, alive)


class ObservedCloud(TracedWorld):
    """`unseen[observer]` are hosts that it alone cannot see; `dead` have no agent, `away` cannot reach Consul,
    `tokenless` have a token that nobody accepts any more. `flooding` hosts send more than a login needs.
    """

    made: ClassVar[list[ObservedCloud]] = []

    def __init__(self, compute: int = 4, ha: int = 3, servers: int = 2) -> None:
        self.unseen: dict[str, set[str]] = {}
        self.last_words: dict[str, str] = {}
        self.published: dict[str, str] = {}
        self.flooding: set[str] = set()
        self.dead: set[str] = set()
        self.away: set[str] = set()
        self.tokenless: set[str] = set()
        self.left: set[str] = set()
        self.after: Callable[[Sequence[Operation]], None] = lambda operations: None
        self._swept_at = 0.0
        super().__init__(compute, ha)
        self.nova.__class__ = ObservedNova
        self._watches = (*(w for w in self._watches if not isinstance(w, TracedReports)), TracedOutputs(self))
        self.clock.meanwhile.append(self._sweep_when_due)
        self.made.append(self)
        self.servers = {name: self.nova.add(name, servers) for name in self.names}

    # --- what happens to it ---

    def hangs(self, *names: str) -> None:
        """The hosts hang: silent for everybody, with their power on and their guests running."""
        for name in names:
            self.silent[name] = 1
            self.nova.silent.add(name)

    def loses_power(self, name: str) -> None:
        """The host's power is gone."""
        self.hangs(name)
        self.bmcs[name].state = PowerState.OFF
        self.nova.power_lost(name)

    def boots(self, name: str) -> None:
        """The host is powered on and answers; what Nova still has on it runs there again."""
        self.bmcs[name].state = PowerState.ON
        self.silent.pop(name, None)
        self.nova.silent.discard(name)
        for server in self.nova.inventory.values():
            if server.host == name:
                self.nova.guests[server.id].add(name)

    def repaired(self, name: str) -> None:
        """The host is back with a nova-compute that has cleaned up, and the operator takes it back."""
        self.boots(name)
        for record in self.nova.records:
            self.nova._record(record.uuid, MigrationStatus.COMPLETED)
        self.intervals()
        reset(self.store, self.clock, name, self.nova, self._sight, by="ann")

    def sweep(self) -> None:
        """Every living observer looks at every host, and reports."""
        self._swept_at = self.clock.monotonic()
        for observer in self.observers:
            if observer not in self.dead:
                cannot = "UNKNOWN cannot tell: Consul has no leader\n"
                self.last_words[observer] = cannot if observer in self.away else self._swept_by(observer)
        self.report()

    def intervals(self, count: int = 1) -> None:
        """Let so many intervals go by, with a sweep and a run of the counting handler on each HA node."""
        for _ in range(count):
            self.clock.sleep(INTERVAL_S)
            for me in self._living():
                with suppress(ConsulError):
                    self.count(me)

    def fails(self, *names: str) -> None:
        """The hosts hang, until the monitor has set them failed."""
        self.hangs(*names)
        self.intervals(THRESHOLD)
        assert all(self.failed(name) for name in names)

    def turns(self, count: int = 1) -> None:
        """Let the timers of all HA nodes come round so often, half a minute apart, and do what they find due."""
        for _ in range(count):
            for _ in range(6):
                self.clock.sleep(INTERVAL_S)
            for me in self._living():
                with suppress(HAError):
                    self.timer(me)

    def after_writing(self, part: bytes, happen: Callable[[], object], name: str = "c1") -> None:
        """Let it happen once, right after that host's incident was written with this in it."""

        def after(operations: Sequence[Operation]) -> None:
            if any(o.key == open_incident(name) and part in (o.value or b"") for o in operations):
                self.after = lambda operations: None
                happen()

        self.after = after

    def stands_still(self, me: str, seconds: float, meanwhile: Callable[[], object] = lambda: None) -> None:
        """The driver on that HA node is stopped for so long; its session is not renewed."""
        self.driving.discard(me)
        self.clock.sleep(seconds)
        meanwhile()
        self.driving.add(me)

    # --- who acts in it ---

    def count(self, me: str = "ha-1") -> object:
        """Run the counting handler of that HA node."""
        return count_failures(self._store(me), self.clock)

    def timer(self, me: str = "ha-1") -> str:
        """Run the timer's check of that HA node, and the recovery that it starts; return what it printed."""
        starts: list[str] = []
        printed = io.StringIO()

        def start() -> tuple[()]:
            starts.append(me)
            return ()

        starting = patch.object(timer_check, "start_recovery", start)
        with redirect_stdout(printed), starting, patch("nova_ha.log.log_to_the_journal"):
            timer_check.tick(self._store(me), self.clock)
        if starts:
            self.recover(me)
        return printed.getvalue()

    def timer_says(self) -> str:
        """Return what the timer's check says of every host, without doing anything."""
        printed = io.StringIO()
        with redirect_stdout(printed), patch.object(timer_check, "start_recovery", list):
            timer_check.look_at(self.store, self.clock, self.names, False)
        return printed.getvalue()

    def says(self, *words: str) -> str:
        """Return what `nova-ha` prints for an operator who types these words."""
        printed = io.StringIO()
        clients = Clients(lambda: self.store, lambda: self.nova, lambda: self.clients("ha-1"), self.clock)
        with redirect_stdout(printed), redirect_stderr(printed):
            run(root, words, clients)
        return printed.getvalue()

    def printed(self) -> str:
        """Return all that the product tells an operator now, in single spaces."""
        reports = [self.says("status"), self.timer_says()]
        for name in self.names:
            reports += [self.says("explain", name), self.says("history", name)]
        return " ".join("\n".join(reports).split())

    # --- what is seen of it ---

    def failed(self, name: str) -> bool:
        """Return what `status/failed` says."""
        return self.store.value(compute_node(name, "status/failed")) == "True"

    @property
    def fenced(self) -> list[str]:
        """The hosts whose BMC was told to cut the power."""
        return [name for name in self.names if self.bmcs[name].commands]

    def assert_recovered(self, *names: str) -> None:
        """Each was fenced once, all that was on it runs elsewhere, and nothing is left behind."""
        self.assert_recovered_so_far(*names)
        self.audit()

    def assert_recovered_so_far(self, *names: str) -> None:
        """The same, while another host is still being recovered."""
        for name in names:
            assert self.incident(name) is None
            [incident] = self.closed(name)
            assert incident.state is IncidentState.FINISHED
            assert incident.receipt is not None
            assert {p.state for p in incident.servers.values()} == {ServerState.EVACUATED}
            assert set(self.servers[name]) <= set(incident.servers)
            assert not self.nova.servers(name)

    def assert_untouched(self, *names: str) -> None:
        """Nobody cut its power, told Nova about it, or moved what is on it."""
        for name in names:
            assert self.bmcs[name].commands == []
            assert not [call for call in self.nova.calls if name in call or set(call) & set(self.servers[name])]
        self.audit()

    def audit(self) -> None:
        """What must hold whatever happens: no server twice, none before the fence, none called evacuated without its
        disk, nothing held by nobody."""
        assert not self.nova.doubled
        assert not self.nova.unfenced
        assert self.leftovers() == []
        for incident in (incident for name in self.names for incident in self.closed(name)):
            for server, progress in incident.servers.items():
                if progress.state is ServerState.EVACUATED and server in self.nova.disks:
                    assert self.nova.disks[server] == f"disk of {server}", f"I11: {server} has a new disk"

    # --- inside ---

    def report(self, without: Sequence[str] = ()) -> None:
        """Let Consul have the last outputs, and who of the observers lives."""
        gone = {*self.dead, *without}
        self.last_words = self.last_words or {observer: self._swept_by(observer) for observer in self.observers}
        self.published.update({name: text for name, text in self.last_words.items() if name not in self.away})
        self.store.answers["/v1/health/service/nova-ha"] = [
            {
                "Node": {"Node": name},
                "Checks": [
                    {"CheckID": "serfHealth", "Status": "critical" if name in gone else "passing", "Output": ""},
                    {"CheckID": "nova-ha-ssh", "Status": "critical", "Output": self.published.get(name, "")},
                ],
            }
            for name in self.observers
        ]
        self.store.answers["/v1/agent/members"] = [{"Name": name, "Status": 3} for name in self.left]
        agents_live(self.store, [*self.agents, *(name for name in self.observers if name not in gone)])
        if hasattr(self, "notes"):
            self.look()

    def _swept_by(self, observer: str) -> str:
        report = next_report(
            Report.from_output(self.last_words.get(observer, "")),
            {name: self._seen_by(observer, name) for name in self.names},
            probe="ssh",
            now_boottime=1000 + self.clock.monotonic(),
            boot_id="boot",
            interval_s=INTERVAL_S,
            fail_threshold=THRESHOLD,
        )
        return report.to_output()

    def _seen_by(self, observer: str, name: str) -> Sighting:
        if name in self.silent or name in self.unseen.get(observer, ()):
            return graded(SightCause.TIMED_OUT)
        off = self.bmcs[name].state is PowerState.OFF
        if name in self.shows:
            return graded(SightCause.TIMED_OUT if off else self.shows[name])
        return SENDS_TOO_MUCH if name in self.flooding else WELL

    def _sweep_when_due(self) -> None:
        if self.clock.monotonic() - self._swept_at >= INTERVAL_S:
            self.sweep()

    def _living(self) -> list[str]:
        return [name for name in self.observers if name not in self.dead]

    def _store(self, me: str) -> FakeStore:
        return AgentStore(self, me)

    def _drivers_renew(self) -> None:
        for session, found in list(self.store.consul.sessions.items()):
            if found.node in self.driving and found.node not in self.away | self.dead:
                self.store.consul.renew_session(session)
