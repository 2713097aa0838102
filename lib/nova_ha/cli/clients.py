"""What the commands work with: made when first needed, replaced as a whole in tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from nova_ha.clock import Clock, SystemClock

if TYPE_CHECKING:
    from nova_ha.compute import Compute
    from nova_ha.consul.store import Store
    from nova_ha.recovery.driver_clients import DriverClients


def _store() -> Store:
    from nova_ha.consul.store import connect

    return connect()


def _compute() -> Compute:
    from nova_ha.compute.client import connect

    return connect()


def _recovery() -> DriverClients:
    from nova_ha.recovery.this_agent import clients_of_this_agent

    return clients_of_this_agent()


@dataclass(frozen=True)
class Clients:
    """The clients of a command, each made by its call, which raises HAError.

    `recovery()` is what a driver works with as the node of the local agent.
    """

    store: Callable[[], Store] = _store
    compute: Callable[[], Compute] = _compute
    recovery: Callable[[], DriverClients] = _recovery
    clock: Clock = field(default_factory=SystemClock)


pass_clients = click.make_pass_decorator(Clients, ensure=True)
