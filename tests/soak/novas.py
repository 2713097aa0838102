"""Nova's errors, each a few times, at the requests that a recovery needs."""

from __future__ import annotations

from collections.abc import Callable

from soak.plan import Strike
from soak.site import Site

READS = ("os-services", "servers/detail", "os-migrations", "GET")
WRITES = ("PUT", "evacuate", "POST")
# Longer than the product waits for any answer of Nova's.
TOO_LONG_S = 10.0


def _pick(strike: Strike, matches: tuple[str, ...]) -> tuple[str, int]:
    """Return what the requests match, and how often it strikes."""
    return matches[strike.variant % len(matches)], 1 + strike.variant // len(matches) % 3


def refuse(status: int) -> Callable[[Site, Strike], bool]:
    """Let some requests be refused with this status."""

    def act(site: Site, strike: Strike) -> bool:
        match, times = _pick(strike, READS + WRITES)
        site.cloud.break_nova({"match": match, "status": status, "times": times})
        return True

    return act


def slow_down(site: Site, strike: Strike) -> bool:
    """Let some answers come too late; what was asked for is done."""
    match, times = _pick(strike, READS + WRITES)
    site.cloud.break_nova({"match": match, "delay_s": TOO_LONG_S, "times": min(times, 2)})
    return True


def lose_answers(site: Site, strike: Strike) -> bool:
    """Let some writes be done, and their answers be lost."""
    match, times = _pick(strike, WRITES)
    site.cloud.break_nova({"match": match, "lost": True, "acts": True, "times": times})
    return True


def forget_tokens(site: Site, strike: Strike) -> bool:
    """Let Keystone forget all tokens."""
    site.cloud.forget_tokens()
    return True


def take_bus(site: Site, strike: Strike) -> bool:
    """Take Nova's message bus away."""
    site.cloud.openstack.run_bus(False)
    return True


def return_bus(site: Site, strike: Strike) -> None:
    """Give it back; what waited in it comes at once, so that no host looks silent beside others that report."""
    site.cloud.openstack.run_bus(True)


def fail_spawn(site: Site, strike: Strike) -> bool:
    """For one of the host's servers wherever it goes, or for all of them on the HA node that recovers it."""
    servers = site.cloud.servers_of(site.machine(strike.victim))
    choices = [*servers, *site.cloud.ha_nodes]
    site.cloud.fail_spawn(choices[strike.variant % len(choices)])
    return True


def already_there(site: Site, strike: Strike) -> bool:
    """A server that fits on no host is there since the begin of the round."""
    return True
