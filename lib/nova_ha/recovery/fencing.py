"""Fencing: cut the power, prove that it is off, prove that the host is silent, and write the receipt."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from nova_ha.cluster.gate import Cause, Gate
from nova_ha.cluster.incident import IncidentState, Reading, Receipt, ReceiptMethod
from nova_ha.cluster.reading import GateReading
from nova_ha.cluster.together import before_the_fence
from nova_ha.errors import BMCError, OutcomeUnknown
from nova_ha.limits import BMC_READING_S, CALL_S
from nova_ha.power import BMC, PowerState
from nova_ha.power.device import FenceDevice
from nova_ha.power.identity import Match, compared
from nova_ha.recovery.driver import Driver
from nova_ha.recovery.driver_clients import Answer, Halted, NeedsOperator, Sight
from nova_ha.recovery.findings import SIGHT_LIMIT_S
from nova_ha.recovery.force_down import current_service
from nova_ha.recovery.gates import max_failed
from nova_ha.recovery.power_watch import PowerWatch
from nova_ha.recovery.reports import reports_have_ended_s
from nova_ha.recovery.silence import needed_s
from nova_ha.recovery.states import Event

log = logging.getLogger(__name__)

BETWEEN_READINGS_S = 2.0
MOST_BETWEEN_ATTEMPTS_S = 30.0
SIGHT_TRIES = 5
# From the beginning of the last look to the first command it is some seconds.
LOOK_IS_FRESH_S = 5.0


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
        PowerWatch(driver).still_off()
    if not incident.before_the_fence:
        return
    if receipt is None:
        _refuse_a_storm(driver)
        receipt = _cut_and_prove(driver)
        seen = _prove_silence(driver)
    else:
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
        counted = before_the_fence(view, driver.earliest_now, driver.node.name, driver.latest_now)
        found = max_failed(counted, driver.node)
        if found.shut:
            raise NeedsOperator.by(found)


def _renew(driver: Driver, expired: Receipt) -> None:
    """Put the BMC's proof in the place of an operator's word that has expired. Raises NeedsOperator.

    Before anything was done on that word, the host is fenced as any other. Later its power is only read: where
    it is on again, its servers may run twice if anything is cut or sent now.
    """
    words = f"{expired.by}'s word that it is off has expired"
    if driver.node.bmc is None:
        raise NeedsOperator(Gate.RECEIPT_EXPIRED, words)
    if driver.incident.before_the_fence:
        # It held at the last look, which therefore asked neither for a quorum nor for the storm limit.
        driver.note(f"{words}: it is looked at anew", replace(driver.incident, receipt=None))
        raise Halted(f"{driver.node.name}: {words} since the last look")
    proof = _read_anew(driver, words)
    driver.note(f"{words}; its BMC reads off", replace(driver.incident, receipt=proof))


def _read_anew(driver: Driver, words: str) -> Receipt:
    bmc, until = driver.clients.bmc(_device(driver)), driver.clients.clock.monotonic() + driver.policy.fence_timeout
    try:
        identity = _compared(driver, bmc)
        readings = _read_back(driver, bmc, until)
    except NeedsOperator as refusal:
        on = refusal.closed.gate is Gate.NOT_OFF
        gate = Gate.POWERED_ON if on else refusal.closed.gate
        raise NeedsOperator(gate, f"{words}, and {refusal.closed.why}") from refusal
    return _receipt(driver, identity, readings)


def _cut_and_prove(driver: Driver) -> Receipt:
    bmc = driver.clients.bmc(_device(driver))
    policy, trouble = driver.policy, NeedsOperator(Gate.BMC_UNREACHABLE, "never tried")
    for attempt in range(1, policy.fence_attempts + 1):
        if attempt > 1:
            _sleep(driver, min(BETWEEN_READINGS_S * 2 ** (attempt - 2), MOST_BETWEEN_ATTEMPTS_S))
        try:
            if attempt > 1:
                _refuse_if_it_answers(driver)
            return _attempt(driver, bmc, attempt)
        except NeedsOperator as refusal:
            trouble = refusal
            if refusal.closed.gate not in (Gate.BMC_UNREACHABLE, Gate.NOT_OFF):
                break
            driver.note(f"fence attempt {attempt} of {policy.fence_attempts} failed: {refusal.closed.why}")
    raise trouble


def _refuse_if_it_answers(driver: Driver) -> None:
    """Raise NeedsOperator where the host answers again: what cut its BMC off may have cut off the host as well."""
    if driver.lets_pass(Gate.ANSWERS):
        return
    sight = driver.clients.sight(driver.node, SIGHT_LIMIT_S)
    if sight.answer is Answer.ANSWERS:
        why = f"it answers SSH from {driver.clients.me} before its power was cut: {sight.why}"
        raise NeedsOperator(Gate.ANSWERS, why)
    votes = driver.votes_now()
    if votes.agreed(driver.quorum) == 0:
        raise NeedsOperator.by(GateReading.of(Gate.ANSWERS, False, Cause.SEEN_AGAIN, votes=votes.in_words()))


def _attempt(driver: Driver, bmc: BMC, attempt: int) -> Receipt:
    until = driver.clients.clock.monotonic() + driver.policy.fence_timeout
    identity = _compared(driver, bmc)
    what = f"power off to the BMC at {_address(driver)}, attempt {attempt}"
    driver.reached(Event.POWER_OFF_INTENDED, f"sending {what}")
    driver.before_effect(CALL_S)
    if driver.looked_ago_s() > LOOK_IS_FRESH_S:
        # As when this process stood still, or Consul did: the host may be back, and the lock says nothing of that.
        _refuse_if_it_answers(driver)
        driver.held.require(CALL_S)
    driver.require_permits()
    try:
        bmc.power_off(CALL_S)
        log.info("host=%s step=fencing %s: taken", driver.node.name, what)
    except OutcomeUnknown as error:
        log.warning("host=%s step=fencing %s: %s; reading the power", driver.node.name, what, error)
    except BMCError as error:
        _refuse_unless_off(driver, bmc, error)
    readings = _read_back(driver, bmc, until)
    return _receipt(driver, identity, readings)


def _receipt(driver: Driver, identity: str, readings: Sequence[Reading]) -> Receipt:
    clients = driver.clients
    return Receipt(ReceiptMethod.BMC, clients.me, clients.clock.now(), _address(driver), identity, tuple(readings))


def _refuse_unless_off(driver: Driver, bmc: BMC, error: BMCError) -> None:
    """Return where the power reads off, though the command was not taken. Raises NeedsOperator.

    A BMC that answers, and refuses, is not one to wait for: it would refuse again.
    """
    reading = bmc.power(BMC_READING_S)
    if reading.state is PowerState.UNKNOWN:
        raise NeedsOperator(Gate.BMC_UNREACHABLE, str(error)) from error
    if reading.state is PowerState.ON:
        raise NeedsOperator(Gate.NOT_OFF, f"it reads on, and the command was not taken: {error}") from error
    log.warning("host=%s step=fencing not taken (%s), but it reads off", driver.node.name, error)


def _compared(driver: Driver, bmc: BMC) -> str:
    """Return what the receipt says of the BMC's identity. Raises NeedsOperator where it is another system's."""
    expected = driver.node.bmc.identity if driver.node.bmc else None
    try:
        found = bmc.identity(BMC_READING_S)
    except BMCError as error:
        raise NeedsOperator(Gate.BMC_UNREACHABLE, str(error)) from error
    if not expected:
        return f"identity {found or 'unknown'}, none recorded to compare"
    if compared(expected, found) is not Match.EQUAL:
        shown = found or "nameless"
        another = GateReading.of(Gate.BMC_IDENTITY, False, ip=_address(driver), shown=shown, recorded=expected)
        raise NeedsOperator.by(another)
    return f"identity {found} as recorded"


def _read_back(driver: Driver, bmc: BMC, until: float) -> Sequence[Reading]:
    """Return the consecutive OFF readings that prove it. Raises NeedsOperator when there are none in time."""
    clock, needed = driver.clients.clock, driver.policy.fence_confirmations
    off: list[Reading] = []
    while True:
        reading = bmc.power(BMC_READING_S)
        taken = Reading(clock.now(), reading.state.value, reading.why)
        off = [*off, taken] if reading.state is PowerState.OFF else []
        noting = clock.monotonic()
        driver.note(f"power reads {taken.state}{f' ({taken.why})' if taken.why else ''}, {len(off)} of {needed}")
        # The time limit is the BMC's: while Consul is away, as over a change of its leader, a note takes long.
        until += clock.monotonic() - noting
        if len(off) >= needed:
            return off
        # A series of OFF is read to its end.
        if not off and clock.monotonic() + BETWEEN_READINGS_S > until:
            break
        clock.sleep(BETWEEN_READINGS_S)
    within = f"within {driver.policy.fence_timeout} s of the command"
    if reading.state is PowerState.UNKNOWN:
        raise NeedsOperator(Gate.BMC_UNREACHABLE, f"the power cannot be read {within}: {reading.why}")
    raise NeedsOperator(Gate.NOT_OFF, f"the BMC at {_address(driver)} does not read off {within}")


def _prove_silence(driver: Driver) -> datetime | None:
    """Return nova-compute's last report.

    Raises NeedsOperator where the host shows a sign of life still: then the BMC is another machine's.
    """
    sight = _sight(driver)
    if sight.answer is Answer.UNKNOWN:
        raise NeedsOperator(Gate.NOT_SILENT, f"nobody can tell whether {driver.node.name} answers SSH ({sight.why})")
    if sight.alive:
        raise NeedsOperator(
            Gate.NOT_SILENT,
            f"the BMC at {_address(driver)} reads off, but {driver.node.name} {sight.in_words()}: "
            "the BMC lies, or is another machine's",
        )
    before, last = driver.incident.service_seen, _last_report(driver)
    if driver.was_let_pass(Gate.NOVA_REPORTS):
        # The last look did not wait for its silence, though the approval may have ended by now.
        reported, policy = last != before, driver.policy
        silent_s = reports_have_ended_s(policy) if reported else needed_s(policy.nova_report_interval)
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
