"""What proves that a host is off: the readings of its power in this process, and what was answered to the command."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from nova_ha.power import PowerOffAnswer, PowerReading, PowerState

# The last reading before the command, where it is to count as what the command changed.
FRESH_S = 2.0
# From the answer to the first OFF, where the command is to count as its cause: BMCs hold the button for 4 to 5 s.
CAUSED_WITHIN_S = 6.0
# So long without a new OFF, and a series of them is broken.
BREAK_S = 12.0


class OffProof(enum.Enum):
    """How a host was proved to be off."""

    SHORT = "short"
    """On right before the command, off right after it: the command did it."""
    LONG = "long"
    """Off without a break for longer than the off phase of a power cycle, around a command that was answered."""


@dataclass(frozen=True)
class PowerLook:
    """One reading of the power, and between which moments of the monotonic clock it was taken."""

    at: datetime
    power: PowerReading
    begun_s: float
    ended_s: float

    @property
    def state(self) -> PowerState:
        """What it read."""
        return self.power.state


@dataclass(frozen=True)
class PowerSeen:
    """What one process has read of a host's power: the last reading, and the series of OFF that it ends.

    A series is broken by an ON, or by 12 s without a new OFF; UNKNOWN is neither. `in_a_row` counts the last OFFs
    with nothing else between them. `was_off` says that it was ever read so.
    """

    last: PowerLook | None = None
    series: tuple[PowerLook, ...] = ()
    in_a_row: int = 0
    was_off: bool = False

    def having(self, look: PowerLook) -> PowerSeen:
        """Return it with one more reading."""
        if look.state is PowerState.ON:
            return replace(self.broken(), last=look)
        if look.state is PowerState.UNKNOWN:
            return replace(self, last=look, in_a_row=0)
        before = self if self.runs(look.ended_s) else self.broken()
        return PowerSeen(look, (*before.series, look), before.in_a_row + 1, was_off=True)

    def broken(self) -> PowerSeen:
        """Return it with a series that begins anew: what was read until now says nothing."""
        return replace(self, series=(), in_a_row=0)

    def runs(self, now_s: float) -> bool:
        """True while a series of OFF runs."""
        return bool(self.series) and now_s - self.series[-1].ended_s < BREAK_S

    def fresh(self, now_s: float) -> bool:
        """True where the last reading is recent enough for a command."""
        return self.last is not None and now_s - self.last.begun_s <= FRESH_S

    def just_on(self, now_s: float) -> bool:
        """True where a command that is sent now would change something, by all that was read."""
        return not self.was_off and self.fresh(now_s) and self.reads is PowerState.ON

    @property
    def reads(self) -> PowerState:
        """What was read last; UNKNOWN where nothing was."""
        return self.last.state if self.last else PowerState.UNKNOWN

    @property
    def off_s(self) -> float:
        """The seconds that the series lasts, at least."""
        return max(0.0, self.series[-1].begun_s - self.series[0].ended_s) if self.series else 0.0


@dataclass(frozen=True)
class AnsweredCommand:
    """A power-off that was answered. `on_before` says that the host was on right before it, and never off before."""

    answer: PowerOffAnswer
    answered_s: float
    on_before: bool

    def readings_after(self, seen: PowerSeen) -> Sequence[PowerLook]:
        """Return those of the series that were taken after the answer."""
        return [look for look in seen.series if look.begun_s >= self.answered_s]

    def may_be_the_cause(self, seen: PowerSeen) -> bool:
        """True while the short proof is possible: the first OFF has not come, or came soon after the answer."""
        after = self.readings_after(seen)
        soon = not after or after[0].begun_s - self.answered_s <= CAUSED_WITHIN_S
        return self.answer is PowerOffAnswer.TAKEN and self.on_before and soon


def proved(seen: PowerSeen, command: AnsweredCommand, confirmations: int, off_for_s: float) -> OffProof | None:
    """Return what proves it off by now, or None."""
    if len(command.readings_after(seen)) < confirmations:
        return None
    if command.may_be_the_cause(seen) and seen.in_a_row >= confirmations:
        return OffProof.SHORT
    return OffProof.LONG if seen.off_s >= off_for_s else None
