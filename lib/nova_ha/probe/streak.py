"""How a sweep becomes the next report: streaks count observed intervals, and what is the same stays the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from nova_ha.probe.observation import HUNG, Failing, NoData, Report, Unknown, one_line
from nova_ha.probe.sighting import Sighting, State

# The agents' limit for a check's output is 64 KiB; over it Consul cuts from the front.
MAX_OUTPUT_BYTES = 65000
MAX_REASON = 120


def next_report(
    previous: Report | NoData,
    outcomes: Mapping[str, Sighting],
    *,
    probe: str,
    now_boottime: float,
    boot_id: str,
    interval_s: int,
    fail_threshold: int,
    credentials: Mapping[str, str] | None = None,
    reasons_count: bool = False,
) -> Report:
    """Return the report of this sweep: `previous` itself while no verdict and no streak differs from it.

    A streak starts at 1, grows by one for each interval that was observed, and stops at `fail_threshold`. With
    `reasons_count` another reason for failing is a difference too (a dead host's may alternate in every interval).
    `credentials` names each node's credentials; those that were refused are remembered until they change, those
    with which the login hung until it is seen otherwise.
    """
    seen = Report(probe, interval_s, len(outcomes), round(now_boottime, 3), boot_id)
    before = previous if isinstance(previous, Report) and _continues(previous, seen) else None
    nodes: dict[str, Failing | Unknown] = {}
    for name, sighting in outcomes.items():
        why = one_line(sighting.why, MAX_REASON)
        tried = _tried(previous, name, sighting, (credentials or {}).get(name, ""))
        if sighting.state is State.FAILING:
            nodes[name] = Failing(_streak(before, name, now_boottime, fail_threshold), why, tried)
        elif sighting.state is State.UNKNOWN:
            nodes[name] = Unknown(why, tried)
    report = _fitted(replace(seen, nodes=nodes))
    same = before and _essence(before, reasons_count) == _essence(report, reasons_count)
    return before if before and same else report


def _continues(previous: Report, seen: Report) -> bool:
    """True where both count the same intervals on the same clock."""
    kind = (previous.probe, previous.interval_s, previous.boot) == (seen.probe, seen.interval_s, seen.boot)
    return kind and previous.changed_at <= seen.changed_at


def _streak(before: Report | None, name: str, now: float, cap: int) -> int:
    last = before.nodes.get(name) if before else None
    if before is None or not isinstance(last, Failing):
        return 1
    if last.streak >= cap:
        return cap
    since = now - before.changed_at
    # Below the cap every observed interval changes the report: where none did, nobody looked.
    if since > 3 * before.interval_s:
        return 1
    return last.streak if since < before.interval_s / 2 else last.streak + 1


def _tried(previous: Report | NoData, name: str, sighting: Sighting, credentials: str) -> str:
    """Return the credentials where they are known to be refused, now or before the node was seen less well.

    Where a login with them hung instead, they come after HUNG.
    """
    last = previous.nodes.get(name) if isinstance(previous, Report) else None
    known = sighting.refused or (last is not None and last.tried == credentials)
    if known or not sighting.hung:
        return credentials if known else ""
    return HUNG + credentials


def _fitted(report: Report) -> Report:
    if len(report.to_output().encode()) <= MAX_OUTPUT_BYTES:
        return report
    # Reasons go first: without the nodes' rows nobody votes, and refused passwords are tried again every time.
    nodes = {
        name: replace(seen, why="") if isinstance(seen, Unknown) else seen for name, seen in report.nodes.items()
    }
    short = replace(report, nodes=nodes)
    if len(short.to_output().encode()) <= MAX_OUTPUT_BYTES:
        return short
    return replace(report, nodes={}, unlisted=(len(report.failing), len(report.unknown)))


def _essence(report: Report, reasons_count: bool) -> Report:
    """Return the report without what may change unseen."""
    kept = {
        name: replace(seen, why="") if isinstance(seen, Failing) and not reasons_count else seen
        for name, seen in report.nodes.items()
    }
    return replace(report, changed_at=0.0, nodes=kept)
