"""How a fault beside the failure of a host is drawn: whom it strikes, when, and for how long."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from soak.kinds import Area, Kind
from soak.plan import HA_NODES, HOSTS, ITS_DRIVER, Moment, Strike
from soak.weights import IN_READINGS, OF_AN_HA_NODE

WORKING = tuple(moment for moment in Moment if Moment.CLAIMED <= moment <= Moment.EVACUATING)
# A driver's session ends 10 to 20 s after it has fallen silent, and the lock delay is 20 s.
PAST_THE_LOCK_DELAY_S = (42.0, 50.0)

Draw = Callable[[Random, Kind, str], Strike]


def beside(dice: Random, kind: Kind, host: str) -> Strike:
    """Draw a fault beside the failure of a host: as its kind is drawn, or its area."""
    return (OF_KIND.get(kind) or OF_AREA[kind.area])(dice, kind, host)


def _host(dice: Random, kind: Kind, host: str) -> Strike:
    return Strike(kind, host, dice.choice((Moment.COUNTED, *WORKING)), after_s=_moments(dice))


def _living(dice: Random, kind: Kind, host: str) -> Strike:
    """It stays until the round is mended: what came of it is judged then."""
    when = dice.choice((Moment.BEFORE, Moment.WITH, Moment.COUNTED, Moment.FENCING))
    return Strike(kind, host, when, _moments(dice), target=_another(dice, host), variant=dice.randrange(100))


def _from_before(dice: Random, kind: Kind, host: str) -> Strike:
    return Strike(kind, host, Moment.BEFORE, variant=dice.randrange(100))


def _reading(dice: Random, kind: Kind, host: str) -> Strike:
    lasts = dice.choice((0.0, 15.0)) if kind is Kind.BMC_AWAY else 0.0
    return Strike(kind, host, dice.choice((Moment.BEFORE, Moment.CLAIMED, Moment.EVACUATING)), lasts_s=lasts)


def _restarting(dice: Random, kind: Kind, host: str) -> Strike:
    return Strike(kind, host, dice.choice((Moment.BEFORE, Moment.CLAIMED)), lasts_s=dice.choice((20.0, 40.0)))


def _driver(dice: Random, kind: Kind, host: str) -> Strike:
    lasts = dice.choice((4.0, dice.uniform(*PAST_THE_LOCK_DELAY_S))) if kind is Kind.DRIVER_STOPPED else 0.0
    return Strike(kind, host, dice.choice(WORKING), _moments(dice), round(lasts, 1), ITS_DRIVER)


def _look_out(dice: Random, kind: Kind, host: str) -> Strike:
    lasts = 0.0 if kind is Kind.LOOK_OUT_KILLED else dice.choice((6.0, 30.0))
    return Strike(kind, host, Moment.COUNTED, _moments(dice), lasts, dice.choice(HA_NODES))


def _control(dice: Random, kind: Kind, host: str) -> Strike:
    when = dice.choice((Moment.WITH, Moment.COUNTED, Moment.FAILED, *WORKING))
    lasts = float(dice.randrange(4, 12 if kind is Kind.CONSUL_AWAY else 20))
    target = ""
    if kind in OF_AN_HA_NODE:
        target = dice.choice((*HA_NODES, ITS_DRIVER, ITS_DRIVER) if when >= Moment.CLAIMED else HA_NODES)
    return Strike(kind, host, when, _moments(dice), lasts, target, variant=dice.randrange(100))


def _unseen(dice: Random, kind: Kind, host: str) -> Strike:
    lasts = float(dice.randrange(4, 20))
    return Strike(kind, host, Moment.WITH, _moments(dice), lasts, _another(dice, host))


def _nova(dice: Random, kind: Kind, host: str) -> Strike:
    when = dice.choice((Moment.WITH, Moment.CLAIMED, Moment.FENCING, Moment.FORCED_DOWN))
    return Strike(kind, host, when, variant=dice.randrange(100))


def _bus(dice: Random, kind: Kind, host: str) -> Strike:
    when = dice.choice((Moment.WITH, Moment.COUNTED, Moment.FAILED, Moment.FENCED))
    return Strike(kind, host, when, _moments(dice), lasts_s=dice.choice((20.0, 40.0)))


def _operator(dice: Random, kind: Kind, host: str) -> Strike:
    when = dice.choice((Moment.WITH, Moment.COUNTED, Moment.FAILED, *WORKING, Moment.SETTLED, Moment.SETTLED))
    lasts = float(dice.randrange(4, 12)) if kind in (Kind.PAUSED, Kind.MAINTENANCE, Kind.KEY_GARBLED) else 0.0
    return Strike(kind, host, when, after_s=_moments(dice), lasts_s=lasts, variant=dice.randrange(100))


def _interval(dice: Random, kind: Kind, host: str) -> Strike:
    when, lasts = dice.choice((Moment.BEFORE, Moment.COUNTED)), dice.choice((15.0, 40.0))
    return Strike(kind, host, when, lasts_s=lasts, target=dice.choice(HA_NODES), variant=dice.randrange(100))


def _noise(dice: Random, kind: Kind, host: str) -> Strike:
    when = dice.choice((Moment.WITH, Moment.FAILED, *WORKING))
    return Strike(kind, host, when, _moments(dice), target=dice.choice(HA_NODES), variant=dice.randrange(100))


def _moments(dice: Random) -> float:
    return dice.choice((0.0, 0.0, 0.5, 1.0, 2.0))


def _another(dice: Random, host: str) -> str:
    return dice.choice([name for name in HOSTS if name != host])


OF_AREA: Mapping[Area, Draw] = {
    Area.HOST: _host,
    Area.LIVING: _living,
    Area.SUPPLY: _from_before,
    Area.BMC: _from_before,
    Area.DRIVER: _driver,
    Area.CONTROL: _control,
    Area.NOVA: _nova,
    Area.OPERATOR: _operator,
    Area.NOISE: _noise,
}
OF_KIND: Mapping[Kind, Draw] = {
    **dict.fromkeys(IN_READINGS, _reading),
    **dict.fromkeys((Kind.LOOK_OUT_KILLED, Kind.LOOK_OUT_STOPPED, Kind.LOOK_OUT_CRASHES), _look_out),
    Kind.BMC_RESTARTS: _restarting,
    Kind.HOST_UNSEEN: _unseen,
    Kind.BUS_AWAY: _bus,
    Kind.INTERVAL_CHANGED: _interval,
}
assert set(OF_AREA) == set(Area), "each area is drawn"
