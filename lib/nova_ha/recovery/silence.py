"""Silence: whether a nova-compute has stopped reporting, by its own cadence and by our own monotonic clock.

Nova's stamps come from the clocks of other machines, so none is subtracted from ours: between two readings a stamp
moves, or it stands still. Only that others report too seldom is told by two stamps of one and the same nova-compute.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

from nova_ha.cluster.policy import LONGEST_REPORT_INTERVAL_S
from nova_ha.cluster.schema import RESERVE_REASON
from nova_ha.compute import ComputeService

# For so long the readings of this process count.
KEPT_S = 300.0
# The first of the two readings is at most so many times as old as it must be.
MOST_NEEDS = 2
# After an outage of the message bus its hosts are back one by one: a call that waits for its answer lasts 60 s
# (oslo.messaging, rpc_response_timeout), and tries to connect are 30 s apart at most (rabbit_interval_max).
RETURN_S = 90.0
# One that stood still for so much longer than between its other reports had fallen silent; who is slow is not late.
LONGER_THAN_ELSE = 1.5


@dataclass(frozen=True)
class Heard:
    """Every nova-compute as one answer of Nova showed it, with the monotonic times around the question."""

    asked_s: float
    answered_s: float
    services: Sequence[ComputeService]

    def of(self, host: str) -> ComputeService | None:
        """Return the nova-compute of that host, or None where Nova showed none."""
        return self._by_host.get(host)

    @cached_property
    def _by_host(self) -> Mapping[str, ComputeService]:
        return {service.host: service for service in reversed(self.services)}


@dataclass(frozen=True)
class Others:
    """Who else was to report over the same time: how many, and who of them has not.

    `late` are those that have, and a short while ago had fallen silent themselves.
    """

    number: int
    silent: tuple[str, ...]
    zone: str = ""
    late: tuple[str, ...] = ()

    @property
    def too_quiet(self) -> bool:
        """True where more are silent than may be by chance: a fifth of them, none where there are fewer than five."""
        return self._are_too_many(self.silent)

    @property
    def too_late(self) -> bool:
        """True where so many are silent, or were until a short while ago; one of several says nothing."""
        return len(self.late) >= min(2, self.number) and self._are_too_many((*self.silent, *self.late))

    def _are_too_many(self, hosts: Sequence[str]) -> bool:
        return len(hosts) > (self.number // 5)


@dataclass(frozen=True)
class StoodStill:
    """How long a nova-compute has stood still, and how much longer it must, counted from the last reading.

    `until_s` is when that is, by the monotonic clock; a reading that is asked for then must show it as it is now.
    Only a silence that lacks nothing has `others`: those of the whole cloud, and those `in_zone`, its own one.
    """

    still_s: float
    missing_s: float
    until_s: float
    others: Others | None = None
    in_zone: Others | None = None

    @property
    def quiet(self) -> Others | None:
        """The others that are too quiet, or come back only now, the cloud's first."""
        return next(
            (found for found in (self.others, self.in_zone) if found and (found.too_quiet or found.too_late)), None
        )


def needed_s(cadence_s: float) -> float:
    """Return for how long one must stand still that reports at this cadence: one report late is no silence."""
    return max(1.2 * cadence_s, cadence_s + 2.0)


def silence_of(
    heard: Sequence[Heard],
    host: str,
    failing: Collection[str],
    report_interval_s: float,
    well: Collection[str] = (),
    *,
    has_reported: bool = False,
) -> StoodStill | None:
    """Judge the silence of the host's nova-compute by all readings, oldest first; None where Nova shows none.

    `failing` are the hosts that the observers see failing: they are no others. `well` are those that they see well.
    One that `has_reported` since its SSH login began to fail is silent only where Nova itself calls it down, and it
    has stood still as long again since.
    """
    last = heard[-1] if heard else Heard(0.0, 0.0, ())
    now = last.of(host)
    if now is None:
        return None
    needed = needed_s(cadence_s(heard, host, report_interval_s))
    # What others reported long ago says nothing about them now.
    run = _run(heard, now, down=has_reported)
    alike = [reading for reading in run if last.asked_s - reading.answered_s <= MOST_NEEDS * needed]
    alike = alike or [last]
    # The latest of those that are old enough: an older one would say less about the others.
    first = next((reading for reading in reversed(alike) if reading.answered_s + needed <= last.asked_s), None)
    if first is None:
        until = alike[0].answered_s + needed
        return StoodStill(last.answered_s - alike[0].answered_s, max(0.0, until - last.answered_s), until)

    beside = _Beside(heard, first, last, now, needed, failing, well, report_interval_s)
    found = StoodStill(last.asked_s - first.answered_s, 0.0, last.asked_s, beside.others())
    return replace(found, in_zone=beside.others(now.zone)) if now.zone else found


def reported(before: ComputeService, after: ComputeService) -> bool:
    """True where its stamp has moved, and it was not somebody else's change of its record that moved it."""
    return before.updated_at != after.updated_at and _status(before) == _status(after)


