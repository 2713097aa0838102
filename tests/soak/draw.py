"""From a seed to rounds without end: all randomness of the soak is here.

A round depends on the seed and its own number alone, so that one can be run again without those before it. What is
drawn is the sequence of faults; how long the real processes between them take, no seed decides.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from random import Random

from soak.kinds import Area, Kind
from soak.plan import HA_NODES, HOSTS, ITS_DRIVER, Moment, Round, ServerPlan, Strike
from soak.rules import may_stand
from soak.weights import (
    ALL_SILENT_OF,
    BESIDE,
    HOW_HOSTS_FAIL,
    IN_A_STORM,
    IN_READINGS,
    OF_AN_HA_NODE,
    SECOND_HOST_OF,
)

WORKING = tuple(moment for moment in Moment if Moment.CLAIMED <= moment <= Moment.EVACUATING)
# A driver's session ends 10 to 20 s after it has fallen silent, and the lock delay is 20 s.
PAST_THE_LOCK_DELAY_S = (42.0, 50.0)
TRIES = 4


def rounds(seed: str, first: int = 1) -> Iterator[Round]:
    """Return the rounds of a seed from one of them on, without end."""
    return (draw(seed, number) for number in itertools.count(first))


def draw(seed: str, number: int) -> Round:
    """Return one round of a seed."""
    dice = Random(f"{seed}/{number}")
    strikes = _storm(dice) if dice.randrange(ALL_SILENT_OF) == 0 else _mix(dice, _rested(number))
    return Round(number, tuple(strikes), tuple(_servers(dice, strikes)), vouches=dice.random() < 0.5)


def _rested(number: int) -> Sequence[str]:
    """Return hosts that did not fail in the round before: a second failure so soon waits for an approval."""
    return HOSTS[number % 2 :: 2]


def _storm(dice: Random) -> list[Strike]:
    """All hosts fall silent; the operator lets some of them be recovered all the same."""
    storm = Strike(Kind.ALL_SILENT, HOSTS[0], Moment.WITH)
    meant = dice.sample(HOSTS, dice.choice((0, 0, 1, 2)))
    strikes = [storm, *(Strike(Kind.APPROVED, host, Moment.SETTLED, after_s=2) for host in meant)]
    return _with_more(dice, strikes, HOSTS, IN_A_STORM, dice.choice((0, 1, 2)))


def _mix(dice: Random, rested: Sequence[str]) -> list[Strike]:
    hosts = dice.sample(rested, 2 if dice.randrange(SECOND_HOST_OF) == 0 else 1)
    strikes = [Strike(_weighted(dice, HOW_HOSTS_FAIL), hosts[0], Moment.WITH)]
    for second in hosts[1:]:
        when = dice.choice((Moment.WITH, Moment.FAILED, *WORKING))
        strikes.append(Strike(_weighted(dice, HOW_HOSTS_FAIL), hosts[0], when, target=second))
    return _with_more(dice, strikes, hosts, BESIDE, dice.choice((1, 1, 2, 2, 3, 4)))


def _with_more(
    dice: Random, strikes: list[Strike], hosts: Sequence[str], weights: Mapping[Kind, int], count: int
) -> list[Strike]:
    """Return the strikes with so many more beside them, as far as some are found that may stand there."""
    for _ in range(count * TRIES):
        strike = _beside(dice, _weighted(dice, weights), dice.choice(hosts))
        if count and may_stand(strike, strikes):
            strikes, count = [*strikes, strike], count - 1
    return strikes


def _beside(dice: Random, kind: Kind, host: str) -> Strike:
    """Return a fault beside the failure of a host."""
    area = kind.area
    if area is Area.BMC:
        when = (
            dice.choice((Moment.BEFORE, Moment.CLAIMED, Moment.EVACUATING)) if kind in IN_READINGS else Moment.BEFORE
        )
        return Strike(kind, host, when, lasts_s=dice.choice((0.0, 15.0)) if kind is Kind.BMC_AWAY else 0.0)
    if kind is Kind.HOST_RETURNS:
        return Strike(kind, host, dice.choice((Moment.COUNTED, *WORKING)), after_s=_moments(dice))
    if kind is Kind.DRIVER_KILLED:
        return Strike(kind, host, dice.choice(WORKING), after_s=_moments(dice), target=ITS_DRIVER)
    if kind is Kind.DRIVER_STOPPED:
        lasts = dice.choice((4.0, dice.uniform(*PAST_THE_LOCK_DELAY_S)))
        return Strike(kind, host, dice.choice(WORKING), _moments(dice), round(lasts, 1), ITS_DRIVER)
    if area is Area.CONTROL:
        return _control(dice, kind, host)
    if area is Area.NOVA:
        when = dice.choice((Moment.WITH, Moment.CLAIMED, Moment.FENCING, Moment.FORCED_DOWN))
        return Strike(kind, host, when, variant=dice.randrange(100))
    if area is Area.OPERATOR:
        return _operator(dice, kind, host)
    when = dice.choice((Moment.WITH, Moment.FAILED, *WORKING))
    return Strike(kind, host, when, _moments(dice), target=dice.choice(HA_NODES), variant=dice.randrange(100))


def _control(dice: Random, kind: Kind, host: str) -> Strike:
    when = dice.choice((Moment.WITH, Moment.COUNTED, Moment.FAILED, *WORKING))
    lasts = float(dice.randrange(4, 12 if kind is Kind.CONSUL_AWAY else 20))
    target = ""
    if kind in OF_AN_HA_NODE:
        target = dice.choice((*HA_NODES, ITS_DRIVER, ITS_DRIVER) if when >= Moment.CLAIMED else HA_NODES)
    if kind is Kind.HOST_UNSEEN:
        target, when = dice.choice([name for name in HOSTS if name != host]), Moment.WITH
    return Strike(kind, host, when, _moments(dice), lasts, target, variant=dice.randrange(100))


def _operator(dice: Random, kind: Kind, host: str) -> Strike:
    when = dice.choice((Moment.WITH, Moment.COUNTED, Moment.FAILED, *WORKING, Moment.SETTLED, Moment.SETTLED))
    lasts = float(dice.randrange(4, 12)) if kind in (Kind.PAUSED, Kind.MAINTENANCE, Kind.KEY_GARBLED) else 0.0
    return Strike(kind, host, when, after_s=_moments(dice), lasts_s=lasts, variant=dice.randrange(100))


def _servers(dice: Random, strikes: Sequence[Strike]) -> Iterator[ServerPlan]:
    """Yield what the hosts that fail have beside their usual servers."""
    for _ in range(dice.choice((0, 1, 1, 2))):
        slow = dice.choice((0.0, 0.0, 4.0))
        yield ServerPlan(dice.choice(("active", "active", "stopped", "paused")), slow_s=slow)
    if any(strike.kind is Kind.NO_VALID_HOST for strike in strikes):
        yield ServerPlan(vast=True)


def _moments(dice: Random) -> float:
    return dice.choice((0.0, 0.0, 0.5, 1.0, 2.0))


def _weighted(dice: Random, weights: Mapping[Kind, int]) -> Kind:
    return dice.choices(list(weights), list(weights.values()))[0]
