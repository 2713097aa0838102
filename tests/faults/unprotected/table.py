"""All removals, by the faults' rows."""

from __future__ import annotations

from faults.unprotected import driving, moving, observing, permits, power
from faults.unprotected.removal import Removal

EVERY = (*power.REMOVALS, *observing.REMOVALS, *driving.REMOVALS, *moving.REMOVALS, *permits.REMOVALS)
REMOVALS: tuple[Removal, ...] = tuple(sorted(EVERY, key=lambda removal: (removal.process, removal.faults)))
