"""How large a whole cloud is, and what its HA nodes' agents load: the shipped files, changed as little as can be."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nova_ha.sandbox.nova.state import Timing

# Seconds for one login: the shipped 2 s leave too little of a short interval for a machine that is busy.
HOST_LIMIT = "1.5"
# Not the field's: Nova's own defaults are 10 and 60 s. So a host's silence is seen after 3 s and not after 12. On the
# real OpenStack, kit.stack.configuration sets them.
TIMING = Timing(report_interval_s=1.0, service_down_time_s=5.0)
# The shortest that the policy allows, so that a driver's death is noticed soon.
POLICY = {
    "monitor/fail_threshold": "2",
    "monitor/max_failed": "100",
    "session/ttl": "10",
    "session/lock_delay": "20",
    "fence/timeout": "15",
    "fence/attempts": "1",
}


class Watches(enum.Enum):
    """Which watches the agents of the observers have."""

    SHIPPED = "as shipped"
    COUNTING = "only that of the failures handler"
    NONE = "none"


@dataclass(frozen=True)
class WholePlan:
    """How large the cloud is, and what its agents load.

    `observers` are HA nodes with the shipped configuration; `interval_s`, `timer_s` and `bmc_s` are its SSH,
    cluster and BMC checks' intervals; without `timer` the second does nothing. `others` are HA nodes whose
    agents run nothing: for drivers by hand. `key_list_policy` is the servers' `acl.enable_key_list_policy`, off as
    Consul has it. `timing` is that of the simulated Nova; TIMING where nothing is said.

    Where watches run, the timer comes seldom: it costs each observer as much as its sweep. A test that is about the
    timer, or waits for it again and again, says its own.
    """

    compute: int = 3
    servers: int = 2
    observers: int = 3
    others: int = 0
    consul_servers: int = 1
    key_list_policy: bool = False
    interval_s: int = 5
    timer_s: int = 15
    bmc_s: int = 60
    watches: Watches = Watches.SHIPPED
    timer: bool = True
    policy: Mapping[str, str] = field(default_factory=dict)
    timing: Timing = field(default=TIMING)

    @property
    def options(self) -> Mapping[str, str]:
        """The whole policy: what POLICY has, how often this Nova reports, and what this plan is about."""
        return {**POLICY, "nova/report_interval": f"{self.timing.report_interval_s:g}", **self.policy}


def check(name: str, args: Sequence[str], interval_s: int, timeout_s: int) -> dict[str, Any]:
    """Return the definition of a check that replaces the shipped one of that id."""
    return {
        "id": name,
        "name": name,
        "args": args,
        "interval": f"{interval_s}s",
        "timeout": f"{timeout_s}s",
        "status": "warning",
        "output_max_size": 65536,
    }


def without_watches(text: str) -> str:
    """Return the shipped configuration of an HA node without any watch."""
    kept, found, _ = text.partition("\nwatches = [")
    assert found, "consul.d/ha-node.hcl has no watches to remove"
    return kept + "\n"


def overrides(plan: WholePlan) -> dict[str, Any]:
    """Return the settings that an observer's agent loads after the shipped file."""
    sweep = ["nova-ha-check-ssh", "--paced", "--interval", str(plan.interval_s)]
    checks = [
        check("nova-ha-ssh", [*sweep, "--host-limit", HOST_LIMIT], 1, 2 * plan.interval_s),
        check("nova-ha-cluster", ["nova-ha-check-cluster"] if plan.timer else ["true"], plan.timer_s, 25),
        check("nova-ha-bmc", ["nova-ha-check-bmc"], plan.bmc_s, 55),
    ]
    counting = {
        "type": "checks",
        "service": "nova-ha",
        "handler_type": "script",
        "args": ["nova-ha-handle-failures"],
    }
    watches = [counting] if plan.watches is Watches.COUNTING else []
    return {"service": {"id": "nova-ha", "name": "nova-ha", "checks": checks}, "watches": watches}
