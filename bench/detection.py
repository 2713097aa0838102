"""From a host's last answer to `status/failed`, and from there to the power-off, for several numbers of observers."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence

from nova_ha.cluster.policy import Policy
from nova_ha.probe.ssh_sweep import HOST_S
from nova_ha.sandbox.cloud import Sandbox

from bench.figure import Figure
from bench.striking import Struck, await_power_off, strike

ROW = "detection"
# Strikes so far apart meet the observers' sweeps at different times of their interval.
APART_S = 1.7
MARGIN_S = 1.5
MOST_TO_POWER_OFF_S = 4.0


class Detections:
    """All hosts that were struck, in whichever cloud, and why; by the number of observers."""

    def __init__(self) -> None:
        self._detected_s: dict[int, list[float]] = defaultdict(list)
        self._to_power_off_s: dict[int, list[float]] = defaultdict(list)
        self._most_s = 0.0

    def strike(self, sandbox: Sandbox, nodes: Sequence[str]) -> Sequence[Struck]:
        """Let the hosts hang, and wait until all are failed and the first one's power-off was sent.

        The first one: a later one may have to wait for an HA node that is free.
        """
        struck = strike(sandbox, nodes, APART_S)
        sent = await_power_off(sandbox, struck[0].node)
        self._most_s = Policy().monitor_fail_threshold * sandbox.plan.interval_s + HOST_S + MARGIN_S
        self._detected_s[sandbox.plan.ha] += [s.detection_s for s in struck]
        self._to_power_off_s[sandbox.plan.ha].append((sent - struck[0].failed_at).total_seconds())
        return struck

    def figures(self) -> Iterator[Figure]:
        """Return the worst of each. All HA nodes look at a failed host at once, on this machine's processors."""
        for taken, what, most in (
            (self._detected_s, "host dead to failed", self._most_s),
            (self._to_power_off_s, "failed to power-off sent", MOST_TO_POWER_OFF_S),
        ):
            for observers, seconds in sorted(taken.items()):
                name = f"{what}, {observers} HA node{'s' * (observers > 1)}"
                yield Figure(ROW, name, max(seconds), "s", most, note=_worst(seconds))


def _worst(seconds: Sequence[float]) -> str:
    return f"worst of {len(seconds)}, median {statistics.median(seconds):.1f} s" if len(seconds) > 1 else ""
