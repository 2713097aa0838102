"""I10: no guest ever runs on two hosts, wherever Nova says that it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from kit.audit.effects import Story
from kit.audit.trace import GuestRun, Trace
from kit.audit.violation import Violation


def runs_once(trace: Trace) -> list[Violation]:
    """Return every guest that began on a host while it ran on another one.

    Only what really ran is judged, never Nova's `host` of a server: in a live migration, and after a rebuild that was
    asked for too early, that is another one. Whoever started it, an operator too, it is a violation.
    """
    story = Story(trace)
    return [
        Violation(
            "I10",
            later.began,
            story.node_of(former.host),
            f"{server} ran on {former.host} and on {later.host} at once",
        )
        for server, runs in runs_of(trace).items()
        for place, later in enumerate(runs)
        for former in runs[:place]
        if former.host != later.host and goes_on(former, later.began)
    ]


def runs_of(trace: Trace) -> Mapping[str, Sequence[GuestRun]]:
    """Return where each server ran, oldest first."""
    found: dict[str, list[GuestRun]] = defaultdict(list)
    for run in trace.guests:
        found[run.server].append(run)
    return found


def goes_on(run: GuestRun, moment: datetime) -> bool:
    """True where it had not ended at the moment."""
    return run.ended is None or run.ended > moment
