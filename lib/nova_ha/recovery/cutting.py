"""Cutting the power: the command is sent until it is answered, and the power read until it is proved off."""

from __future__ import annotations

import logging

from nova_ha.cluster.gate import Cause, Gate
from nova_ha.cluster.incident import Reading, Receipt, ReceiptMethod
from nova_ha.cluster.reading import GateReading
from nova_ha.errors import BMCError, NovaError, OutcomeUnknown
from nova_ha.limits import CALL_S
from nova_ha.power import PowerOffAnswer, PowerState
from nova_ha.power.device import FenceDevice
from nova_ha.recovery.driver import Driver
from nova_ha.recovery.driver_clients import Answer, Halted, NeedsOperator
from nova_ha.recovery.findings import SIGHT_LIMIT_S
from nova_ha.recovery.force_down import current_service
from nova_ha.recovery.off_proof import AnsweredCommand, OffProof, PowerSeen, proved

log = logging.getLogger(__name__)

BETWEEN_READINGS_S = 2.0
# From the beginning of the last look to the first command it is some seconds.
LOOK_IS_FRESH_S = 5.0
# A long series is told in the story so often.
TOLD_EVERY_S = 10.0


class Cutting:
    """Cuts a host's power, and proves that it is off.

    `certain` False says that a command may have been sent whose outcome nobody knows: OFF may then be nobody's doing.
    `keeps_on` cuts nothing that does not read off: for a host whose servers may run elsewhere already.
    """

    def __init__(self, driver: Driver, device: FenceDevice, *, certain: bool, keeps_on: bool = False) -> None:
        self.driver, self.device = driver, device
        self.certain, self.keeps_on = certain, keeps_on
        self.command: AnsweredCommand | None = None
        self.untaken: BMCError | OutcomeUnknown | None = None
        self._clients = driver.clients
        self._clock = driver.clients.clock
        self._policy = driver.policy
        self._until = self._told_s = 0.0

    @property
    def seen(self) -> PowerSeen:
        """What this process has read of the power."""
        return self._clients.seen_of(self.device)

    def prove(self, what: str, identity: str) -> Receipt:
        """Return the receipt, within `fence/timeout`; a series of OFF is read to its end. Raises NeedsOperator."""
        self.command = self.untaken = None
        self._until = self._clock.monotonic() + self._policy.fence_timeout
        while True:
            if self.command is None:
                self._send(what)
            before = self.seen
            seen = self._clients.read_power(self.device)
            if self._is_on_again(before, seen):
                # Whoever gave it power again, the command is history: what is read from here on it has not caused.
                self.command = None
            proof = self._proof(seen)
            self._note(seen, proof)
            if self.command and proof:
                return self._receipt(identity, seen, self.command, proof)
            if not self._prolonged(seen) and self._clock.monotonic() + BETWEEN_READINGS_S > self._until:
                raise self._in_vain(seen)
            self._clock.sleep(BETWEEN_READINGS_S)
            self.driver.stop_if_asked()

    def _send(self, what: str) -> None:
        """Send the command, unless the host must not be cut. Raises NeedsOperator where waiting does not help."""
        driver, device = self.driver, self.device
        driver.before_effect(CALL_S)
        if driver.looked_ago_s() > LOOK_IS_FRESH_S:
            # As when this process stood still, or Consul did: the host may be back, and the lock does not say so.
            refuse_if_it_answers(driver)
        if not self.seen.fresh(self._clock.monotonic()):
            self._clients.read_power(device)
        if self.keeps_on and not self._reads_off():
            return
        # Once more: what was asked since then takes long where Consul, the host or its BMC does.
        driver.before_effect(CALL_S)
        driver.require_permits()
        on_before = self.certain and self.seen.just_on(self._clock.monotonic())
        try:
            answer = self._clients.bmc(device).power_off(CALL_S)
        except OutcomeUnknown as error:
            log.warning("host=%s step=fencing %s: %s", driver.node.name, what, error)
            self.untaken, self.certain = error, False
        except BMCError as error:
            self._refused(what, error)
        else:
            driver.note(f"{what}: {answer.value}")
            self.command = AnsweredCommand(answer, self._clock.monotonic(), on_before)

    def _refused(self, what: str, error: BMCError) -> None:
        """Return where the power reads off, as that of a BMC does which restarts: the command is sent again.

        Raises NeedsOperator elsewhere: a BMC that answers, and refuses, is not one to wait for.
        """
        seen = self._clients.read_power(self.device)
        self._clients.power_seen[self.device] = seen.broken()
        if seen.reads is PowerState.UNKNOWN:
            raise NeedsOperator(Gate.BMC_UNREACHABLE, str(error)) from error
        if seen.reads is PowerState.ON:
            raise NeedsOperator(Gate.NOT_OFF, f"it reads on, and the command was not taken: {error}") from error
        log.warning(
            "host=%s step=fencing %s: not taken (%s), though it reads off", self.driver.node.name, what, error
        )
        self.untaken = error

    def _reads_off(self) -> bool:
        if self.seen.reads is PowerState.ON:
            raise NeedsOperator(Gate.NOT_OFF, f"the BMC at {self.device.address} reads on")
        return self.seen.reads is PowerState.OFF

    def _is_on_again(self, before: PowerSeen, seen: PowerSeen) -> bool:
        off_already = self.command is not None and self.command.answer is PowerOffAnswer.OFF_ALREADY
        return seen.reads is PowerState.ON and (bool(before.series) or off_already)

    def _proof(self, seen: PowerSeen) -> OffProof | None:
        policy = self._policy
        if self.command is None:
            return None
        return proved(seen, self.command, policy.fence_confirmations, policy.fence_off_for)

    def _prolonged(self, seen: PowerSeen) -> bool:
        return self.command is not None and seen.runs(self._clock.monotonic())

    def _in_vain(self, seen: PowerSeen) -> NeedsOperator:
        within = f"within {self._policy.fence_timeout} s of the command"
        if seen.reads is PowerState.UNKNOWN:
            why = seen.last.power.why if seen.last else "not read"
            return NeedsOperator(Gate.BMC_UNREACHABLE, f"the power cannot be read {within}: {why}")
        if seen.reads is PowerState.OFF and self.untaken:
            lost = isinstance(self.untaken, OutcomeUnknown)
            gate = Gate.BMC_UNREACHABLE if lost else Gate.NOT_OFF
            return NeedsOperator(gate, f"it reads off, but the command was not taken {within}: {self.untaken}")
        return NeedsOperator(Gate.NOT_OFF, f"the BMC at {self.device.address} does not read off {within}")

    def _note(self, seen: PowerSeen, proof: OffProof | None) -> None:
        """Tell what was read, a long row of OFF only now and then. Each line proves the lock."""
        now = self._clock.monotonic()
        steady = seen.in_a_row > self._policy.fence_confirmations
        if steady and proof is None and now - self._told_s < TOLD_EVERY_S:
            return
        self.driver.note(self._in_words(seen))
        self._told_s = self._clock.monotonic()
        # The time limit is the BMC's: while Consul is away, as over a change of its leader, a note takes long.
        self._until += self._told_s - now

    def _in_words(self, seen: PowerSeen) -> str:
        if seen.last is None:
            return "power was not read"
        power, policy = seen.last.power, self._policy
        read = f"power reads {power.state.value}{f' ({power.why})' if power.why else ''}"
        if self.command and self.command.may_be_the_cause(seen):
            return f"{read}, {seen.in_a_row} of {policy.fence_confirmations}"
        return f"{read}, off for {seen.off_s:.0f} of {policy.fence_off_for} s"

    def _receipt(self, identity: str, seen: PowerSeen, command: AnsweredCommand, proof: OffProof) -> Receipt:
        # Of a long series its beginning and its end.
        first, *others = seen.series
        looks = [first, *others[-self._policy.fence_confirmations :]]
        return Receipt(
            ReceiptMethod.BMC,
            self._clients.me,
            self._clock.now(),
            self.device.recorded,
            identity,
            tuple(Reading(look.at, look.state.value, look.power.why) for look in looks),
            answer=command.answer.value,
            proof=proof.value,
            off_s=round(seen.off_s, 1),
        )


