"""Keeping an HA node free: its nova-compute is disabled with a reason that the recovery knows."""

from __future__ import annotations

from nova_ha.cluster.registry import existing_ha_node
from nova_ha.cluster.schema import RESERVE_REASON
from nova_ha.cluster.view import read_view
from nova_ha.compute import Compute
from nova_ha.consul.store import Store
from nova_ha.errors import NoSuchHost, NovaError, Refused


def reserve_host(store: Store, compute: Compute, name: str) -> str:
    """Disable the HA node's nova-compute, read it back, and say so.

    Raises NoSuchHost, NovaError, and Refused where somebody else disabled it: that reason is not ours to overwrite.
    """
    host = existing_ha_node(read_view(store), name).nova_host
    reading = compute.service(host)
    if reading is None:
        raise NoSuchHost(
            f"Nova knows no nova-compute on {host!r}", remedy=f"`nova-ha ha-node add {name} --nova-host`"
        )
    service = reading.service
    if not service.enabled and service.disabled_reason == RESERVE_REASON:
        return f"{name} is reserved already"
    if not service.enabled:
        raise Refused(
            f"nova-compute on {host} is disabled already ({service.disabled_reason or 'no reason'})",
            remedy=f"`openstack compute service set --enable {host} nova-compute`, then again",
        )
    compute.disable(service.id, RESERVE_REASON)
    after = compute.service(host)
    if after is None or after.service.enabled:
        raise NovaError(f"nova-compute on {host} is still enabled after it was disabled")
    return f"{name} is reserved: nova-compute on {host} is disabled, a recovery enables it"
