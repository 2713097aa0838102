"""Many BMCs at once: their power and identity, each BMC once, all by one deadline."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from nova_ha.power import PowerReading
from nova_ha.power.child import carry_out_in_a_child
from nova_ha.power.device import FenceDevice
from nova_ha.power.order import BMCAnswer, BMCTask, Order
from nova_ha.power.tickets import Tickets

_AT_ONCE = 200
# pyghmi needs up to 5.3 s to find that nobody is there; a busy BMC answers within a few.
_EACH_S = 12.0
_TIDYING_S = 8.0


@dataclass(frozen=True)
class BMCSighting:
    """What a sweep saw of one BMC.

    `trouble` is empty when the host could be fenced by it, else one of the words of `diagnosis.Trouble`: "login
    refused", "its account may only read", "timed out"... `identity` is None where the BMC has none, or was not asked.
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
    found = {name: _sighting(answer) for name, answer in carry_out_in_a_child(order).items()}
    _tidy(order)
    return found


def _tidy(order: Order) -> None:
    """End the sessions that the sweep has left, while there is time: the next sweep is long after this one."""
    left = {name: device for name, device in order.devices.items() if Tickets(device).left()}
    if left and order.until - time.monotonic() > _TIDYING_S:
        carry_out_in_a_child(Order(BMCTask.TIDY, left, time.monotonic() + _TIDYING_S, _TIDYING_S, _AT_ONCE))


def _sighting(answer: BMCAnswer) -> BMCSighting:
    return BMCSighting(answer.power, answer.identity, answer.diagnosis.short)