def refuse_if_it_answers(driver: Driver) -> None:
    """Raise NeedsOperator where the host answers again, or its nova-compute has reported since the last look: what
    cut its BMC off may have cut off the host as well. Raises Halted where the observers, or Nova, cannot be asked.
    """
    if not driver.lets_pass(Gate.ANSWERS):
        _refuse_if_seen(driver)
    _refuse_if_it_reports(driver)


def _refuse_if_seen(driver: Driver) -> None:
    sight = driver.clients.sight(driver.node, SIGHT_LIMIT_S)
    if sight.answer is Answer.ANSWERS:
        why = f"it answers SSH from {driver.clients.me} before its power was cut: {sight.why}"
        raise NeedsOperator(Gate.ANSWERS, why)
    name, view = driver.node.name, driver.view_now()
    votes = driver.all_votes_now(view).of(name)
    agreed = votes.agreed(driver.quorum)
    if agreed is None:
        raise Halted(f"{name}: no quorum since the last look: {votes.in_words()}")
    if agreed == 0:
        raise NeedsOperator.by(GateReading.of(Gate.ANSWERS, False, Cause.SEEN_AGAIN, votes=votes.in_words()))
    counted = view.compute_nodes[name].number_fails if name in view.compute_nodes else 0
    if max(agreed, counted) < driver.policy.monitor_fail_threshold:
        raise Halted(f"{name}: the observers have seen it well since the last look: {votes.in_words()}")


def _refuse_if_it_reports(driver: Driver) -> None:
    if driver.was_let_pass(Gate.NOVA_REPORTS) or driver.lets_pass(Gate.NOVA_REPORTS):
        return
    try:
        service = current_service(driver)
    except (NovaError, OutcomeUnknown) as error:
        raise Halted(f"{driver.node.name}: whether it has reported since the last look: {error}") from error
    if service.updated_at != driver.incident.service_seen and service.up:
        raise NeedsOperator.by(GateReading.of(Gate.NOVA_REPORTS, False, Cause.STILL_REPORTS))
