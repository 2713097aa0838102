"""Whether the nova-compute of a fenced host keeps silent: by the stamp of its last report, as Nova has it."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime

from nova_ha.cluster.gate import Gate
from nova_ha.compute import ComputeService
from nova_ha.recovery.driver import Driver
from nova_ha.recovery.driver_clients import NeedsOperator
from nova_ha.recovery.silence import needed_s

log = logging.getLogger(__name__)

# Nova itself takes a host for down that has not reported for so long (its default service_down_time).
REPORTS_HAVE_ENDED_S = 60.0


def reports_have_ended_s(report_interval_s: float) -> float:
    """Return after how long without another report of a fenced host there will be none."""
    return max(REPORTS_HAVE_ENDED_S, needed_s(report_interval_s))


class Silence:
    """Compares the stamp with the one in the incident, look after look.

    Nova moves it once for whoever gives the service another reason, or for a report that was long on its way; one
    who lives reports every few seconds.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._moved: tuple[datetime | None, float] | None = None

    def kept(self, service: ComputeService) -> bool:
        """True where it has not reported. False while nobody can tell: then nothing new may be sent.

        Raises NeedsOperator where it reports.
        """
        stamp, now = service.updated_at, self._driver.clients.clock.monotonic()
        if stamp == self._driver.incident.service_seen:
            return True
        if self._moved is None:
            log.warning("host=%s Nova's stamp of its service has moved: a report?", self._driver.node.name)
            self._moved = stamp, now
        if stamp != self._moved[0]:
            reported = f"nova-compute on {service.host} has reported since the fence"
            raise NeedsOperator(Gate.NOT_SILENT, f"{reported}: the host lives, whatever its BMC reads")
        patience_s = reports_have_ended_s(self._driver.report_interval_s())
        if now - self._moved[1] < patience_s:
            return False
        self._moved = None
        line = f"Nova's stamp of its service has moved once, and not again for {patience_s:g} s: no report"
        self._driver.note(line, replace(self._driver.incident, service_seen=stamp))
        return True
