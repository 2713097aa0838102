"""BMCs that are away, slow, wrong, or not to be believed."""

from __future__ import annotations

from collections.abc import Callable

from kit.machines.bmc import Fault as BMCFault
from nova_ha.cluster.schema import compute_node

from soak.plan import HOSTS, Strike
from soak.site import Site

OTHER_MACHINE = "3d9c1e57a04b4f7e9c2286d15be8f0a3"
# What a vendor leaves in place of an identity.
PLACEHOLDER = "03000200040005000006000700080009"


def commands(fault: BMCFault, readings: BMCFault | None = None) -> Callable[[Site, Strike], bool]:
    """Let the BMC's power commands, and its readings, have these faults."""

    def act(site: Site, strike: Strike) -> bool:
        bmc = site.machine(strike.victim).bmc
        bmc.break_commands(fault)
        bmc.break_readings(readings)
        return True

    return act


def lie(site: Site, strike: Strike) -> bool:
    """Let the BMC read off while its host lives."""
    site.let_bmc_wake_its_host(strike.victim)
    site.machine(strike.victim).bmc.break_commands(BMCFault.PRETENDS)
    return True


def take_bmc(site: Site, strike: Strike) -> bool:
    """Take the BMC away."""
    site.take_bmc(strike.victim)
    return True


def swap_bmc(guid: str) -> Callable[[Site, Strike], bool]:
    """Put a BMC that shows this in its place."""

    def act(site: Site, strike: Strike) -> bool:
        site.swap_bmc(strike.victim, guid)
        return True

    return act


def swap_keys(site: Site, strike: Strike) -> bool:
    """Write the addresses of two hosts' BMCs down the wrong way round."""
    ours, theirs = _addresses(site, strike)
    return all(site.overwrite(key, value) for key, value in ((ours[0], theirs[1]), (theirs[0], ours[1])))


def write_keys_again(site: Site, strike: Strike) -> None:
    """Write them as they were."""
    site.write_again(*(key for key, _ in _addresses(site, strike)))


def _addresses(site: Site, strike: Strike) -> tuple[tuple[str, bytes], tuple[str, bytes]]:
    """Return the key and the true value of the host's, and of another one's."""
    others = [name for name in HOSTS if name != strike.host]
    names = (strike.host, others[strike.variant % len(others)])
    ours, theirs = ((compute_node(name, "config/bmc/ip"), site.machine(name).bmc.host.encode()) for name in names)
    return ours, theirs


def mend_bmc(site: Site, strike: Strike) -> None:
    """Let the BMC be as it was."""
    site.mend_bmc(strike.victim)
