"""From a seed to rounds without end: all randomness of the soak is here and in `beside`.

A round depends on the seed and its own number alone, so that one can be run again without those before it. What is
drawn is the sequence of faults; how long the real processes between them take, no seed decides.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from random import Random

from soak.beside import WORKING, beside
from soak.kinds import Kind
from soak.plan import HOSTS, Moment, Round, ServerPlan, Strike
from soak.rules import may_stand
from soak.weights import ALL_SILENT_OF, BESIDE, HOW_HOSTS_FAIL, IN_A_STORM, SECOND_HOST_OF

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
        strike = beside(dice, _weighted(dice, weights), dice.choice(hosts))
        if count and may_stand(strike, strikes):
            strikes, count = [*strikes, strike], count - 1
    return strikes


def _servers(dice: Random, strikes: Sequence[Strike]) -> Iterator[ServerPlan]:
    """Yield what the hosts that fail have beside their usual servers."""
    for _ in range(dice.choice((0, 1, 1, 2))):
        slow = dice.choice((0.0, 0.0, 4.0))
        yield ServerPlan(dice.choice(("active", "active", "stopped", "paused")), slow_s=slow)
    if any(strike.kind is Kind.NO_VALID_HOST for strike in strikes):
        yield ServerPlan(vast=True)


def _weighted(dice: Random, weights: Mapping[Kind, int]) -> Kind:
    return dice.choices(list(weights), list(weights.values()))[0]
