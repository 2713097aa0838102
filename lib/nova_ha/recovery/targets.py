"""Where the servers of a failed host may go."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from nova_ha.cluster.schema import RESERVE_REASON
from nova_ha.compute import ServiceReading

# The scheduler's choice.
ANY_HOST = ""


def targets(
    kinds: Sequence[str], services: Collection[ServiceReading], *, failed_host: str | None, own_host: str | None
) -> Sequence[str]:
    """Return Nova host names, in the policy's order of `kinds`, with "" for the scheduler's choice; pure.

    This HA node's own host is one of them also where it is our reserve, and has to be enabled first.
    """
    usable = []
    for kind in kinds:
        if kind == "ha-node" and own_host and _takes_servers(services, own_host):
            usable.append(own_host)
        others = (s.service for s in services if s.service.host != failed_host)
        if kind == "scheduler" and any(service.up and service.enabled for service in others):
            usable.append(ANY_HOST)
    return usable


def _takes_servers(services: Collection[ServiceReading], host: str) -> bool:
    service = next((s.service for s in services if s.service.host == host), None)
    if service is None or not service.up:
        return False
    return service.enabled or service.disabled_reason == RESERVE_REASON
