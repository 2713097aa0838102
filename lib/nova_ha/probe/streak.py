"""How a sweep becomes the next report: streaks count observed intervals, and what is the same stays the same."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import replace

from nova_ha import __version__
from nova_ha.limits import FULL_LOGIN_EVERY_S
from nova_ha.probe.observation import HUNG, MOST_LATE, Failing, NoData, Report, Unknown, one_line
from nova_ha.probe.sighting import Grade, SightCause, Sighting, Sign, State

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
    late: bool = False,
    failed: Container[str] = (),
    stood: Container[str] = (),
) -> Report:
    """Return the report of this sweep: `previous` itself while no verdict and no streak differs from it.

    A streak starts at 1, grows by one for each interval that was observed, and stops at `fail_threshold`. With
    `reasons_count` another reason for failing is a difference too (a dead host's may alternate in every interval).
    `credentials` names each node's credentials; those that were refused are remembered until they change, those
    with which the login hung until it is seen otherwise. `late` says that this sweep missed its deadline.
    A banner of those in `stood` was all that was looked for, and it came: what was seen of them before stands. That
    of a node in `failed` may stand from one full login to the next.
    """
    seen = Report(probe, interval_s, len(outcomes), round(now_boottime, 3), boot_id, release=__version__)
    seen = replace(seen, late=_late(previous) if late else 0)
    before = previous if isinstance(previous, Report) and _continues(previous, seen) else None
    nodes: dict[str, Failing | Unknown] = {}
    for name, sighting in outcomes.items():
        if name in stood:
            nodes.update(_standing(previous, name, begins=before is None))
            continue
        why = one_line(sighting.why, MAX_REASON)
        tried = _tried(previous, name, sighting, (credentials or {}).get(name, ""))
        if sighting.state is State.FAILING:
            unseen_s = 3 * interval_s + (2 * FULL_LOGIN_EVERY_S if name in failed else 0)
            nodes[name] = Failing(_streak(before, name, now_boottime, fail_threshold, unseen_s), why, tried)
        elif sighting.state is State.UNKNOWN:
            nodes[name] = Unknown(why, tried)
    causes = {name: outcomes[name].cause for name in nodes}
    known = {name: cause for name, cause in causes.items() if cause}
    report = _fitted(replace(seen, nodes=nodes, causes=known))
    same = before and _essence(before, reasons_count) == _essence(report, reasons_count)
    return before if before and same else report


def _late(previous: Report | NoData) -> int:
    return min(MOST_LATE, 1 + (previous.late if isinstance(previous, Report) else 0))


def _continues(previous: Report, seen: Report) -> bool:
    """True where both count the same intervals on the same clock."""
    kind = (previous.probe, previous.interval_s, previous.boot) == (seen.probe, seen.interval_s, seen.boot)
    return kind and previous.changed_at <= seen.changed_at


def _standing(previous: Report | NoData, name: str, *, begins: bool) -> Mapping[str, Failing | Unknown]:
    """Return what stands of the node, nothing where it was well; a streak that `begins` anew counts no past."""
    last = previous.nodes.get(name) if isinstance(previous, Report) else None
    if last is None:
        return {}
    return {name: replace(last, streak=1) if begins and isinstance(last, Failing) else last}


def _streak(before: Report | None, name: str, now: float, cap: int, unseen_s: float) -> int:
    last = before.nodes.get(name) if before else None
    if before is None or not isinstance(last, Failing):
        return 1
    if last.streak >= cap:
        return cap
    since = now - before.changed_at
    # Below the cap every observed interval changes the report: where none did, nobody looked.
    if since > unseen_s:
        return 1
    return last.streak if since < before.interval_s / 2 else last.streak + 1


def _tried(previous: Report | NoData, name: str, sighting: Sighting, credentials: str) -> str:
    """Return the credentials where they are known to be refused, now or before the node was seen less well.

    Where a login with them hung instead, they come after HUNG; one that hung before a refused password was sent
    again, as over a dead disk, is tried in each interval, and counted by that.
    """
    last = previous.nodes.get(name) if isinstance(previous, Report) else None
    cause = sighting.cause
    if cause and Sign.HUNG in cause.signs and Sign.PASSWORD_SENT not in cause.signs:
        return HUNG + credentials
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
    for fitting in (short, replace(short, causes={})):
        if len(fitting.to_output().encode()) <= MAX_OUTPUT_BYTES:
            return fitting
    return replace(report, nodes={}, causes={}, unlisted=(len(report.failing), len(report.unknown)))


def _essence(report: Report, reasons_count: bool) -> Report:
    """Return the report without what may change unseen."""
    kept = {
        name: replace(seen, why="") if isinstance(seen, Failing) and not reasons_count else seen
        for name, seen in report.nodes.items()
    }
    return replace(report, changed_at=0.0, nodes=kept, causes=_alike(report.causes))


def _alike(causes: Mapping[str, SightCause]) -> Mapping[str, SightCause]:
    """Return the causes without the differences that nothing is decided on: a dead host's may alternate."""
    one_of = {Grade.SILENT: SightCause.TIMED_OUT, Grade.HANGS: SightCause.LOGIN_HANGS}
    kept = {SightCause.REFUSED}
    return {name: cause if cause in kept else one_of.get(cause.grade, cause) for name, cause in causes.items()}
