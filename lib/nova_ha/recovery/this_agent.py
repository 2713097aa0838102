"""What a driver works with as the node of the local agent: by the environment, as the agent hands it on."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable, Mapping

from nova_ha.clock import SystemClock
from nova_ha.cluster.node import ComputeNode
from nova_ha.compute import Compute
from nova_ha.consul.store import connect
from nova_ha.power import connect as connect_bmc
from nova_ha.recovery.driver_clients import DriverClients, Sight


def clients_of_this_agent(environ: Mapping[str, str] = os.environ) -> DriverClients:
    """Return the clients that the environment names. Raises ConsulError, ConfigError; Nova is asked later."""
    store = connect(environ)

    @functools.cache
    def compute() -> Compute:
        from nova_ha.compute.client import connect as connect_nova

        return connect_nova(environ)

    return DriverClients(
        store=store,
        clock=SystemClock(),
        me=store.node_name(),
        compute=compute,
        bmc=connect_bmc,
        sight=sight_of,
        stopping=_stopping_on_sigterm(),
    )


def sight_of(node: ComputeNode, limit_s: float) -> Sight:
    """Return whether the node answers SSH from here, graded as the sweep does; a banner within `limit_s`."""
    from nova_ha.probe.ssh_sweep import sight

    return Sight.of(sight(node.ssh, limit_s))


def _stopping_on_sigterm() -> Callable[[], bool]:
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: asked.append(number))
    return lambda: bool(asked)
