"""`nova-ha`: where each of its commands is, and what holds for all of them."""

from __future__ import annotations

import logging
import sys

import click

from nova_ha import __version__
from nova_ha.cli.lazy import COMMANDS, LazyGroup, Place

PLACES = {
    "status": Place(COMMANDS + "status:status", "Show all nodes, what is done about them, and what waits for you."),
    "explain": Place(COMMANDS + "explain:explain", "Say why a node is, or is not, taken for failed: gate by gate."),
    "plan": Place(COMMANDS + "plan:plan", "Say what a recovery of a node would do now, without doing it."),
    "history": Place(COMMANDS + "history:history", "Show past and open incidents, or the whole story of one node."),
    "approve": Place(COMMANDS + "approve:approve", "Let a closed gate pass, for one incident."),
    "pause": Place(COMMANDS + "pause:pause", "Stop all automatic action."),
    "resume": Place(COMMANDS + "resume:resume", "Go on after a pause."),
    "node": Place(COMMANDS + "node:node", "Register, change and operate compute nodes."),
    "ha-node": Place(COMMANDS + "ha_node:ha_node", "Register HA nodes: they observe, and take over."),
    "config": Place(COMMANDS + "config:config", "Show, change and check the policy."),
    "doctor": Place(COMMANDS + "doctor:doctor", "Try everything that a recovery would need, before it is needed."),
    "metrics": Place(COMMANDS + "metrics:metrics", "Print figures for Prometheus."),
    "check": Place(COMMANDS + "check:check", "Run what Consul's agents run as checks."),
    "handle": Place(COMMANDS + "handle:handle", "Run what Consul's watches run as handlers."),
    "sandbox": Place(COMMANDS + "sandbox:sandbox", "Rehearse on this machine, with a cloud on loopback addresses."),
    "completion": Place(COMMANDS + "completion:completion", "Print the completion script of a shell."),
}


CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.group(cls=LazyGroup, places=PLACES, context_settings=CONTEXT)
@click.version_option(__version__, prog_name="nova-ha")
@click.option("-v", "--verbose", count=True, help="Log decisions to standard error; twice: everything.")
def root(verbose: int) -> None:
    """High availability for OpenStack Nova compute hosts, driven by Consul.

    Consul is reached as its own tools reach it: CONSUL_HTTP_ADDR, CONSUL_HTTP_TOKEN(_FILE), CONSUL_CACERT...;
    Nova as its own clients do: OS_CLOUD, or the OS_* variables.

    \b
    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused by a gate, 75 try again.
    (Checks: 0, 1, 2 as Consul reads them.)

    \b
    Begin with:
      nova-ha ha-node add ha-1 && nova-ha node add compute-1 --bmc-ip 10.0.0.7 ...
      nova-ha doctor && nova-ha status --watch
    """
    from nova_ha.log import OneLine

    log = logging.StreamHandler(sys.stderr)
    log.setFormatter(OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[log])
    logging.getLogger("nova_ha").setLevel([logging.WARNING, logging.INFO, logging.DEBUG][min(verbose, 2)])
