"""The keys under `ha_cluster/`, and what may name a node in them."""

from __future__ import annotations

from typing import NewType

from nova_ha.consul.values import BadValue, shown

HostName = NewType("HostName", str)

ROOT = "ha_cluster/"
COMPUTE_NODES = ROOT + "compute_nodes/"
HA_NODES = ROOT + "ha_nodes/"
CONFIG = ROOT + "config/"
INCIDENTS_OPEN = ROOT + "incidents/open/"
INCIDENTS_CLOSED = ROOT + "incidents/closed/"
PAUSED = ROOT + "paused"
WAKE = ROOT + "wake"
RECOVERY_SEMAPHORE = ROOT + "locks/recovery"

# The service that carries the observers' checks, and the checks' ids, as in consul.d/ha-node.hcl.
SERVICE = "nova-ha"
SSH_CHECK = "nova-ha-ssh"
BMC_CHECK = "nova-ha-bmc"
CLUSTER_CHECK = "nova-ha-cluster"

# The leaf of a compute node that says that its Consul agent had left on purpose when it began to fail.
LEFT = "internal/left"
# Leaves of a node: the lock of whoever works on it, what the operator lets pass, and until when it is left alone.
LOCK = "internal/.lock"
APPROVAL = "config/approval"
MAINTENANCE = "config/maintenance"
# Leaves of a compute node: which system its BMC must show itself to be, or who says why that cannot be compared.
IDENTITY = "config/bmc/identity"
IDENTITY_WORD = "config/bmc/identity_word"
# Leaves of a compute node: what the monitor counts and sets, and what the claim of a recovery sets.
NUMBER_FAILS = "internal/number_fails"
FAILED = "status/failed"
RECOVERED = "status/recovered"
# Nova's name of a node, by the operator's word; and what a compute node's own agent says of it.
NOVA_HOST = "config/nova_host"
RUNTIME_CONFIG = "internal/runtime_config"
# The leaf of a node of either kind whose root disks no other host shares, whatever the policy says.
STORAGE = "config/storage"
# The leaf of an HA node that a driver there works, or that it is reserved by hand.
IN_USE = "status/in_use"
# The leaf of an HA node that says for what the recoveries wait that it has looked at, and that have no incident.
WAITS = "internal/waits"
# The leaf of an HA node with what its look-out sees of hosts whose SSH login fails.
WITNESS = "internal/witness"

# What Nova's disabled_reason begins with where it is ours.
OUR_REASON = "nova-ha:"
# That of an HA node that is kept free; only a service disabled with exactly this is enabled.
RESERVE_REASON = f"{OUR_REASON} reserve"


def compute_node(node: str, leaf: str = "") -> str:
    """Return the key of a compute node: `compute_node("c1", "status/failed")`."""
    return f"{COMPUTE_NODES}{node}/{leaf}"


def ha_node(node: str, leaf: str = "") -> str:
    """Return the key of an HA node."""
    return f"{HA_NODES}{node}/{leaf}"


def open_incident(node: str) -> str:
    """Return the key of the node's open incident."""
    return INCIDENTS_OPEN + node


def closed_incident(node: str, started: str) -> str:
    """Return the key of one of the node's past incidents; `started` as `to_key` writes it."""
    return f"{INCIDENTS_CLOSED}{node}/{started}"


def is_name(name: str) -> bool:
    """True where the name can be a node's: one path segment that Consul takes."""
    good = name.isascii() and all(c.isalnum() or c in "-_." for c in name) and ".." not in name
    return good and bool(name) and name[0].isalnum() and len(name) <= 253


def check_name(name: str) -> HostName:
    """Return the name if it can be a node's: one path segment that Consul takes. Raises BadValue."""
    if not is_name(name):
        raise BadValue(
            f"name {shown(name)} is not a node's name: letters, digits, '-', '_' and '.', no slash, no space, no '..'"
        )
    return HostName(name)
