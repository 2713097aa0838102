"""One BMC behind a hard wall-clock bound: each call is a child process that is ended when its time is up.

Starting one costs 0.1 s. Threads and alarms would not do: a call of pyghmi that never returns cannot be ended
from within, and an alarm belongs to the main thread.
"""

from __future__ import annotations

import time

from nova_ha.errors import BMCError, OutcomeUnknown
from nova_ha.power import PowerOffAnswer, PowerReading
from nova_ha.power.child import carry_out_in_a_child
from nova_ha.power.device import FenceDevice
from nova_ha.power.diagnosis import Trouble
from nova_ha.power.order import BMCAnswer, BMCTask, Order


class BoundedBMC:
    """A BMC as the Protocol `nova_ha.power.BMC` has it. Safe to share between threads."""

    def __init__(self, device: FenceDevice) -> None:
        self._device = device

    def power(self, timeout_s: float) -> PowerReading:
        return self._ask(BMCTask.POWER, timeout_s).power

    def power_off(self, timeout_s: float) -> PowerOffAnswer:
        answer = self._ask(BMCTask.POWER_OFF, timeout_s)
        trouble = answer.diagnosis.trouble
        if trouble is Trouble.NONE and answer.power_off:
            return answer.power_off
        text = f"power-off of BMC {self._where}: {answer.diagnosis}"
        if answer.sent and not trouble.is_refusal:
            raise OutcomeUnknown(text, remedy="read the power state, and send it again")
        raise BMCError(text)

    def identity(self, timeout_s: float) -> str | None:
        answer = self._ask(BMCTask.IDENTITY, timeout_s)
        if answer.diagnosis.trouble is not Trouble.NONE:
            raise BMCError(f"identity of BMC {self._where}: {answer.diagnosis}")
        return answer.identity

    @property
    def _where(self) -> str:
        return f"{self._device.host} port {self._device.port}"

    def _ask(self, task: BMCTask, timeout_s: float) -> BMCAnswer:
        order = Order(task, {"": self._device}, time.monotonic() + timeout_s, timeout_s)
        return carry_out_in_a_child(order)[""]
