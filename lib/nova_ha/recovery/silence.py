"""Silence: whether a nova-compute has stopped reporting, by its own cadence and by our own monotonic clock.

Nova's stamps come from the clocks of other machines, so none is subtracted: between two readings a stamp moves, or it
stands still.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from nova_ha.cluster.policy import LONGEST_REPORT_INTERVAL_S
from nova_ha.cluster.schema import RESERVE_REASON
from nova_ha.compute import ComputeService

# For so long the readings of this process count.
KEPT_S = 300.0


@dataclass(frozen=True)
class Heard:
    """Every nova-compute as one answer of Nova showed it, with the monotonic times around the question."""

    asked_s: float
    answered_s: float
    services: Sequence[ComputeService]

    def of(self, host: str) -> ComputeService | None:
        """Return the nova-compute of that host, or None where Nova showed none."""
        return next((service for service in self.services if service.host == host), None)


@dataclass(frozen=True)
class Others:
    """Who else was to report over the same time: how many, and who of them has not."""

    number: int
    silent: tuple[str, ...]
    zone: str = ""

    @property
    def too_quiet(self) -> bool:
        """True where more are silent than may be by chance: a fifth of them, none where there are fewer than five."""
        return len(self.silent) > (self.number // 5)


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
        """The others that are too quiet, the cloud's first."""
        return next((found for found in (self.others, self.in_zone) if found and found.too_quiet), None)


def needed_s(cadence_s: float) -> float:
    """Return for how long one must stand still that reports at this cadence: one report late is no silence."""
    return max(1.2 * cadence_s, cadence_s + 2.0)


def silence_of(
    heard: Sequence[Heard],
    host: str,
    failing: Collection[str],
    report_interval_s: float,
    well: Collection[str] = (),
) -> StoodStill | None:
    """Judge the silence of the host's nova-compute by all readings, oldest first; None where Nova shows none.

    `failing` are the hosts that the observers see failing: they are no others. `well` are those that they see well.
    """
    last = heard[-1] if heard else Heard(0.0, 0.0, ())
    now = last.of(host)
    if now is None:
        return None
    alike = _run(heard, now)
    needed = needed_s(cadence_s(heard, host, report_interval_s))
    # The latest of those that are old enough: an older one would say less about the others.
    first = next((reading for reading in reversed(alike) if reading.answered_s + needed <= last.asked_s), None)
    if first is None:
        until = alike[0].answered_s + needed
        return StoodStill(last.answered_s - alike[0].answered_s, max(0.0, until - last.answered_s), until)

    def others(zone: str = "") -> Others:
        return _others(first, last, now, failing, well, zone)

    found = StoodStill(last.asked_s - first.answered_s, 0.0, last.asked_s, others())
    return replace(found, in_zone=others(now.zone)) if now.zone else found


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


def _run(heard: Sequence[Heard], now: ComputeService) -> Sequence[Heard]:
    """Return the last readings in a row that showed it as it is now, oldest first."""
    run: list[Heard] = []
    for reading in reversed(heard):
        then = reading.of(now.host)
        if then is None or not _alike(then, now):
            break
        run.insert(0, reading)
    return run


def _others(
    first: Heard, last: Heard, judged: ComputeService, failing: Collection[str], well: Collection[str], zone: str
) -> Others:
    """Return those that Nova called up and enabled at the first reading, and who has not reported by the last.

    Several that Nova called down by then, though their hosts are well, count as well: what keeps their reports
    from Nova keeps the judged one's, and for longer than Nova itself waits.
    """
    asked = [
        service
        for service in first.services
        if service.host != judged.host
        and service.host not in failing
        and (service.enabled or service.disabled_reason == RESERVE_REASON)
        and (not zone or service.zone == zone)
    ]
    after = {service.id: service for service in last.services}
    still = {s.id for s in asked if s.id not in after or not reported(s, after[s.id])}
    unheard = [s for s in asked if not s.up and not s.forced_down and s.host in well and s.id in still]
    found = [s for s in asked if s.up or (s in unheard and len(unheard) > 1)]
    return Others(len(found), tuple(s.host for s in found if s.id in still), zone)


def _alike(before: ComputeService, after: ComputeService) -> bool:
    return before.updated_at == after.updated_at and _status(before) == _status(after)


def _status(service: ComputeService) -> tuple[str, bool, bool, str]:
    return service.id, service.enabled, service.forced_down, service.disabled_reason
