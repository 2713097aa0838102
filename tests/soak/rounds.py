"""One round as it runs: faults strike as their moments come, everything is mended, the operator does what is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from nova_ha.errors import HAError

from soak.audit import RoundAudit, Violation, incident_problems, placing_problems
from soak.cloud import SoakCloud
from soak.expected import fence_problems, is_settled, living_problems
from soak.explained import Incidents
from soak.kinds import Area, Kind
from soak.monitor import Monitor
from soak.operator import Operator
from soak.operator_round import OperatorRound
from soak.plan import HOSTS, Round
from soak.schedule import Schedule
from soak.site import Site
from soak.story import Story
from soak.summary import Summary

EVERY_S = 0.2
# Within so long after the last thing that was done to the cloud, everything that failed is recovered or refused. A
# lost driver costs its session's TTL twice, and a lock delay; a stopped one keeps its turn for two minutes.
BOUND_S = 240.0
# Where the observers do not get to look, the bound begins anew; but not for ever.
LONGEST_S = 900.0
STEADY_S = 2.0


class RoundRun:
    """Runs rounds, one after the other, on one cloud."""

    def __init__(self, cloud: SoakCloud, story: Story, summary: Summary) -> None:
        self.cloud, self.story, self.summary = cloud, story, summary
        self.operator = Operator(cloud)
        self.site = Site(cloud, self.operator)
        self.audit = RoundAudit(cloud)
        self._incidents = Incidents()

    def run(self, drawn: Round) -> None:
        """Run one round to its end, with everything well again. Raises Violation."""
        began = time.monotonic()
        self._begin(drawn)
        self._watch(self._unfolded, "neither recovered nor refused")
        self._mend()
        self._watch(self._resolved, "not recovered, and nothing that the operator does helps")
        self._judge_incidents()
        self._bring_back()
        self._judge_the_end()
        self.summary.rounds += 1
        self.story.tell(f"round is over after {time.monotonic() - began:.0f} s")

    def _begin(self, drawn: Round) -> None:
        self.drawn = drawn
        self.story.begin(drawn.number)
        self.story.tell("; ".join(map(str, drawn.strikes)))
        self.site.begin()
        self.audit.begin()
        self.schedule = Schedule(drawn, self.site, self.story, self.summary)
        self.operator_round = OperatorRound(self.operator, self.site, self.story, vouches=drawn.vouches)
        self.monitor = Monitor(drawn, self.cloud, self.site, self.schedule, self._incidents, self.story, self.summary)
        self.cloud.wait(self.monitor.begin, "Consul to answer")
        for name in () if drawn.has(Kind.ALL_SILENT) else drawn.failing:
            self.cloud.fill(self.site.machine(name), drawn.servers)

    def _watch(self, done: Callable[[], bool], otherwise: str) -> None:
        """Look, and let strike and end, until it is done for a while. Raises Violation where that lasts too long."""
        began = observed_at = time.monotonic()
        steady_since = None
        while steady_since is None or time.monotonic() < steady_since + STEADY_S:
            now = time.monotonic()
            if not self.monitor.scene.observed and now < began + LONGEST_S:
                observed_at = now
            if now > BOUND_S + max(observed_at, self.schedule.changed_at, self.operator_round.changed_at):
                raise Violation(
                    f"{otherwise} within {BOUND_S:g} s: {self.monitor.standing()} {self.operator.still_at()}"
                )
            self.schedule.turn()
            time.sleep(EVERY_S)
            fresh = self.monitor.look()
            self.monitor.hear(self.operator.ended())
            steady_since = (steady_since or time.monotonic()) if fresh and done() else None

    # --- how it unfolds, and is mended

    def _unfolded(self) -> bool:
        """True when each host that failed is recovered or refused, and nothing is to strike or to end any more."""
        names = {*self.monitor.concerned, *self.schedule.living}
        return not self.schedule.open and not self.operator.busy and all(map(self._is_settled, names))

    def _is_settled(self, name: str) -> bool:
        seen = self.monitor.seen[name]
        if ails := self.schedule.living.get(name):
            return is_settled(ails, seen, self.schedule.struck_for_s(ails))
        return seen.settled and (not seen.untouched or self.site.lives(name))

    def _mend(self) -> None:
        """Mend everything but the hosts. Raises Violation where not that has come of a fault which must."""
        _refuse(list(self._unexpected()))
        self.schedule.close()
        self.site.repair()
        if self.drawn.has(Kind.ALL_SILENT):
            for name in HOSTS:
                if self.monitor.seen[name].untouched or self.monitor.seen[name].held_at:
                    self.site.revive(name)
        self.story.tell("everything but the hosts is mended")

    def _unexpected(self) -> Iterator[str]:
        for strike in self.schedule.in_force:
            seen = self.monitor.seen.get(strike.victim)
            if seen and strike.kind.area is Area.LIVING:
                yield from living_problems(self.drawn, strike, seen)
            elif seen and not strike.lasts_s:
                yield from fence_problems(self.drawn, strike, seen)

    def _resolved(self) -> bool:
        """True when each host that failed is recovered, or lives and is left to the reset. Raises Violation."""
        if self.operator_round.tidy(self.monitor.seen, paused=self.monitor.scene.paused):
            return False
        left = [name for name in self.monitor.concerned if not self._is_resolved(name)]
        for name in left:
            if self.operator_round.help(name, self.monitor.seen[name]):
                self.schedule.meant.add(name)
            if self.operator_round.exhausted(name):
                raise Violation(
                    f"{name}: {self.monitor.seen[name].in_words()} after {self.operator_round.orders(name)}"
                )
        return not left and not self.operator.busy

    def _is_resolved(self, name: str) -> bool:
        seen = self.monitor.seen[name]
        if seen.untouched:
            return self.site.lives(name)
        return seen.finished or (self.operator_round.leaves(name) and seen.asks_at is not None)

    # --- back to well

    def _bring_back(self) -> None:
        """Repair the hosts, take them back, and give them servers. Raises Violation."""
        concerned = self.monitor.concerned
        for name in concerned:
            self.site.revive(name)
        self.operator_round.begin_anew()
        self._watch(self._all_back, "not taken back")
        self.cloud.openstack.mend_requests()
        for name in concerned:
            self.cloud.empty(self.site.machine(name))
            self.cloud.fill(self.site.machine(name))

    def _all_back(self) -> bool:
        for name, seen in self.monitor.seen.items():
            if seen.node.failed or seen.incident is not None:
                self.operator_round.reset(name)
            if self.operator_round.exhausted(name):
                raise Violation(f"{name} is not taken back: {self.operator_round.orders(name)}")
        return all(seen.untouched for seen in self.monitor.seen.values()) and not self.operator.busy

    # --- judging

    def _judge_incidents(self) -> None:
        """See how each recovery ended. Raises Violation."""
        guests, lost = self.cloud.openstack.guests, self.schedule.went_dark | self.schedule.failed
        problems = [*self.audit.guests_twice(), *self.audit.fenced_without_need(self.schedule.meant)]
        for name in self.monitor.concerned:
            seen = self.monitor.seen[name]
            self.summary.false_alarms += name not in self.schedule.failed
            for incident in seen.ended:
                problems += incident_problems(self.drawn, incident)
                self.summary.count(incident)
            if seen.finished:
                problems += placing_problems(seen.ended[-1], guests, lost)
        _refuse(problems)

    def _judge_the_end(self) -> None:
        """See that nothing is left of the round, and that it kept all invariants. Raises Violation."""
        for look in (self.audit.held_by_nobody, self.audit.at_work, self.audit.hosts_not_well):
            self._await_nothing(look)
        problems = [*self.audit.guests_twice(), *self.audit.bad_lines(), *self.audit.invariants_broken()]
        _refuse([*problems, *self.audit.fenced_without_need(self.schedule.meant)])
        self.cloud.empty_logs()

    def _await_nothing(self, look: Callable[[], Iterable[str]]) -> None:
        began, found, told = time.monotonic(), ["Consul and Nova do not answer"], False
        while found and time.monotonic() < began + BOUND_S:
            try:
                found = list(look())
            except HAError:
                self.cloud.look_elsewhere()
            if found and not told and time.monotonic() > began + STEADY_S:
                self.story.tell(f"waiting: {found[0]}")
                told = True
            time.sleep(EVERY_S if found else 0)
        _refuse(found)


def _refuse(problems: list[str]) -> None:
    if problems:
        raise Violation("\n".join(problems))
