"""All removals, by the faults' rows."""

from __future__ import annotations

from faults.unprotected import alive, disks, driving, moving, names, observing, permits, power, settings, watching
from faults.unprotected.removal import Removal

EVERY = (
    *power.REMOVALS,
    *observing.REMOVALS,
    *driving.REMOVALS,
    *moving.REMOVALS,
    *permits.REMOVALS,
    *settings.REMOVALS,
    *names.REMOVALS,
    *disks.REMOVALS,
    *alive.REMOVALS,
    *watching.REMOVALS,
)
REMOVALS: tuple[Removal, ...] = tuple(sorted(EVERY, key=lambda removal: (removal.process, removal.faults)))
