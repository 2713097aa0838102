"""Fencing: cut the power, prove that it is off, prove that the host is silent, and write the receipt."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime

from nova_ha.cluster.gate import Cause, Gate
from nova_ha.cluster.identity_gates import bmc_identity, no_identity
from nova_ha.cluster.incident import IncidentState, Receipt, ReceiptMethod
from nova_ha.cluster.permit import lasting
from nova_ha.cluster.reading import SOMEBODY, GateReading
from nova_ha.cluster.together import NOBODY, before_the_fence
from nova_ha.errors import BMCError
from nova_ha.limits import BMC_READING_S
from nova_ha.power import BMC, PowerState
from nova_ha.power.device import FenceDevice
from nova_ha.probe.failing import failing_now
from nova_ha.probe.sighting import SightCause
from nova_ha.recovery.cutting import BETWEEN_READINGS_S, Cutting, refuse_if_it_answers
from nova_ha.recovery.driver import Driver
from nova_ha.recovery.driver_clients import Answer, Halted, NeedsOperator, Sight
from nova_ha.recovery.findings import SIGHT_LIMIT_S
from nova_ha.recovery.force_down import current_service
from nova_ha.recovery.gates import max_failed, word_said
from nova_ha.recovery.power_watch import PowerWatch
from nova_ha.recovery.reports import reports_have_ended_s
from nova_ha.recovery.silence import needed_s
from nova_ha.recovery.transitions import Event

log = logging.getLogger(__name__)

MOST_BETWEEN_ATTEMPTS_S = 30.0
SIGHT_TRIES = 5


def fence(driver: Driver) -> None:
    """Reach `fenced`, with a receipt. One that is there already is checked against the power as it is now.

    Raises NeedsOperator where the host cannot be proved to be off, or is another one than the BMC's.
    """
    incident, state = driver.incident, driver.incident.state
    if incident.receipt is None and not incident.before_the_fence:
        raise NeedsOperator(Gate.UNREADABLE, f"its incident is {state.value} without a receipt of its fence")
    receipt = incident.proof(driver.latest_now)
    if incident.receipt is not None and receipt is None:
        _renew(driver, incident.receipt)
    elif receipt is not None:
        if receipt.method is ReceiptMethod.BMC and Gate.POWER_UNKNOWN in incident.asked and driver.node.bmc:
            # It may have been on meanwhile, and be off in a power cycle now.
            _prove_again(driver, "its power could not be read for a while")
        PowerWatch(driver).still_off()
    if not incident.before_the_fence:
        return
    if receipt is None:
        _refuse_a_storm(driver)
        receipt = _cut_and_prove(driver)
        seen = _prove_silence(driver)
    else:
        _refuse_a_wrong_word(driver, receipt)
        seen = driver.incident.service_seen
    driver.reached(
        Event.RECEIPT_WRITTEN,
        f"fenced: off, by {receipt.method.value} {receipt.by} ({receipt.identity or receipt.why})",
        replace(driver.incident, receipt=receipt, service_seen=seen),
    )


def _refuse_a_storm(driver: Driver) -> None:
    """Raise NeedsOperator where too many were claimed while this one was; asked before its first command only."""
    incident = driver.incident
    if incident.state is IncidentState.CLAIMED and not driver.lets_pass(Gate.MAX_FAILED):
        view = driver.view_now()
        failing = NOBODY
        if incident.asked or driver.node.counted_anew:
            failing = failing_now(view, driver.all_votes_now(view), driver.earliest_now, driver.node.name)
        counted = before_the_fence(view, driver.earliest_now, driver.node.name, driver.latest_now, failing)
        found = max_failed(counted, driver.node)
        if found.shut:
            raise NeedsOperator.by(found)


def _renew(driver: Driver, expired: Receipt) -> None:
    """Put the BMC's proof in the place of an operator's word that has expired. Raises NeedsOperator.

    Before anything was done on that word, the host is fenced as any other. Later it is cut only while it reads off:
    where it is on again, its servers may run twice if anything is cut or sent now.
    """
    words = f"{expired.by}'s word that it is off has expired"
    if driver.node.bmc is None:
        raise NeedsOperator(Gate.RECEIPT_EXPIRED, words)
    if driver.incident.before_the_fence:
        # It held at the last look, which therefore asked neither for a quorum nor for the storm limit.
        driver.note(f"{words}: it is looked at anew", replace(driver.incident, receipt=None))
        raise Halted(f"{driver.node.name}: {words} since the last look")
    _prove_again(driver, words)


def _prove_again(driver: Driver, words: str) -> None:
    """Put a new proof of the BMC in the place of the receipt; nothing is cut that does not read off."""
    proof = _read_anew(driver, words)
    driver.note(f"{words}; its BMC reads off", replace(driver.incident, receipt=proof))


def _read_anew(driver: Driver, words: str) -> Receipt:
    device = _device(driver)
    cutting = Cutting(driver, device, certain=False, keeps_on=True)
    try:
        identity = _compared(driver, driver.clients.bmc(device))
        what = f"power off to the BMC at {device.address}, which reads off"
        return cutting.prove(what, identity)
    except NeedsOperator as refusal:
        on = refusal.closed.gate is Gate.NOT_OFF and cutting.seen.reads is PowerState.ON
        gate = Gate.POWERED_ON if on else refusal.closed.gate
        raise NeedsOperator(gate, f"{words}, and {refusal.closed.why}", refusal.closed.cause) from refusal


def _cut_and_prove(driver: Driver) -> Receipt:
    # What a driver before this one has sent, nobody here knows.
    cutting = Cutting(driver, _device(driver), certain=driver.incident.state is IncidentState.CLAIMED)
    policy, trouble = driver.policy, NeedsOperator(Gate.BMC_UNREACHABLE, "never tried")
    for attempt in range(1, policy.fence_attempts + 1):
        if attempt > 1:
            _sleep(driver, min(BETWEEN_READINGS_S * 2 ** (attempt - 2), MOST_BETWEEN_ATTEMPTS_S))
        try:
            if attempt > 1:
                refuse_if_it_answers(driver)
            return _attempt(driver, cutting, attempt)
        except NeedsOperator as refusal:
            trouble = refusal
            if refusal.closed.gate not in (Gate.BMC_UNREACHABLE, Gate.NOT_OFF):
                break
            driver.note(f"fence attempt {attempt} of {policy.fence_attempts} failed: {refusal.closed.why}")
    raise trouble


def _attempt(driver: Driver, cutting: Cutting, attempt: int) -> Receipt:
    identity = _compared(driver, driver.clients.bmc(cutting.device))
    what = f"power off to the BMC at {_address(driver)}, attempt {attempt}"
    driver.reached(Event.POWER_OFF_INTENDED, f"sending {what}")
    return cutting.prove(what, identity)


def _compared(driver: Driver, bmc: BMC) -> str:
    """Return what the receipt says of the BMC's identity.

    Raises NeedsOperator where it is another system's, and where nobody can tell and no operator answers for it.
    """
    node = driver.node
    try:
        found = bmc.identity(BMC_READING_S)
    except BMCError as error:
        raise NeedsOperator(Gate.BMC_UNREACHABLE, str(error)) from error
    another, missing = bmc_identity(node, found, driver.view_now().compute_nodes), no_identity(node, found)
    if another.shut:
        raise NeedsOperator.by(another)
    if node.identity_word:
        return f"identity {found or 'unknown'}, not compared, by {node.identity_word}"
    if not missing.shut:
        return f"identity {found} as recorded"
    permit = lasting(driver.incident.permits, Gate.NO_IDENTITY, driver.latest_now)
    if permit is None:
        raise NeedsOperator.by(missing)
    return f"identity {found or 'unknown'}, not compared: {permit.by or SOMEBODY} lets that pass"


def _prove_silence(driver: Driver) -> datetime | None:
    """Return nova-compute's last report.

    Raises NeedsOperator where the host shows a sign of life still: then the BMC is another machine's.
    """
    sight = _sight(driver)
    if sight.alive:
        raise NeedsOperator(
            Gate.NOT_SILENT,
            f"the BMC at {_address(driver)} reads off, but {driver.node.name} {sight.in_words()}: "
            "the BMC lies, or is another machine's",
        )
    if sight.answer is Answer.UNKNOWN:
        why = f"nobody can tell whether {driver.node.name} answers SSH ({sight.why})"
        raise NeedsOperator(Gate.NOT_SILENT, why, Cause.CANNOT_TELL)
    _refuse_a_refusal(driver, sight, "its BMC reads off")
    before, last = driver.incident.service_seen, _last_report(driver)
    if driver.was_let_pass(Gate.NOVA_REPORTS):
        # The last look did not wait for its silence, though the approval may have ended by now.
        reported, interval_s = last != before, driver.report_interval_s()
        silent_s = reports_have_ended_s(interval_s) if reported else needed_s(interval_s)
        until = "nova-compute reported until the power was cut; now" if reported else "nova-compute may report still:"
        driver.note(f"{until} it must not for {silent_s:g} s")
        _sleep(driver, silent_s)
        before, last = last, _last_report(driver)
    if last != before:
        raise NeedsOperator(
            Gate.NOT_SILENT,
            f"the BMC at {_address(driver)} reads off, but nova-compute on {driver.incident.nova_host} "
            "reported after the last look: the BMC lies, or is another machine's",
        )
    return last


def _refuse_a_wrong_word(driver: Driver, word: Receipt) -> None:
    """Return where the host is as silent as one that is off, as an operator says that it is.

    Raises NeedsOperator where it shows a sign of life, and Halted where nobody here can tell: it is looked at anew.
    """
    sight, node, said = _sight(driver), driver.node.name, word_said(word)
    if sight.alive and not (sight.answer is Answer.ANSWERS and driver.lets_pass(Gate.ANSWERS)):
        raise NeedsOperator(
            Gate.NOT_SILENT, f"{said}, but {node} {sight.in_words()} as seen from {driver.clients.me}"
        )
    if sight.answer is Answer.UNKNOWN and not driver.lets_pass(Gate.ANSWERS):
        raise Halted(f"{node}: {said}, and nobody here can tell whether it answers SSH ({sight.why})")
    _refuse_a_refusal(driver, sight, said)


def _refuse_a_refusal(driver: Driver, sight: Sight, said: str) -> None:
    """Raise NeedsOperator where its SSH port refuses the connection, and no operator says that another does that."""
    node, me = driver.node.name, driver.clients.me
    if sight.cause is SightCause.REFUSED and not driver.lets_pass(Gate.PORT_REFUSES):
        raise NeedsOperator.by(GateReading.of(Gate.PORT_REFUSES, False, said=said, node=node, me=me))


def _sight(driver: Driver) -> Sight:
    """Return what is seen of its SSH port, looked at a few times where this machine cannot tell."""
    for _ in range(SIGHT_TRIES):
        sight = driver.clients.sight(driver.node, SIGHT_LIMIT_S)
        if sight.answer is not Answer.UNKNOWN:
            break
        _sleep(driver, BETWEEN_READINGS_S)
    return sight


def _sleep(driver: Driver, seconds: float) -> None:
    until = driver.clients.clock.monotonic() + seconds
    while driver.clients.clock.monotonic() < until:
        driver.stop_if_asked()
        driver.clients.clock.sleep(BETWEEN_READINGS_S)


def _last_report(driver: Driver) -> datetime | None:
    """Return the time of nova-compute's last report, None where it never reported. Raises NeedsOperator."""
    return driver.patiently(lambda: current_service(driver), "asking Nova for its last report").updated_at


def _device(driver: Driver) -> FenceDevice:
    """Return what the node is fenced with; the node must have it."""
    if driver.node.bmc is None:
        raise ValueError(f"{driver.node.name} has no BMC keys")
    return driver.node.bmc


def _address(driver: Driver) -> str:
    bmc = driver.node.bmc
    return bmc.address if bmc else "(no BMC keys)"
