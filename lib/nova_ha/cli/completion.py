"""Shell completion: the scripts, and names of nodes from Consul, within a short time-out."""

from __future__ import annotations

import click

TIMEOUT_S = 1.0


def complete_compute_node(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the compute nodes whose names begin so; none where Consul does not answer soon."""
    return _names("ha_cluster/compute_nodes/", incomplete)


def complete_ha_node(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the HA nodes whose names begin so."""
    return _names("ha_cluster/ha_nodes/", incomplete)


def complete_option(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the policy's options whose names begin so."""
    from nova_ha.cluster.policy import OPTIONS

    return [name for name in OPTIONS if name.startswith(incomplete)]


def _names(folder: str, incomplete: str) -> list[str]:
    from nova_ha.consul.store import connect
    from nova_ha.errors import HAError

    try:
        keys = connect(call_timeout_s=TIMEOUT_S).keys(folder + incomplete)
    except HAError:
        return []
    return sorted({key.removeprefix(folder).partition("/")[0] for key in keys} - {""})
