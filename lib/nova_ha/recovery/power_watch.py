"""The power of a fenced host, read again for as long as its servers are being rebuilt elsewhere."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

from nova_ha.cluster.gate import Gate
from nova_ha.cluster.identity_gates import bmc_identity, no_identity
from nova_ha.cluster.incident import ReceiptMethod
from nova_ha.errors import BMCError
from nova_ha.limits import BMC_READING_S
from nova_ha.power import PowerReading, PowerState
from nova_ha.recovery.driver import Driver
from nova_ha.recovery.driver_clients import NeedsOperator

log = logging.getLogger(__name__)

EVERY_S = 1.5
# Whoever waits for a reading hears within it that it is to end.
PAUSE_S = 1.0
# A batch is sent only on an OFF reading begun so recently.
FRESH_S = 3.0
UNKNOWN_PATIENCE_S = 60.0


@dataclass(frozen=True)
class _Seen:
    reading: PowerReading
    begun: float


class PowerWatch:
    """Reads the power in a thread of its own, so that neither waits for the other. A context manager.

    ON stops the work at once. UNKNOWN lets nothing new be sent, and stops the work after a minute, unless an
    operator's word that has not expired covers it. So is the power where there is no BMC, or another system's; OFF
    by one without an identity to compare is unknown, ON counts.
    """

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.clock = driver.clients.clock
        self.bmc = driver.clients.bmc(driver.node.bmc) if driver.node.bmc else None
        self._is_its_own = False
        self._seen: _Seen | None = None
        self._known_at = self.clock.monotonic()
        self._alone = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read_on, name="power watch", daemon=True)

    def __enter__(self) -> PowerWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(BMC_READING_S + 1)

    def still_off(self) -> None:
        """Read until the power is known to be off. Raises NeedsOperator, and Halted where it is asked to end."""
        while not self.off():
            self.driver.stop_if_asked()
            self.clock.sleep(PAUSE_S)
            self._read()

    def read_anew(self) -> bool:
        """Take a reading now, and return as `off` does."""
        self._read()
        return self.off()

    def off(self) -> bool:
        """True when something new may be sent: a fresh OFF reading, or a valid word of the operator.

        Raises NeedsOperator when the power is on, or was unknown for too long.
        """
        seen = self._fresh()
        if seen.reading.state is PowerState.ON:
            if self._vouched:
                raise NeedsOperator(Gate.POWERED_ON, f"its BMC reads on, against the word of {self._vouched}")
            raise NeedsOperator(Gate.POWERED_ON, "its power is on again: no server is sent, none is followed further")
        if seen.reading.state is PowerState.OFF:
            return True
        if self._covered():
            return True
        if self.clock.monotonic() - self._known_at > UNKNOWN_PATIENCE_S:
            why = seen.reading.why
            raise NeedsOperator(Gate.POWER_UNKNOWN, f"its power cannot be read for {UNKNOWN_PATIENCE_S:g} s: {why}")
        return False

    @property
    def _vouched(self) -> str:
        """The operator by whose word it is off, empty where a BMC has proved it."""
        receipt = self.driver.incident.receipt
        return receipt.by if receipt and receipt.method is ReceiptMethod.OPERATOR else ""

    def _covered(self) -> bool:
        receipt = self.driver.incident.receipt
        return bool(self._vouched) and receipt is not None and receipt.valid(self.driver.latest_now)

    def _fresh(self) -> _Seen:
        """Return the last reading, or a new one where that is too old to send anything on."""
        if self._seen is None or self.clock.monotonic() - self._seen.begun > FRESH_S:
            self._read()
        assert self._seen is not None
        return self._seen

    def _read(self) -> None:
        with self._alone:
            self._read_alone()

    def _read_alone(self) -> None:
        if self._seen and self._seen.reading.state is PowerState.ON:
            return  # what was seen once stays so, also where it is off again when somebody looks
        begun = self.clock.monotonic()
        seen = _Seen(self._power(), begun)
        if seen.reading.state is not PowerState.UNKNOWN:
            self._known_at = begun
        else:
            log.warning("host=%s power cannot be read: %s", self.driver.node.name, seen.reading.why)
        self._seen = seen

    def _power(self) -> PowerReading:
        if self.bmc is None:
            return PowerReading(PowerState.UNKNOWN, "it has no BMC keys")
        if self._is_its_own:
            return self.bmc.power(BMC_READING_S)
        node = self.driver.node
        try:
            shown = self.bmc.identity(BMC_READING_S)
        except BMCError as error:
            return PowerReading(PowerState.UNKNOWN, str(error))
        another, missing = bmc_identity(node, shown, self.driver.registered), no_identity(node, shown)
        if another.shut:
            return PowerReading(PowerState.UNKNOWN, another.closed.why)
        self._is_its_own = not missing.shut or self._was_let_pass
        reading = self.bmc.power(BMC_READING_S)
        if self._is_its_own or reading.state is not PowerState.OFF:
            return reading
        return PowerReading(PowerState.UNKNOWN, f"it reads off, but {missing.closed.why}")

    @property
    def _was_let_pass(self) -> bool:
        """True where an operator lets no-identity pass, or did when this BMC proved the power off."""
        receipt, bmc = self.driver.incident.receipt, self.driver.node.bmc
        proved = receipt is not None and bool(receipt.proof)
        here = receipt is not None and bmc is not None and receipt.address == bmc.recorded
        return (proved and here) or self.driver.lets_pass(Gate.NO_IDENTITY)

    def _read_on(self) -> None:
        while not self._ended.wait(EVERY_S):
            self._read()
