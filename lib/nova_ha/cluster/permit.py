"""A permit: one gate that an operator lets pass, until a moment and no longer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from nova_ha.clock import from_stamp, to_stamp
from nova_ha.cluster.gate import AnyGate, Gate, gate_named
from nova_ha.power.device import FenceDevice


@dataclass(frozen=True)
class Permit:
    """An operator lets the gate pass until `until`.

    That is None where a record names no end, as those of an older release do: such a permit has ended. `bmc` is the
    one that was recorded for the node then; a permit of no-identity is about that one alone.
    """

    gate: AnyGate
    until: datetime | None
    by: str = ""
    why: str = ""
    bmc: str = ""

    def about(self, bmc: FenceDevice | None) -> bool:
        """True unless it was given for another BMC than this one, which is recorded now."""
        return self.gate is not Gate.NO_IDENTITY or (bmc is not None and self.bmc == bmc.recorded)

    def lasts(self, now: datetime) -> bool:
        """True until it has ended."""
        return self.until is not None and now < self.until

    def lets_pass(self, gate: AnyGate, now: datetime) -> bool:
        """True while it lasts, for its own gate."""
        return gate == self.gate and self.lasts(now)

    @classmethod
    def from_values(cls, value: Mapping[str, Any]) -> Permit:
        """Read it from its JSON object. Raises KeyError, TypeError, ValueError or AttributeError."""
        until = value.get("until")
        texts = [value["gate"], value.get("by", ""), value.get("why", ""), value.get("bmc", "")]
        if not all(isinstance(text, str) for text in [*texts, until or ""]):
            raise TypeError("a permit has a field that is no text")
        return cls(gate_named(texts[0]), from_stamp(until) if until else None, *texts[1:])

    def to_values(self) -> dict[str, Any]:
        """Return it as a JSON object; empty fields are left out, but its gate."""
        until = to_stamp(self.until) if self.until else ""
        values = {"until": until, "by": self.by, "why": self.why, "bmc": self.bmc}
        return {"gate": self.gate.value, **{name: text for name, text in values.items() if text}}


def lasting(permits: Iterable[Permit], gate: AnyGate, now: datetime) -> Permit | None:
    """Return the permit that lets the gate pass now, of several the one that lasts longest."""
    found = [permit for permit in permits if permit.lets_pass(gate, now)]
    return max(found, key=_end, default=None)


def _end(permit: Permit) -> float:
    return permit.until.timestamp() if permit.until else 0.0


def decisions(permits: Iterable[Permit]) -> Mapping[tuple[str, datetime | None, str], Sequence[AnyGate]]:
    """Return the gates of each decision, by its author, end and reason; in their order."""
    found: dict[tuple[str, datetime | None, str], list[AnyGate]] = defaultdict(list)
    for permit in permits:
        found[permit.by, permit.until, permit.why].append(permit.gate)
    return found


def renewed(permits: Iterable[Permit], given: Iterable[Permit], now: datetime) -> tuple[Permit, ...]:
    """Return the permits with those that are given now; each keeps its own end.

    An ended one goes where its gate is let pass anew, so that a record does not grow with every approval.
    """
    new = tuple(given)
    gates = {permit.gate for permit in new}
    kept = (permit for permit in permits if permit.lasts(now) or permit.gate not in gates)
    return tuple(dict.fromkeys((*kept, *new)))
