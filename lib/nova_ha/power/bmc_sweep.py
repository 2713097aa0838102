"""Many BMCs at once: their power and identity, each BMC once, all by one deadline."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from nova_ha.power import PowerReading
from nova_ha.power.child import carry_out_in_a_child
from nova_ha.power.device import FenceDevice
from nova_ha.power.order import BMCAnswer, BMCTask, Order

_AT_ONCE = 200
# pyghmi needs up to 5.3 s to find that nobody is there; a busy BMC answers within a few.
_EACH_S = 12.0


@dataclass(frozen=True)
class BMCSighting:
    """What a sweep saw of one BMC.

    `trouble` is empty when the BMC could be used, else one of the words of `diagnosis.Trouble`: "login refused",
    "unreachable", "timed out"... `identity` is None where the BMC has none, or was not asked.
    """

    power: PowerReading
    identity: str | None
    trouble: str


def sweep(devices: Mapping[str, FenceDevice], deadline_s: float) -> Mapping[str, BMCSighting]:
    """Read power and identity of all BMCs, and return a sighting for each name. Never raises.

    It ends after `deadline_s` seconds at the latest. A BMC that has not answered by then, or within 12 s of
    its turn, is UNKNOWN and "timed out": every BMC has its turn as long as not all 1,000 are silent.
    """
    if not devices:
        return {}
    order = Order(BMCTask.LOOK, devices, time.monotonic() + deadline_s, min(_EACH_S, deadline_s), _AT_ONCE)
    return {name: _sighting(answer) for name, answer in carry_out_in_a_child(order).items()}


def _sighting(answer: BMCAnswer) -> BMCSighting:
    return BMCSighting(answer.power, answer.identity, answer.diagnosis.trouble.value)
