"""`nova-ha check`: what Consul's agents run, by hand."""

from __future__ import annotations

import click

from nova_ha.cli.lazy import LazyGroup, Place

CHECKS = {
    "ssh": Place("nova_ha.checks.ssh:command", "Log in to compute nodes by SSH."),
    "bmc": Place("nova_ha.checks.bmc:command", "Read the power of compute nodes from their BMCs."),
    "cluster": Place("nova_ha.checks.cluster:command", "Say what waits, and start what is due."),
    "runtime": Place("nova_ha.checks.runtime:command", "Keep the runtime_config of this compute node current."),
}


@click.group("check", cls=LazyGroup, places=CHECKS)
def check() -> None:
    """Run a check by hand, on the nodes that you name or on all.

    \b
    Exit codes as Consul and Nagios read them: 0 passing, 1 warning or cannot tell, 2 critical.
      nova-ha check ssh compute-7
    """
