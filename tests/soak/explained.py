"""Which refusals a round explains: a host that waits for the operator at any other gate is a violation."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable

from nova_ha.cluster.gate import Gate

from soak.faults import FAULTS
from soak.plan import Round

# The window of the policy, and what its end may be off by.
WINDOW_S = 60.0 + 40.0
MAX_FAILED = 4
# A host that was only out of sight: nobody fences it, and the operator is asked.
OUT_OF_SIGHT = (Gate.ANSWERS, Gate.NOVA_REPORTS)


class Incidents:
    """When each host last had an incident, for the gates that look back."""

    def __init__(self) -> None:
        self._seen_at: dict[str, float] = {}

    def note(self, names: Iterable[str]) -> None:
        """These hosts have one now."""
        self._seen_at.update(dict.fromkeys(names, time.monotonic()))

    def lately(self) -> Collection[str]:
        """Return the hosts that had one within the window."""
        since = time.monotonic() - WINDOW_S
        return {name for name, at in self._seen_at.items() if at > since}


def explains(drawn: Round, gate: Gate, *, failed: bool, together: Collection[str]) -> bool:
    """True where a host may wait at the gate in this round; pure.

    `failed`: it really has; `together` are all hosts that have failed, or had an incident within the window.
    """
    if gate.ends_by_itself:
        return True
    # These two look back: a host that is only out of sight may wait at them too.
    if gate is Gate.REPEAT:
        return True
    if gate is Gate.MAX_FAILED:
        return len(together) > MAX_FAILED
    if not failed:
        return gate in OUT_OF_SIGHT
    return any(gate in FAULTS[strike.kind].may_end_at for strike in drawn.strikes)
