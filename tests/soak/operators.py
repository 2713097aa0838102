"""What an operator does at any moment, rightly or not, and whoever runs handlers by hand."""

from __future__ import annotations

import json

from nova_ha.cluster.schema import compute_node

from soak.plan import HA_NODES, Strike
from soak.site import Site

INTERVALS = (3, 10)
HANDLERS = ("nova-ha-handle-failures", "nova-ha-handle-recovery")
_CHECK = {"Node": "ha-1", "CheckID": "nova-ha-ssh", "Status": "critical", "Output": "FAILING 1 of 1"}
PAYLOADS = (
    b"",
    b"null",
    b"[]",
    json.dumps([_CHECK]).encode()[:37],
    b"\xff\xfe\x00" * 100,
    json.dumps([_CHECK] * 3000).encode(),
    b'{"a": ' * 2000,
)
# What they write by hand, and its mistakes.
GARBLED = {
    "internal/runtime_config": b'{"version": 1, "nova_host": ',
    "config/ssh/port": b"99999",
    "config/bmc/port": b"",
}


def pause(site: Site, strike: Strike) -> bool:
    site.operator.order("pause", "--why", "soak")
    return True


def resume(site: Site, strike: Strike) -> None:
    site.operator.order("resume")


def maintain(site: Site, strike: Strike) -> bool:
    site.operator.order("node", "maintenance", strike.victim, "--for", "1h", "--why", "soak")
    return True


def end_maintenance(site: Site, strike: Strike) -> None:
    site.operator.order("node", "maintenance", strike.victim, "--end")


def approve(site: Site, strike: Strike) -> bool:
    site.operator.order("approve", strike.victim, "--why", "soak")
    return True


def confirm_off(site: Site, strike: Strike) -> bool:
    """Vouch for a host that really is off."""
    if site.machine(strike.victim).chassis.has_power:
        return False
    site.operator.order("node", "confirm-off", strike.victim, "--yes", "--why", "seen by me")
    return True


def retry(site: Site, strike: Strike) -> bool:
    site.operator.order("node", "retry", strike.victim)
    return True


def reset(site: Site, strike: Strike) -> bool:
    site.operator.order("node", "reset", strike.victim)
    return True


def garble(site: Site, strike: Strike) -> bool:
    """Write a key of the host with a mistake in it."""
    key, wrong = _garbled(strike)
    return site.overwrite(key, wrong)


def write_again(site: Site, strike: Strike) -> None:
    """Write it as it was."""
    site.write_again(_garbled(strike)[0])


def _garbled(strike: Strike) -> tuple[str, bytes]:
    leaf = list(GARBLED)[strike.variant % len(GARBLED)]
    return compute_node(strike.victim, leaf), GARBLED[leaf]


def change_interval(site: Site, strike: Strike) -> bool:
    """Let one observer sweep at another interval than the others."""
    if not site.cloud.agent(strike.target).running:
        return False
    site.cloud.set_interval(strike.target, INTERVALS[strike.variant % len(INTERVALS)])
    return True


def usual_interval(site: Site, strike: Strike) -> None:
    """Let it be as it was."""
    site.cloud.set_interval(strike.target, site.cloud.plan.interval_s)


def double(site: Site, strike: Strike) -> bool:
    """Start handlers beside those that the watches have started, on two HA nodes, or twice on one."""
    for name in (strike.target, HA_NODES[strike.variant % len(HA_NODES)]):
        site.operator.by_hand(name, HANDLERS[strike.variant % 2])
        site.operator.by_hand(name, "nova-ha", "handle", "recovery", "--node", strike.host)
    return True


def feed_garbage(site: Site, strike: Strike) -> bool:
    """Wake the handlers with what no watch would give them."""
    for handler in HANDLERS:
        site.operator.by_hand(strike.target, handler, stdin=PAYLOADS[strike.variant % len(PAYLOADS)])
    return True
