"""Who lets what pass, and until when: values from values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from nova_ha.clock import to_stamp
from nova_ha.cluster.permit import Permit, decisions
from nova_ha.cluster.reading import SOMEBODY


def permits_words(permits: Iterable[Permit], now: datetime) -> str:
    """Return who lets what pass now, and what has ended, in one line; empty where nobody ever did."""
    parts = []
    for (author, until, _), gates in decisions(permits).items():
        by, names = author or SOMEBODY, ", ".join(gate.value for gate in gates)
        if until is None:
            parts.append(f"{by} let {names} pass, without an end that is recorded: that counts no longer")
        elif now < until:
            parts.append(f"{by} lets {names} pass until {to_stamp(until)}")
        else:
            parts.append(f"{by} let {names} pass until {to_stamp(until)}: that has ended")
    return "; ".join(parts)


def permit_lines(permits: Iterable[Permit]) -> Iterator[str]:
    """Yield a line for each decision of an operator, with its end and its reason."""
    for (by, until, why), gates in decisions(permits).items():
        end = f"until {to_stamp(until)}" if until else "without an end that is recorded, so it counts no longer"
        names = ", ".join(gate.value for gate in gates)
        yield f"Approved by {by or SOMEBODY} {end}: {names}{f' ({why})' if why else ''}"


def permits_values(permits: Iterable[Permit], now: datetime) -> list[dict[str, Any]]:
    """Return them for JSON."""
    return [
        {"gate": p.gate.value, "by": p.by, "why": p.why, "until": p.until, "lasts": p.lasts(now)} for p in permits
    ]
