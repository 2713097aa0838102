"""Compute hosts that fail, and come back."""

from __future__ import annotations

from soak.plan import HOSTS, Strike
from soak.site import Site


def hang(site: Site, strike: Strike) -> bool:
    """Let the host hang."""
    if not site.lives(strike.victim):
        return False
    site.hang(strike.victim)
    return True


def hang_over_disk(site: Site, strike: Strike) -> bool:
    """Let the host hang over its disk: its sshd greets, and its own logins fill it up."""
    if not site.lives(strike.victim):
        return False
    site.hang_over_disk(strike.victim)
    return True


def hang_all(site: Site, strike: Strike) -> bool:
    """Let all hosts hang."""
    site.hang(*HOSTS)
    return True


def darken(site: Site, strike: Strike) -> bool:
    """Cut its power."""
    site.darken(strike.victim)
    return True


def darken_with_bmc(site: Site, strike: Strike) -> bool:
    """Cut its power, and that of its BMC."""
    site.darken(strike.victim)
    site.take_bmc(strike.victim)
    return True


def revive(site: Site, strike: Strike) -> bool:
    """Let it come back, however it failed."""
    if site.lives(strike.victim):
        return False
    site.revive(strike.victim)
    return True
