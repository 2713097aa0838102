"""Since when a host fails, and whether its nova-compute has reported since: then its SSH says nothing new.

One meaning for the look-out and for the last look: whoever reads Nova follows all hosts that fail, by its own
monotonic clock, and hands on what it knows to the next process of this HA node.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from nova_ha.recovery.silence import Heard, reported


@dataclass(frozen=True)
class FailingSince:
    """Since when a quorum sees a host fail, by the monotonic clock; `reported` says that it has reported since."""

    since_s: float
    reported: bool = False


def followed(
    before: Mapping[str, FailingSince],
    heard: Sequence[Heard],
    failing: Collection[str],
    well: Collection[str],
    now_s: float,
) -> dict[str, FailingSince]:
    """Return those that fail, by Nova's host name, from what was known before and what was heard by now; pure.

    `failing` are those that a quorum sees failing now, `well` those that it sees well: what these have reported while
    they failed says nothing any more. Where there is no quorum for a while nothing is forgotten.
    """
    kept = {host: one for host, one in before.items() if host not in well}
    for host in failing:
        kept.setdefault(host, FailingSince(now_s))
    return {
        host: replace(one, reported=one.reported or _has_reported(heard, host, one.since_s))
        for host, one in kept.items()
    }


def reports_now(heard: Sequence[Heard], host: str, within_s: float = math.inf) -> bool:
    """Return whether the last two readings show a report; two that are further apart tell nothing of now."""
    if len(heard) < 2 or heard[-1].asked_s - heard[-2].answered_s > within_s:
        return False
    before, after = (reading.of(host) for reading in heard[-2:])
    return before is not None and after is not None and reported(before, after)


def _has_reported(heard: Sequence[Heard], host: str, since_s: float) -> bool:
    """Return whether the last two readings show a report; both must have been asked for since then."""
    return reports_now(heard, host) and heard[-2].asked_s >= since_s
