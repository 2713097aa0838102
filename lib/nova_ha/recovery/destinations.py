"""Whether a host that servers were on their way to is proved off now: only then does nobody finish them there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from nova_ha.cluster.identity_gates import bmc_identity, no_identity
from nova_ha.cluster.incident import Incident, ReceiptMethod
from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.view import ClusterView
from nova_ha.compute import ServiceReading
from nova_ha.errors import BMCError
from nova_ha.limits import BMC_READING_S
from nova_ha.power import PowerState
from nova_ha.recovery.driver import Driver
from nova_ha.recovery.force_down import fenced_by_us
from nova_ha.recovery.silence import needed_s

# A proof of off serves for so long, and after one that failed the next is tried so much later: a BMC that is away
# must not slow down what is done for the other servers.
PROVED_FOR_S = 3.0
NEXT_TRY_S = 15.0


@dataclass(frozen=True)
class _Looked:
    off: bool
    begun: float


class Destinations:
    """The destinations of one driver's evacuations, as each turn's reading of Nova's services shows them."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._clock = driver.clients.clock
        self._services: Mapping[str, ServiceReading] = {}
        self._still: dict[str, tuple[datetime | None, float]] = {}
        self._looked: dict[str, _Looked] = {}

    def read(self, services: Mapping[str, ServiceReading]) -> None:
        """Take in a reading. How long each service has stood still counts from the first one."""
        now = self._clock.monotonic()
        self._services = services
        for host, reading in services.items():
            stamp = reading.service.updated_at
            if host not in self._still or self._still[host][0] != stamp:
                self._still[host] = stamp, now

    def fenced(self, host: str) -> bool:
        """True while it is proved that the host, which was fenced, is off still.

        Nova's flag says so too long: it stays when the host is powered on again, and takes its messages. So its
        nova-compute must have stood still as well, over this driver's own readings, and its power read off now;
        where that cannot be read, an operator's word that has not expired will do.
        """
        if not fenced_by_us(self._services.get(host)) or self.awaits_silence(host):
            return False
        now = self._clock.monotonic()
        looked = self._looked.get(host)
        if looked is None or now - looked.begun > (PROVED_FOR_S if looked.off else NEXT_TRY_S):
            looked = self._looked[host] = _Looked(self._is_off(host), now)
        return looked.off

    def awaits_silence(self, host: str) -> bool:
        """True where a host that was fenced has not been read for long enough to be silent."""
        needed = needed_s(self._driver.report_interval_s(host))
        flagged = fenced_by_us(self._services.get(host))
        return flagged and self._clock.monotonic() - self._still[host][1] < needed

    def _is_off(self, host: str) -> bool:
        view = self._driver.view_now()
        node = next((node for node in view.compute_nodes.values() if node.nova_host == host), None)
        if node is None:
            return False
        incident = view.incident(node.name) or self._driver.former_incident(node.name)
        state = self._power(node, incident, view)
        receipt = incident.proof(self._driver.latest_now) if incident else None
        vouched = receipt is not None and receipt.method is ReceiptMethod.OPERATOR
        return state is PowerState.OFF or (state is PowerState.UNKNOWN and vouched)

    def _power(self, node: ComputeNode, incident: Incident | None, view: ClusterView) -> PowerState:
        """Return what its BMC reads. OFF by one that is not known to be its own is UNKNOWN, ON counts."""
        if node.bmc is None:
            return PowerState.UNKNOWN
        bmc = self._driver.clients.bmc(node.bmc)
        try:
            shown = bmc.identity(BMC_READING_S)
        except BMCError:
            return PowerState.UNKNOWN
        receipt = incident.receipt if incident else None
        proved_it = receipt is not None and bool(receipt.proof) and receipt.address == node.bmc.recorded
        state = bmc.power(BMC_READING_S).state
        another = bmc_identity(node, shown, view.compute_nodes).shut
        nothing = no_identity(node, shown).shut and not proved_it
        return PowerState.UNKNOWN if state is PowerState.OFF and (another or nothing) else state
