"""How often the nova-computes report, as `doctor` sees it: one slower than the policy says looks dead too soon."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from nova_ha.cli.doctor.finding import Finding, ok, warning
from nova_ha.clock import Clock
from nova_ha.compute import Compute
from nova_ha.recovery.silence import Heard, cadence_s, needed_s, reported

AREA = "reports"
# Two reports and a half, of Nova's own 10 s.
WATCHED_INTERVALS = 2.5
PAUSE_S = 1.0


def cadence_findings(compute: Compute, report_interval_s: float, clock: Clock) -> Iterator[Finding]:
    """Watch all nova-computes for two and a half reports, and yield who is slower than `nova/report_interval`.

    Raises NovaError where the services cannot be listed.
    """
    heard = _watched(compute, WATCHED_INTERVALS * report_interval_s, clock)
    hosts = sorted({service.host for service in heard[-1].services if service.up})
    seen = {host: _seen_cadence(heard, host, report_interval_s) for host in hosts}
    slow = {host: every for host, every in seen.items() if every is None or every > needed_s(report_interval_s)}
    for host, every in slow.items():
        shown = f"every {every:.0f} s" if every else f"less than twice in {WATCHED_INTERVALS * report_interval_s:g} s"
        what = f"its nova-compute reports {shown}, and nova/report_interval is {report_interval_s:g} s"
        remedy = "see its report_interval in nova.conf; `nova-ha config set nova/report_interval` takes the longest"
        yield warning(AREA, host, what, remedy)
    if hosts and not slow:
        yield ok(AREA, "nova-computes", f"{len(hosts)} report at least every {report_interval_s:g} s")


def _watched(compute: Compute, watched_s: float, clock: Clock) -> Sequence[Heard]:
    began, heard = clock.monotonic(), list[Heard]()
    while not heard or clock.monotonic() - began <= watched_s:
        if heard:
            clock.sleep(PAUSE_S)
        asked = clock.monotonic()
        services = [reading.service for reading in compute.services()]
        heard.append(Heard(asked, clock.monotonic(), services))
    return heard


def _seen_cadence(heard: Sequence[Heard], host: str, report_interval_s: float) -> float | None:
    """Return the longest time between two of its reports, at least the interval; None where there were no two."""
    pairs = [(before.of(host), after.of(host)) for before, after in pairwise(heard)]
    moves = sum(1 for then, now in pairs if then and now and reported(then, now))
    return cadence_s(heard, host, report_interval_s) if moves > 1 else None
