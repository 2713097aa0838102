"""BMCs that are away, slow, wrong, or not to be believed."""

from __future__ import annotations

from collections.abc import Callable

from kit.machines.bmc import Fault as BMCFault

from soak.plan import Strike
from soak.site import Site

OTHER_MACHINE = "0f" * 16


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


def swap_bmc(site: Site, strike: Strike) -> bool:
    """Put another machine's BMC in its place."""
    site.swap_bmc(strike.victim, OTHER_MACHINE)
    return True


def mend_bmc(site: Site, strike: Strike) -> None:
    """Let the BMC be as it was."""
    site.mend_bmc(strike.victim)
