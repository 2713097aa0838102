"""A BMC that holds a power state, and can lie, hang, refuse, restart, cycle, or act and then lose its answer."""

from __future__ import annotations

from collections.abc import Callable

from nova_ha.errors import BMCError, OutcomeUnknown
from nova_ha.power import PowerOffAnswer, PowerReading, PowerState

from kit.fakes.clock import FakeClock


class FakeBMC:
    """Implements nova_ha.power.BMC. `commands` has every power-off that it took, as what the power was then.

    `readings` are scripted answers, used up first; then comes the truth, unless `away`. `obeys` False takes the
    command and stays on. `refuses` raises, `refuses_off` where the host is off. `loses_answer` acts for so long that
    the answer is lost; a command that changes nothing is answered. `cycle` and `restart` happen by themselves. A
    power-off logs in for `login_s`, and then reads ON, or what the next of `before_the_command` is.
    """

    def __init__(self, identity: str | None = None, clock: FakeClock | None = None) -> None:
        self.name = identity
        self.clock = clock or FakeClock()
        self.readings: list[PowerState] = []
        self.away = False
        self.obeys = True
        self.refuses = ""
        self.refuses_off = False
        self.loses_answer = False
        self.login_s = 0.0
        self.before_the_command: list[PowerState] = []
        self.commands: list[PowerState] = []
        self.on_off: Callable[[], None] = lambda: None
        self.on_on: Callable[[], None] = lambda: None
        self._state = PowerState.ON
        self._cycles: list[tuple[float, float]] = []
        self._on_again_s = float("inf")
        self._restarts_until_s = 0.0

    @property
    def state(self) -> PowerState:
        """What the power really is by now."""
        self.live_on()
        return self._state

    @state.setter
    def state(self, state: PowerState) -> None:
        self._state = state

    def cycle(self, after_s: float = 0.0, off_s: float = 8.0) -> None:
        """Let a watchdog cycle the host, so many seconds from now: off for so long, then on, whatever it is told."""
        self._cycles.append((self.clock.monotonic() + after_s, off_s))
        self.live_on()

    def restart(self, for_s: float = 40.0) -> None:
        """Let the BMC restart: it refuses commands and reads off for so long, whatever the power is."""
        self._restarts_until_s = self.clock.monotonic() + for_s

    def live_on(self) -> None:
        """Let whatever is due by now happen to the host. Where it is off already, no watchdog bites."""
        now = self.clock.monotonic()
        for begins, off_s in [due for due in self._cycles if due[0] <= now]:
            self._cycles.remove((begins, off_s))
            if self._state is PowerState.ON:
                self._state, self._on_again_s = PowerState.OFF, begins + off_s
                self.on_off()
        if now >= self._on_again_s:
            self._state, self._on_again_s = PowerState.ON, float("inf")
            self.on_on()

    def power(self, timeout_s: float) -> PowerReading:
        if self.away:
            return PowerReading(PowerState.UNKNOWN, "timed out")
        if self.readings:
            state = self.readings.pop(0)
            return PowerReading(state, "garbled" if state is PowerState.UNKNOWN else "")
        return PowerReading(PowerState.OFF if self._restarts else self.state)

    def power_off(self, timeout_s: float) -> PowerOffAnswer:
        if self.away:
            raise BMCError("the BMC does not answer")
        if self.refuses:
            raise BMCError(self.refuses)
        if self._restarts:
            raise BMCError("not ready (BMC initialization in progress)")
        self.clock.advance(self.login_s)
        taken = PowerOffAnswer.after(self.before_the_command.pop(0) if self.before_the_command else PowerState.ON)
        before = self.state
        self.commands.append(before)
        if before is PowerState.OFF:
            self.on_off()
            return PowerOffAnswer.OFF_ALREADY if self.refuses_off else taken
        if self.obeys:
            self.state = PowerState.OFF
            self.on_off()
        if self.loses_answer:
            raise OutcomeUnknown("the BMC took the command and did not answer")
        return taken

    def identity(self, timeout_s: float) -> str | None:
        if self.away:
            raise BMCError("the BMC does not answer")
        return self.name

    @property
    def _restarts(self) -> bool:
        return self.clock.monotonic() < self._restarts_until_s
