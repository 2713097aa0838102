"""What a failed host costs its guests at Nova's own timing, beside a plain loop of evacuations."""

from __future__ import annotations

import os
import time
from dataclasses import replace

import pytest
from kit.guests.cloud import GuestsCloud
from kit.stack.pace import plain_loop

SIZES = [int(word) for word in os.environ.get("NOVA_HA_GUESTS", "1 5 10").split()]
EACH_WITHIN_S = 60.0


@pytest.mark.parametrize("fault", ["hang", "lose_power"])
@pytest.mark.parametrize("guests", SIZES)
def test_what_guests_are_away(cloud: GuestsCloud, guests: int, fault: str) -> None:
    host = cloud.loaded_host(guests)
    getattr(host, fault)()
    cloud.audit_moved(host)
    cloud.take_back(host)
    cloud.aways[-1] = replace(cloud.aways[-1], by_hand_s=by_hand(cloud, guests))


def by_hand(cloud: GuestsCloud, guests: int) -> float:
    """Evacuate as many guests by a plain loop, and return how long it took from the power-off to the last number."""
    host = cloud.loaded_host(guests)
    servers = cloud.servers_of(host)
    host.host.power_off()
    before, began = {server: cloud.number(server) for server in servers}, time.monotonic()
    plain_loop(cloud.nova, host.name, cloud.ha_nodes[0], servers, EACH_WITHIN_S * guests)
    for server in servers:
        cloud.writes(server, cloud.ha_nodes[0], before[server])
    took_s = time.monotonic() - began
    cloud.forget(host)
    return took_s
