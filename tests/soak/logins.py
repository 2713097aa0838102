"""Hosts that are well, and report to Nova, and whose logins fail."""

from __future__ import annotations

from collections.abc import Callable

from nova_ha.cluster.schema import compute_node

from soak.plan import Strike
from soak.site import OPENED_AT_LOGIN, Site


def lose_sshd(site: Site, strike: Strike) -> bool:
    """Let its sshd die."""
    site.machine(strike.victim).lose_sshd()
    return True


def turn_hostile(how: str) -> Callable[[Site, Strike], bool]:
    """Put a server in the place of its sshd that means no good."""

    def act(site: Site, strike: Strike) -> bool:
        site.machine(strike.victim).lose_sshd(hostile=how)
        return True

    return act


def return_sshd(site: Site, strike: Strike) -> None:
    """Start its sshd again."""
    site.machine(strike.victim).return_sshd()


def hang(site: Site, strike: Strike) -> bool:
    """Let its logins hang, after the banner, until its MaxStartups is full."""
    site.machine(strike.victim).hang_logins(OPENED_AT_LOGIN[strike.variant % len(OPENED_AT_LOGIN)])
    return True


def go_on(site: Site, strike: Strike) -> None:
    """Let them go on."""
    site.machine(strike.victim).mend_logins()


def change_password(site: Site, strike: Strike) -> bool:
    """Change the password of the test account, and tell nobody."""
    return site.overwrite(_password(strike), b"no longer the one")


def write_again(site: Site, strike: Strike) -> None:
    """Write down what it is."""
    site.write_again(_password(strike))


def _password(strike: Strike) -> str:
    return compute_node(strike.victim, "config/ssh/password")
