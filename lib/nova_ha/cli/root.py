"""`nova-ha` and the two groups whose commands other parts of the product bring."""

from __future__ import annotations

import logging
import sys

import click

from nova_ha import __version__
from nova_ha.cli.lazy import LazyGroup, Place

CLI = "nova_ha.cli."

PLACES = {
    "status": Place(CLI + "status:status", "Show all nodes, what is done about them, and what waits for you."),
    "explain": Place(CLI + "explain:explain", "Say why a node is, or is not, taken for failed: gate by gate."),
    "plan": Place(CLI + "plan:plan", "Say what a recovery of a node would do now, without doing it."),
    "history": Place(CLI + "history:history", "Show past and open incidents, or the whole story of one node."),
    "approve": Place(CLI + "operate:approve", "Let a closed gate pass, for one incident."),
    "pause": Place(CLI + "operate:pause", "Stop all automatic action."),
    "resume": Place(CLI + "operate:resume", "Go on after a pause."),
    "node": Place(CLI + "node:node", "Register, change and operate compute nodes."),
    "ha-node": Place(CLI + "ha_node:ha_node", "Register HA nodes: they observe, and take over."),
    "config": Place(CLI + "config:config", "Show, change and check the policy."),
    "doctor": Place(CLI + "doctor:doctor", "Try everything that a recovery would need, before it is needed."),
    "metrics": Place(CLI + "metrics:metrics", "Print figures for Prometheus."),
    "check": Place(CLI + "root:check", "Run what Consul's agents run as checks."),
    "handle": Place(CLI + "root:handle", "Run what Consul's watches run as handlers."),
    "sandbox": Place(CLI + "sandbox:sandbox", "Rehearse on this machine, with a cloud on loopback addresses."),
    "completion": Place(CLI + "completion:completion", "Print the completion script of a shell."),
}

CHECKS = {
    "ssh": Place("nova_ha.checks.ssh:command", "Log in to compute nodes by SSH."),
    "bmc": Place("nova_ha.checks.bmc:command", "Read the power of compute nodes from their BMCs."),
    "cluster": Place("nova_ha.checks.cluster:command", "Say what waits, and start what is due."),
    "runtime": Place("nova_ha.checks.runtime:command", "Keep the runtime_config of this compute node current."),
}

HANDLERS = {
    "failures": Place("nova_ha.handlers.failures:command", "Count failed intervals, and set status/failed."),
    "recovery": Place("nova_ha.handlers.recovery:command", "Recover failed nodes."),
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
    from nova_ha.handlers.journal import OneLine

    log = logging.StreamHandler(sys.stderr)
    log.setFormatter(OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[log])
    logging.getLogger("nova_ha").setLevel([logging.WARNING, logging.INFO, logging.DEBUG][min(verbose, 2)])


@click.group("check", cls=LazyGroup, places=CHECKS)
def check() -> None:
    """Run a check by hand, on the nodes that you name or on all.

    \b
    Exit codes as Consul and Nagios read them: 0 passing, 1 warning or cannot tell, 2 critical.
      nova-ha check ssh compute-7
    """


@click.group("handle", cls=LazyGroup, places=HANDLERS)
def handle() -> None:
    """Run a handler by hand, in the foreground, as the node of the local Consul agent.

    \b
      nova-ha handle recovery --node compute-7 --dry-run
    """
