"""Drivers, look-outs, HA nodes and Consul's servers that are killed, or stand still."""

from __future__ import annotations

import signal

from soak.plan import Strike
from soak.site import Site


def kill_driver(site: Site, strike: Strike) -> bool:
    """Kill all recoveries on the HA node."""
    name = site.ha_node(strike)
    return bool(name) and site.cloud.signal_drivers(name, signal.SIGKILL) > 0


def stop_driver(site: Site, strike: Strike) -> bool:
    """Stop all recoveries on the HA node in their tracks."""
    name = site.ha_node(strike)
    return bool(name) and site.cloud.signal_drivers(name, signal.SIGSTOP) > 0


def continue_driver(site: Site, strike: Strike) -> None:
    """Let them go on."""
    site.cloud.signal_drivers(site.ha_node(strike), signal.SIGCONT)


def kill_look_out(site: Site, strike: Strike) -> bool:
    """Kill the HA node's look-out."""
    return site.cloud.signal_look_outs(strike.target, signal.SIGKILL) > 0


def stop_look_out(site: Site, strike: Strike) -> bool:
    """Stop it in its tracks."""
    return site.cloud.signal_look_outs(strike.target, signal.SIGSTOP) > 0


def continue_look_out(site: Site, strike: Strike) -> None:
    """Let it go on."""
    site.cloud.signal_look_outs(strike.target, signal.SIGCONT)


def kill_agent(site: Site, strike: Strike) -> bool:
    """Kill the HA node's agent; its recoveries live on."""
    name = site.ha_node(strike)
    if not name or not site.cloud.agent(name).running:
        return False
    site.cloud.agent(name).kill()
    return True


def kill_ha_node(site: Site, strike: Strike) -> bool:
    """Cut the power of an HA node: agent, recoveries, nova-compute and guests."""
    name = site.ha_node(strike)
    if not name or not kill_agent(site, strike):
        return False
    site.cloud.signal_drivers(name, signal.SIGKILL)
    site.cloud.power_of_nova_host(name, on=False)
    site.dark_ha_nodes.add(name)
    return True


def light(site: Site, strike: Strike) -> None:
    """Give it all that back."""
    site.light(site.ha_node(strike))


def kill_leader(site: Site, strike: Strike) -> bool:
    """Kill Consul's leader."""
    site.cloud.consul.leader.kill()
    return True


def suspend_consul(site: Site, strike: Strike) -> bool:
    """Suspend all of Consul's servers."""
    for server in site.cloud.consul.servers:
        server.suspend()
    return True


def mend_consul(site: Site, strike: Strike) -> None:
    """Let them go on, or start them again."""
    for server in site.cloud.consul.servers:
        server.resume() if server.running else server.start()
