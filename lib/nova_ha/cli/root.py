"""`nova-ha`: where each of its commands is, and what holds for all of them."""

from __future__ import annotations

import logging
import sys

import click

from nova_ha import __version__
from nova_ha.cli.commands import PLACES
from nova_ha.cli.lazy import LazyGroup

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