def cadence_s(heard: Sequence[Heard], host: str, report_interval_s: float) -> float:
    """Return the longest time between two reports: as the policy has it, or the longest that was seen to end.

    One over which Nova called it down was no pause between two reports.
    """
    longest, since = report_interval_s, heard[0].answered_s if heard else 0.0
    for before, after in pairwise(heard):
        then, now = before.of(host), after.of(host)
        if then and now and _alike(then, now):
            continue
        if then and now and then.up and reported(then, now):
            longest = max(longest, min(before.asked_s - since, LONGEST_REPORT_INTERVAL_S))
        since = after.answered_s
    return longest


def _run(heard: Sequence[Heard], now: ComputeService, *, down: bool) -> Sequence[Heard]:
    """Return the last readings in a row that showed it as it is now, oldest first; `down`: and called it down."""
    run: list[Heard] = []
    for reading in reversed(heard):
        then = reading.of(now.host)
        if then is None or not _alike(then, now) or (down and then.up):
            break
        run.insert(0, reading)
    return run


@dataclass(frozen=True)
class _Beside:
    """Who was to report beside `judged` between the readings `first` and `last`."""

    heard: Sequence[Heard]
    first: Heard
    last: Heard
    judged: ComputeService
    needed_s: float
    failing: Collection[str]
    well: Collection[str]
    report_interval_s: float

    def others(self, zone: str = "") -> Others:
        """Return those that Nova called up and enabled at the first reading, and who has not reported by the last.

        Several that Nova called down by then, though their hosts are well, count as well: what keeps their reports
        from Nova keeps the judged one's, and for longer than Nova itself waits. Since when they are down says
        nothing: an outage may reach one part of the cloud long before another.

        Where most of those that have reported do so more seldom than is waited here, they count as silent too: the
        judged one may do so as well, and the interval is wrong.
        """
        asked = [
            service
            for service in self.first.services
            if service.host != self.judged.host
            and service.host not in self.failing
            and (service.enabled or service.disabled_reason == RESERVE_REASON)
            and (not zone or service.zone == zone)
        ]
        after = {service.id: service for service in self.last.services}
        still = {s.id for s in asked if s.id not in after or not reported(s, after[s.id])}
        unheard = [s for s in asked if self._is_unheard(s) and s.id in still]
        found = [s for s in asked if s.up or (s in unheard and len(unheard) > 1)]
        seldom = {s.id for s in found if s.id not in still and self._reports_seldom(s.host)}
        if 2 * len(seldom) > len(found):
            still |= seldom
        known = Others(len(found), tuple(s.host for s in found if s.id in still), zone)
        if known.too_quiet:
            return known
        late = [s for s in asked if s.id not in still and self._is_late(s.host)]
        return replace(known, number=len({s.id for s in (*found, *late)}), late=tuple(s.host for s in late))

    def _reports_seldom(self, host: str) -> bool:
        """True where its own stamps were always further apart than is waited, with one report between two readings.

        Between two that are less than a report apart no more than one lies; how far they are apart says nothing.
        """
        apart = [
            (now.updated_at - then.updated_at).total_seconds()
            for before, after in pairwise(self.heard)
            if after.answered_s - before.asked_s < self.report_interval_s
            and (then := before.of(host))
            and (now := after.of(host))
            and then.updated_at
            and now.updated_at
            and reported(then, now)
        ]
        return min(apart, default=0.0) > self.needed_s

    def _is_unheard(self, service: ComputeService) -> bool:
        return not service.up and not service.forced_down and service.host in self.well

    def _is_late(self, host: str) -> bool:
        """True where it has reported since a short while, having been down, or stood still for too long before."""
        since_s = self.last.answered_s - RETURN_S - self.needed_s
        pauses = _pauses(self.heard, host)
        for number, pause in enumerate(pauses):
            if pause.ended_s < since_s:
                continue
            others = [other.length_s for at, other in enumerate(pauses) if at != number and other.length_s > 0]
            usual_s = LONGER_THAN_ELSE * min(others, default=0.0)
            if pause.was_down or pause.length_s >= max(self.needed_s, usual_s):
                return True
        return False


@dataclass(frozen=True)
class _Pause:
    """The time before a report, as far as it was watched, and whether Nova called it down by then."""

    length_s: float
    ended_s: float
    was_down: bool


def _pauses(heard: Sequence[Heard], host: str) -> Sequence[_Pause]:
    """Return the pauses that a report of the host has ended, oldest first; others' changes of its record end none."""
    found = []
    began_s = heard[0].answered_s
    for before, after in pairwise(heard):
        then, now = before.of(host), after.of(host)
        if then and now and _alike(then, now):
            continue
        if then and now and reported(then, now) and not then.forced_down:
            found.append(_Pause(before.asked_s - began_s, after.answered_s, not then.up))
        began_s = after.answered_s
    return found


def _alike(before: ComputeService, after: ComputeService) -> bool:
    return before.updated_at == after.updated_at and _status(before) == _status(after)


def _status(service: ComputeService) -> tuple[str, bool, bool, str]:
    return service.id, service.enabled, service.forced_down, service.disabled_reason
