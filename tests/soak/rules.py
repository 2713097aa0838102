"""What may strike beside what: the cloud must be able to go on, and the operator never lies."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from soak.kinds import FAILURES, PLAIN, Area, Kind
from soak.plan import Strike


def may_stand(strike: Strike, others: Sequence[Strike]) -> bool:
    """True where the fault may stand beside the others.

    At most one fault takes an HA node, a Consul server or a way between them (of three), at most one strikes a
    driver, each kind strikes once; and what the rule of its area says.
    """
    if any(_excludes(other, strike) for other in others):
        return False
    rule = RULES.get(strike.kind) or (_bmc if strike.kind.area is Area.BMC else None)
    return rule is None or rule(strike, others)


def _excludes(other: Strike, strike: Strike) -> bool:
    one_of_them = other.kind.area is strike.kind.area and strike.kind.area in (Area.CONTROL, Area.DRIVER)
    lives = other.kind is Kind.HOST_UNSEEN or other.kind.area is Area.LIVING
    out_of_sight = lives and other.victim == strike.host
    return other.kind is strike.kind or one_of_them or out_of_sight


def _bmc(strike: Strike, others: Sequence[Strike]) -> bool:
    """A BMC has one fault, and none where its host comes back or has lost its power with it."""
    taken = any(other.host == strike.host and other.kind.area is Area.BMC for other in others)
    hosts_power = _failure(strike, others) in PLAIN
    return hosts_power and not taken and not _has(Kind.HOST_RETURNS, strike, others)


def _living_bmc(strike: Strike, others: Sequence[Strike]) -> bool:
    """It has its fault only before a host that has its power, and that no operator calls dark."""
    return _failure(strike, others) in (Kind.HOST_HANGS, Kind.HOST_DISK_HANGS) and _bmc(strike, others)


def _lying_bmc(strike: Strike, others: Sequence[Strike]) -> bool:
    """It lies only about a host that lives on, and can be woken."""
    return _failure(strike, others) is Kind.HOST_HANGS and _bmc(strike, others)


def _returning(strike: Strike, others: Sequence[Strike]) -> bool:
    """A host comes back only where nobody has said that it stays off, and its BMC tells the truth."""
    broken = any(other.host == strike.host and other.kind.area is Area.BMC for other in others)
    may = _failure(strike, others) in PLAIN
    moving = any(other.host == strike.host and other.kind.area is Area.SUPPLY for other in others)
    return may and not broken and not moving and not _has(Kind.CONFIRMED_OFF, strike, others)


def _vouching(strike: Strike, others: Sequence[Strike]) -> bool:
    """The operator vouches only for a host that is dark, and stays so."""
    dark = _failure(strike, others) in (Kind.HOST_OFF, Kind.HOST_AND_BMC_OFF)
    return dark and not _has(Kind.HOST_RETURNS, strike, others)


def _unseen(strike: Strike, others: Sequence[Strike]) -> bool:
    """Only a host that is well otherwise is out of sight."""
    return not any(other.victim == strike.victim for other in others)


def _supply(strike: Strike, others: Sequence[Strike]) -> bool:
    """One thing at a time about the servers of a host, which stays away."""
    taken = any(other.host == strike.host and other.kind.area is Area.SUPPLY for other in others)
    return not taken and not _has(Kind.HOST_RETURNS, strike, others)


RULES: dict[Kind, Callable[[Strike, Sequence[Strike]], bool]] = {
    **{kind: _unseen for kind in Kind if kind.area is Area.LIVING},
    **{kind: _supply for kind in Kind if kind.area is Area.SUPPLY},
    Kind.BMC_CYCLES: _living_bmc,
    Kind.BMC_RESTARTS: _living_bmc,
    Kind.BMC_LIES: _lying_bmc,
    Kind.HOST_RETURNS: _returning,
    Kind.CONFIRMED_OFF: _vouching,
    Kind.HOST_UNSEEN: _unseen,
}


def _failure(strike: Strike, others: Sequence[Strike]) -> Kind | None:
    """Return how the strike's host fails."""
    return next((other.kind for other in others if other.victim == strike.host and other.kind in FAILURES), None)


def _has(kind: Kind, strike: Strike, others: Sequence[Strike]) -> bool:
    return any(other.kind is kind and other.host == strike.host for other in others)
