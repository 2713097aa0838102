"""Tell Nova that the host is down: force the service down first, then disable it, and read both back."""

from __future__ import annotations

import logging
from dataclasses import replace

from nova_ha.clock import to_stamp
from nova_ha.cluster.gate import Cause, Gate
from nova_ha.cluster.incident import IncidentState, ReceiptMethod
from nova_ha.cluster.reading import GateReading
from nova_ha.cluster.schema import OUR_REASON
from nova_ha.compute import ComputeService, ServiceReading
from nova_ha.recovery.driver import Driver
from nova_ha.recovery.driver_clients import NeedsOperator
from nova_ha.recovery.power_watch import PowerWatch
from nova_ha.recovery.reports import Silence
from nova_ha.recovery.transitions import Event

log = logging.getLogger(__name__)

BETWEEN_LOOKS_S = 2.0

# What Nova takes.
LONGEST_REASON = 255
FENCED_REASON = f"{OUR_REASON} failed, fenced"


def force_down(driver: Driver) -> None:
    """Reach `forced-down`, with nova-compute's last report as it stands then. Idempotent.

    Raises NeedsOperator where Nova keeps failing, or does not take the service for down.
    """
    if driver.incident.state is not IncidentState.FENCED:
        return
    # Also where a driver before this one forced it down: it may have died, or stood still, for long since. Only once:
    # Nova stamps the service at our own changes too, which may come late.
    look = "asking Nova for its last report"
    driver.patiently(lambda: _refuse_if_it_reported(driver, current_service(driver)), look)
    service = driver.patiently(lambda: _set_and_read_back(driver), f"forcing {driver.incident.nova_host} down")
    # Nova stamps the service anew when it is disabled: what moves the stamp from now on is a report.
    silent = replace(driver.incident, service_seen=service.updated_at)
    driver.reached(Event.FORCED_DOWN_READ_BACK, "forced down and disabled in Nova, read back", silent)


def _set_and_read_back(driver: Driver) -> ComputeService:
    timeout = driver.compute.call_timeout_s
    service = current_service(driver)
    if not service.forced_down:
        _refuse_if_it_reported(driver, service)
        driver.before_effect(timeout)
        driver.compute.force_down(service.id, True)
    # Where an operator disabled it before us, with a reason of their own, that reason stays. Nova's own would not
    # keep the host disabled: it takes that back by itself as soon as the host returns.
    if service.enabled or service.disabled_by_nova or service.disabled_reason.startswith(OUR_REASON):
        driver.before_effect(timeout)
        driver.compute.disable(service.id, disabled_reason(driver))
    service = current_service(driver)
    if service.up or not service.forced_down or service.enabled:
        raise NeedsOperator(
            Gate.SERVICE_UP, f"Nova says that nova-compute on {service.host} is up or enabled after force-down"
        )
    return service


def _refuse_if_it_reported(driver: Driver, service: ComputeService) -> None:
    """Raise NeedsOperator where it has reported since its BMC proved it off: Nova may have been away for long."""
    receipt = driver.incident.receipt
    if receipt and receipt.method is ReceiptMethod.BMC and service.updated_at != driver.incident.service_seen:
        PowerWatch(driver).still_off()
        silence = Silence(driver)
        while not silence.kept(service):
            driver.stop_if_asked()
            driver.clients.clock.sleep(BETWEEN_LOOKS_S)
            service = current_service(driver)


def disabled_reason(driver: Driver) -> str:
    """Return the reason that Nova shows: ours, with the incident and who fenced it."""
    incident = f", incident {to_stamp(driver.incident.started)}"
    who = f"{FENCED_REASON} by {driver.clients.me}"
    return who[: LONGEST_REASON - len(incident)] + incident


def current_service(driver: Driver) -> ComputeService:
    """Return the failed host's nova-compute as Nova has it now. Raises NovaError, NeedsOperator."""
    reading = driver.compute.service(driver.incident.nova_host)
    if reading is None:
        host = driver.incident.nova_host
        raise NeedsOperator.by(GateReading.of(Gate.RUNTIME_CONFIG, False, Cause.UNKNOWN_TO_NOVA, nova_host=host))
    return reading.service


def fenced_by_us(reading: ServiceReading | None) -> bool:
    """True where Nova's record says that the host was fenced by this product, and has not been returned since."""
    if reading is None or reading.service.up or not reading.service.forced_down:
        return False
    return reading.service.disabled_reason.startswith(FENCED_REASON)
