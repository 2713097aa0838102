"""A rehearsal: a fault strikes the cloud, is watched until it has ended, and is judged by how it must end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from nova_ha.clock import Clock, SystemClock
from nova_ha.cluster.incident import ServerState
from nova_ha.errors import ConsulError, HAError, OutcomeUnknown
from nova_ha.sandbox.cloud import Sandbox
from nova_ha.sandbox.scenario import Scenario
from nova_ha.sandbox.snapshot import Kind, Snapshot, TimelineEvent, events, look

PERIOD_S = 0.2
SETTLING_S = 60.0
RETURN_S = 90.0
NOT_BROUGHT_BACK = (ServerState.LEFT, ServerState.FAILED)


@dataclass
class Rehearsal:
    """One run. `tell` gets every event as it happens, `show` what each victim looks like at every look."""

    sandbox: Sandbox
    scenario: Scenario
    victims: Sequence[str]
    tell: Callable[[TimelineEvent], None]
    show: Callable[[Mapping[str, Snapshot]], None] = lambda seen: None
    clock: Clock = field(default_factory=SystemClock)
    struck_at: datetime | None = None
    history: list[TimelineEvent] = field(default_factory=list)

    def run(self) -> list[str]:
        """Wait until all is well, strike, and watch; return what did not end as it should, one line each."""
        self._await_well()
        before = self._look()
        self._strike()
        last = self._watch(before, self._ended)
        if self.scenario.stays:
            self.clock.sleep(2 * self.sandbox.plan.interval_s)
            last = self._look()
        return [*self._not_as_expected(last), *self._audit(last)]

    def give_back(self) -> list[str]:
        """Return the nodes as an operator does: mend, power on, `nova-ha node reset`.

        Return what is not well after that, one line each.
        """
        self.sandbox.openstack.mend_requests()
        self.sandbox.openstack.run_bus(True)
        if self.scenario.goes_on and (mistakes := self._bring_bmcs_back()):
            return mistakes
        for name in self.victims:
            self.sandbox.machines[name].repair()
            self._note(name, Kind.OPERATOR, "the host and its BMC are repaired, and powered on")
        mistakes = [mistake for name in self.victims if (mistake := self._reset(name))]
        return mistakes or self._await_returned()

    # --- its steps

    def _await_well(self) -> None:
        """Wait until every observer has seen every node well."""
        until = self.clock.monotonic() + SETTLING_S
        names = self.sandbox.machines
        while True:
            seen = look(self.sandbox.store(), names, self.clock.now())
            if all(set(snapshot.votes.streaks.values()) == {0} for snapshot in seen.values()):
                return
            if self.clock.monotonic() > until:
                trouble = next(s for s in seen.values() if set(s.votes.streaks.values()) != {0})
                raise HAError(f"{trouble.node.name} was not seen well by all: {trouble.votes.in_words()}")
            self.clock.sleep(PERIOD_S)

    def _strike(self) -> None:
        self.struck_at = self.clock.now()
        for name in self.victims:
            self._note(name, Kind.STRIKE, self.scenario.what)
            self.scenario.strike(self.sandbox, name)

    def _watch(self, before: Mapping[str, Snapshot], ended: Callable[[Snapshot], bool]) -> Mapping[str, Snapshot]:
        """Look until every victim has `ended`, or the time is over; return the last look."""
        interval = self.sandbox.plan.interval_s
        threshold = max(snapshot.threshold for snapshot in before.values())
        until = self.clock.monotonic() + (threshold + 2) * interval + self.scenario.within_s
        acted: set[str] = set()
        while self.clock.monotonic() < until:
            self.clock.sleep(PERIOD_S)
            try:
                after = self._look()
            except (ConsulError, OutcomeUnknown):
                continue  # Consul may be what the fault took away: the end must be reached all the same
            for name in self.victims:
                for event in events(before[name], after[name]):
                    self._tell(event)
                self._act(after[name], acted)
            self.show({name: after[name] for name in self.victims})
            before = after
            if all(ended(after[name]) for name in self.victims):
                break
        return before

    def _act(self, snapshot: Snapshot, acted: set[str]) -> None:
        name, act = snapshot.node.name, self.scenario.meanwhile
        if act is not None and name not in acted and (words := act(self.sandbox, snapshot)):
            acted.add(name)
            self._note(name, Kind.STRIKE, words)

    def _ended(self, snapshot: Snapshot) -> bool:
        if self.scenario.held:
            return snapshot.held is not None and snapshot.node.number_fails >= snapshot.threshold
        if self.scenario.waits:
            return bool(snapshot.waits_at)
        return snapshot.finished or snapshot.refused

    # --- the judgement

    def _not_as_expected(self, last: Mapping[str, Snapshot]) -> list[str]:
        wanted = self.scenario.expected
        return [
            f"{name} should have ended: {wanted}; it is: {outcome(last[name])}"
            for name in self.victims
            if outcome(last[name]) != wanted
        ]

    def _audit(self, last: Mapping[str, Snapshot]) -> list[str]:
        """Return what must not be after any fault, whatever its end."""
        cloud = self.sandbox.openstack
        found = [f"{overlap['server']} ran on two hosts at once: {overlap['hosts']}" for overlap in cloud.overlaps]
        hosts = cloud.hosts
        for name in self.sandbox.machines:
            if name not in self.victims and not hosts[name]["alive"]:
                found.append(f"{name} was well, and is not any more")
        for name in self.victims:
            found += self._servers_left(name, last[name])
        return found

    def _servers_left(self, name: str, last: Snapshot) -> list[str]:
        running = {server for server, hosts in self.sandbox.openstack.guests.items() if any(hosts.values())}
        incident = last.incident
        if self.scenario.gate is not None or incident is None:
            return []
        named = [p for p in incident.servers.values() if p.state is self.scenario.named]
        lost = [p.name for server, p in incident.servers.items() if server not in running and p not in named]
        missing = self.sandbox.plan.servers - len(incident.servers)
        found = [f"{server} does not run anywhere" for server in lost]
        found += [f"of {p.name} is only said: {p.reason}" for p in named if self.scenario.reason not in p.reason]
        return [*found, f"{missing} servers of {name} were not recovered"] if missing else found

    # --- the operator's part

    def _bring_bmcs_back(self) -> list[str]:
        """Let the BMCs answer again, and watch the recoveries go on; return what is not recovered then."""
        before = self._look()
        for name in self.victims:
            self._note(name, Kind.OPERATOR, "its BMC answers again; nothing else is done")
            self.sandbox.machines[name].bmc.resume()
        last = self._watch(before, lambda snapshot: snapshot.finished)
        return [f"{name} did not go on: {outcome(last[name])}" for name in self.victims if not last[name].finished]

    def _reset(self, name: str) -> str:
        """Run `nova-ha node reset`, again while it says that it is too early; return what it still refuses."""
        until = self.clock.monotonic() + RETURN_S
        while True:
            done = self.sandbox.command("node", "reset", name)
            if done.returncode == 0:
                self._note(name, Kind.OPERATOR, f"nova-ha node reset {name}: {_last_line(done.stdout) or 'done'}")
                return ""
            if self.clock.monotonic() > until:
                return f"`nova-ha node reset {name}` says: {_last_line(done.stderr)}"
            self.clock.sleep(1.0)

    def _await_returned(self) -> list[str]:
        """Wait until every observer has seen all nodes well; return those that are failed, or not seen well."""
        try:
            self._await_well()
        except HAError as error:
            return [str(error)]
        seen = self._look()
        return [f"{name} is failed again" for name in self.victims if seen[name].node.failed]

    def _look(self) -> dict[str, Snapshot]:
        return look(self.sandbox.store(), self.sandbox.machines, self.clock.now())

    def _note(self, node: str, kind: Kind, words: str) -> None:
        self._tell(TimelineEvent(self.clock.now(), node, kind, words))

    def _tell(self, event: TimelineEvent) -> None:
        self.history.append(event)
        self.tell(event)


def outcome(snapshot: Snapshot) -> str:
    """Return how a node stands, in the words of `Scenario.expected`."""
    incident = snapshot.incident
    if snapshot.finished and incident:
        counts = Counter(progress.state for progress in incident.servers.values())
        return "recovered" + "".join(f", {counts[s]} {s.value}" for s in NOT_BROUGHT_BACK if counts[s])
    if snapshot.refused and incident and incident.gate:
        return f"needs the operator, {incident.gate.value}"
    if snapshot.node.failed and incident is None and snapshot.waits_at:
        return f"waits, {', '.join(sorted(snapshot.waits_at))}"
    if snapshot.node.failed:
        return incident.state.value if incident else "failed, and nobody works on it"
    return f"not failed, {snapshot.held.gate.value}" if snapshot.held else "not failed"


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
