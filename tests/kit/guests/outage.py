"""How long guests were away, as it stands on their disks, and what of it was whose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from nova_ha.cluster.incident import Incident, IncidentState

from kit.guests.judge import Outage

HEADS = (
    "fault",
    "guests",
    "failed",
    "claimed",
    "proved off",
    "asked for",
    "done in Nova",
    "writes",
    "first back",
    "all back",
    "by hand",
)
TOLD = (
    "seconds, of the guest that was back last: from its last number to `failed`, and on to each step; then how long"
    " the first and the last guest were away; by hand: from a power-off to the last guest's number by a plain loop"
)


@dataclass(frozen=True)
class Away:
    """What one recovery cost its guests. `spans` are the steps of the one that was back last, by their heads."""

    fault: str
    guests: int
    spans: Mapping[str, float]
    first_s: float
    last_s: float
    by_hand_s: float | None = None

    @property
    def cells(self) -> Sequence[str]:
        """One row of the table."""
        by_hand = "" if self.by_hand_s is None else f"{self.by_hand_s:.1f}"
        spans = [f"{took:.1f}" for took in self.spans.values()]
        return [self.fault, str(self.guests), *spans, f"{self.first_s:.1f}", f"{self.last_s:.1f}", by_hand]


def away(
    fault: str, incident: Incident, failed_at: datetime, outages: Sequence[Outage], by_hand_s: float | None = None
) -> Away:
    """Return what a recovery cost its guests, each of which was away once."""
    last = max(outages, key=lambda outage: outage.first.at)
    progress = incident.servers[last.server]
    assert progress.asked_at is not None
    assert progress.done_at is not None
    reached = {step.state: step.at for step in reversed(incident.steps)}
    moments = {
        "failed": failed_at,
        "claimed": reached[IncidentState.CLAIMED],
        "proved off": reached[IncidentState.FENCED],
        "asked for": progress.asked_at,
        "done in Nova": progress.done_at,
        "writes": last.first.at,
    }
    spans, before = dict[str, float](), last.last.at
    for name, moment in moments.items():
        spans[name] = (moment - before).total_seconds()
        before = moment
    lengths = [outage.seconds for outage in outages]
    return Away(fault, len(outages), spans, min(lengths), max(lengths), by_hand_s)


def table(rows: Sequence[Away]) -> Sequence[str]:
    """Return the lines of a table of all recoveries."""
    cells = [HEADS, *(row.cells for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [TOLD, *("  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in cells)]
