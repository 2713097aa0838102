"""What the monitor decides about one node, as values."""

from __future__ import annotations

from dataclasses import dataclass

from nova_ha.cluster.gate import Closed
from nova_ha.cluster.reading import GateReading


@dataclass(frozen=True)
class Keep:
    """Nothing changes: a `failed` node that has not answered since (no gate), or one that cannot be counted."""

    closed: tuple[Closed, ...] = ()


@dataclass(frozen=True)
class Count:
    """`number_fails` is to be `number`; the threshold is not reached. `closed` would hold it there."""

    number: int
    closed: tuple[Closed, ...] = ()


@dataclass(frozen=True)
class Hold:
    """`number_fails` is to be `number`; the threshold is reached, but these gates are closed."""

    number: int
    closed: tuple[Closed, ...]


@dataclass(frozen=True)
class Flip:
    """`status/failed` is to be True. `approved` are the gates that only the operator's approval opens."""

    number: int
    approved: tuple[GateReading, ...] = ()


Verdict = Keep | Count | Hold | Flip
