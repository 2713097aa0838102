"""A BMC that holds a power state, and can lie, hang, refuse, or act and then lose its answer."""

from __future__ import annotations

from collections.abc import Callable

from nova_ha.errors import BMCError, OutcomeUnknown
from nova_ha.power import PowerReading, PowerState


class FakeBMC:
    """Implements nova_ha.power.BMC. `commands` has every power-off that it was sent.

    `readings` are scripted answers, used up first; then comes the truth, unless `away`. `obeys` False takes the
    command and stays on. `refuses` and `loses_answer` raise after nothing, or after acting.
    """

    def __init__(self, identity: str | None = None) -> None:
        self.state = PowerState.ON
        self.name = identity
        self.readings: list[PowerState] = []
        self.away = False
        self.obeys = True
        self.refuses = ""
        self.loses_answer = False
        self.commands: list[PowerState] = []
        self.on_off: Callable[[], None] = lambda: None

    def power(self, timeout_s: float) -> PowerReading:
        if self.away:
            return PowerReading(PowerState.UNKNOWN, "timed out")
        if self.readings:
            state = self.readings.pop(0)
            return PowerReading(state, "garbled" if state is PowerState.UNKNOWN else "")
        return PowerReading(self.state)

    def power_off(self, timeout_s: float) -> None:
        if self.away:
            raise BMCError("the BMC does not answer")
        if self.refuses:
            raise BMCError(self.refuses)
        self.commands.append(self.state)
        if self.obeys:
            self.state = PowerState.OFF
            self.on_off()
        if self.loses_answer:
            raise OutcomeUnknown("the BMC took the command and did not answer")

    def identity(self, timeout_s: float) -> str | None:
        if self.away:
            raise BMCError("the BMC does not answer")
        return self.name
