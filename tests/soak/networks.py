"""Ways between machines that are lost, silently, until they are mended."""

from __future__ import annotations

from collections.abc import Sequence

from kit.clouds.divided import NOVA, bmc_of

from soak.plan import CONSUL_SERVERS, HA_NODES, HOSTS, Strike
from soak.site import Site


def cut_off(site: Site, strike: Strike) -> bool:
    """Cut an HA node off from everything."""
    if not (name := site.ha_node(strike)):
        return False
    site.cloud.isolate(name)
    return True


def blind(site: Site, strike: Strike) -> bool:
    """Let an HA node lose all hosts and their BMCs, but neither Consul nor Nova."""
    return _lost(site, strike, [*HOSTS, *map(bmc_of, HOSTS)])


def without_nova(site: Site, strike: Strike) -> bool:
    """Let an HA node lose Nova."""
    return _lost(site, strike, [NOVA])


def unseen(site: Site, strike: Strike) -> bool:
    """Let all observers lose a host that is well, and that still reports to Nova."""
    site.cloud.cut(HA_NODES, [strike.victim])
    return True


def minority(site: Site, strike: Strike) -> bool:
    """Leave one server, be it the leader or not, alone with one HA node."""
    few = _few(strike)
    site.cloud.cut(few, _others_than(few))
    return True


def two_sides(site: Site, strike: Strike) -> str:
    """Return the sides of `minority`."""
    return f"{' '.join(_few(strike))} | {' '.join(_others_than(_few(strike)))}"


def alone(site: Site, strike: Strike) -> str:
    """Return the sides of `cut_off`."""
    name = site.ha_node(strike)
    return f"{name} | {' '.join(_others_than([name]))}"


def bridge(site: Site, strike: Strike) -> bool:
    """Cut two servers apart that both see the third: each sees a majority."""
    middle = _pick(strike, CONSUL_SERVERS)
    one, other = (name for name in CONSUL_SERVERS if name != middle)
    site.cloud.cut([one], [other])
    return True


def one_way(site: Site, strike: Strike) -> bool:
    """Lose all that the leader sends to the other servers, while it hears them."""
    leader = site.cloud.consul.leader.name
    site.cloud.cut([leader], [name for name in CONSUL_SERVERS if name != leader], one_way=True)
    return True


def mend(site: Site, strike: Strike) -> None:
    """Mend all ways."""
    site.cloud.mend()


def _lost(site: Site, strike: Strike, names: Sequence[str]) -> bool:
    if not (ha_node := site.ha_node(strike)):
        return False
    site.cloud.cut([ha_node], names)
    return True


def _few(strike: Strike) -> Sequence[str]:
    return [_pick(strike, CONSUL_SERVERS), _pick(strike, HA_NODES)]


def _others_than(some: Sequence[str]) -> Sequence[str]:
    return [name for name in (*CONSUL_SERVERS, *HA_NODES) if name not in some]


def _pick(strike: Strike, names: Sequence[str]) -> str:
    return names[strike.variant // (1 if names is HA_NODES else len(HA_NODES)) % len(names)]
