"""What an operator can do about each closed gate, and about a key that cannot be read."""

from __future__ import annotations

from collections.abc import Mapping

from nova_ha.cluster.gate import Gate
from nova_ha.cluster.policy import OPTIONS
from nova_ha.cluster.schema import (
    APPROVAL,
    COMPUTE_NODES,
    CONFIG,
    HA_NODES,
    INCIDENTS_OPEN,
    MAINTENANCE,
    RECOVERY_SEMAPHORE,
    STORAGE,
    is_name,
)
from nova_ha.cluster.view import ClusterView
from nova_ha.consul.values import Fault, Problem

# `{node}` is the compute node that the gate is closed for, `{gate}` the gate's own name. Every Gate has a line.
# ruff: noqa: E501 (one line for each, as it is printed)
REMEDIES: Mapping[Gate, str] = {
    Gate.PAUSED: "`nova-ha resume`",
    Gate.MAINTENANCE: "`nova-ha node maintenance {node} --end`, or wait for its end",
    Gate.NO_QUORUM: "start the Consul agents of the HA nodes; `nova-ha doctor` says what they miss",
    Gate.LEFT: "if its host is down unplanned, `nova-ha approve {node} --gate left`; else start its agent again",
    Gate.MAX_FAILED: "look for a fault of the network first; `nova-ha approve {node}` recovers it all the same",
    Gate.UNREADABLE: "`nova-ha node show {node}` names the key; mend it with `nova-ha node set {node}`",
    Gate.POLICY: "`nova-ha config check` names every mistake",
    Gate.NOVA_AWAY: "it waits for Nova, `nova-ha doctor` tries the API; disable nova-computes that were stopped on purpose",
    Gate.NO_TARGET: "start nova-compute on an HA node; `nova-ha doctor` shows them",
    Gate.SHARED_FIRST: "it goes on by itself; `nova-ha approve {node} --gate shared-first` leaves them, and does not wait",
    Gate.HA_NODE_BUSY: "it waits for the HA node; `nova-ha ha-node add` brings another one",
    Gate.LIMIT: "it waits for a place; `nova-ha config set recovery/limit NUMBER` makes more",
    Gate.LOCKED: "somebody works on it; `nova-ha status --watch`",
    Gate.LOCK_DELAY: "it waits out the lock delay, a minute at most; `nova-ha status --watch`",
    Gate.NOT_DUE: "nothing is to be recovered now; `nova-ha explain {node}` says why",
    Gate.ANSWERS: "is the host well? `nova-ha node reset {node}`; else `nova-ha approve {node} --gate {gate}`",
    Gate.NOVA_REPORTS: "is the host well? `nova-ha node reset {node}`; else `nova-ha approve {node} --gate {gate}`",
    Gate.AGENT_ALIVE: "is the host well? mend its sshd or the way to it; else `nova-ha approve {node} --gate {gate}`",
    Gate.DISABLED_BY_OTHER: "see who disabled it and why; then `nova-ha approve {node} --gate {gate}`",
    Gate.RUNTIME_CONFIG: "`nova-ha node migrate-keys {node}` or `nova-ha node set {node} --nova-host HOST`, then `nova-ha node retry {node}`",
    Gate.NO_BMC: "cut its power by hand, then `nova-ha node confirm-off {node}`; or `nova-ha node set {node} --bmc-ip IP`",
    Gate.BMC_IDENTITY: "`nova-ha node set {node} --bmc-ip IP`, or --probe where the BMC is a new one; then `nova-ha node retry {node}`",
    Gate.NO_IDENTITY: "`nova-ha doctor --record`; where its BMC shows none, see that it is this host's: `nova-ha approve {node} --gate {gate}`, or for good `nova-ha node set {node} --bmc-identity none --why TEXT`; then `nova-ha node retry {node}`",
    Gate.BMC_UNREACHABLE: "it tries again by itself; or cut its power by hand, then `nova-ha node confirm-off {node}`",
    Gate.OWN_HOST: "run it on another HA node, or `nova-ha approve {node} --gate own-host`",
    Gate.REPEAT: "it failed before, a short time ago; `nova-ha approve {node}` recovers it again",
    Gate.APPROVAL: "`nova-ha approve {node}`",
    Gate.NOT_OFF: "cut its power by hand, then `nova-ha node confirm-off {node}`; a BMC that still reads on must lose its power too",
    Gate.NOT_SILENT: "what is off is another machine: see which one; where its BMC is another machine's, `nova-ha node set {node} --bmc-ip IP`; then `nova-ha node retry {node}`",
    Gate.DISK_LOCKED: "see that its power is off, and that its storage has let go of its locks (an NFS server keeps them for a while); then `nova-ha node retry {node}`",
    Gate.PORT_REFUSES: "see that it is off; what refuses is a gateway or firewall then: `nova-ha approve {node} --gate {gate}`",
    Gate.POWERED_ON: "somebody powered it on: `nova-ha node retry {node}` fences it again, `nova-ha node reset {node}` keeps it",
    Gate.POWER_UNKNOWN: "it goes on by itself once it can be read; or see that its power is off, then `nova-ha node confirm-off {node}`",
    Gate.SERVICE_UP: "somebody cleared Nova's forced-down; `nova-ha node retry {node}`",
    Gate.RECEIPT_EXPIRED: "see that its power is still off, then `nova-ha node confirm-off {node}` again",
    Gate.WITHDRAWN: "`nova-ha node reset {node}` ends the incident",
    Gate.NOVA_FAILS: "it tries again by itself; `nova-ha doctor` tries the API, `nova-ha node retry {node}` starts anew",
    Gate.TOO_MANY_SERVERS: (
        "make sure that the host is off, `openstack server evacuate` some of them by hand, then `nova-ha node retry {node}`"
    ),
    Gate.LEFT_BEHIND: "`nova-ha history {node}` names the servers; then `nova-ha node retry {node}`",
}


# Keys that are removed, whatever is in them: the operator's own words.
OPERATORS_OWN = {
    APPROVAL: "`consul kv delete ha_cluster/compute_nodes/{node}/config/approval`",
    MAINTENANCE: "`nova-ha node maintenance {node} --end`",
}


def remedy(gate: Gate | None, node: str) -> str:
    """Return what helps, as one line with the command in it."""
    if gate is None:
        return f"`nova-ha history {node}` tells what happened; `nova-ha node retry {node}` begins anew"
    return REMEDIES[gate].format(node=node, gate=gate.value)


def remedy_in(view: ClusterView, gate: Gate | None, node: str) -> str:
    """Return what helps this node, where it is its keys with the command that mends the first one."""
    bad = view.all_problems_of(node)
    return mending(bad[0]) if gate is Gate.UNREADABLE and bad else remedy(gate, node)


def mending(problem: Problem) -> str:
    """Return the command that mends a key: ours where there is one, Consul's own for a key set by hand."""
    if problem.fault is Fault.MISPLACED:
        return f"`consul kv delete {problem.key}`"
    if problem.key.startswith(CONFIG):
        return _option_mending(problem.key)
    if problem.key.startswith(INCIDENTS_OPEN):
        return f"`consul kv get {problem.key}` shows it; when nobody works on it, `consul kv delete {problem.key}`"
    if problem.key.startswith(RECOVERY_SEMAPHORE):
        return f"when no recovery runs, `consul kv delete {problem.key}`"
    folder, command = (COMPUTE_NODES, "node") if problem.key.startswith(COMPUTE_NODES) else (HA_NODES, "ha-node")
    node, _, leaf = problem.key.removeprefix(folder).partition("/")
    if problem.key.startswith(folder) and node and not is_name(node):
        return f"`consul kv delete -recurse {problem.key}`"
    if not problem.key.startswith(folder) or not leaf:
        return f"`consul kv get {problem.key}`"
    if leaf == STORAGE:
        return f"`nova-ha {command} set {node} --storage local`, or `--storage ''`"
    if leaf in OPERATORS_OWN:
        return OPERATORS_OWN[leaf].format(node=node)
    if option := _option(command, leaf):
        return f"`nova-ha {command} {'set' if command == 'node' else 'add'} {node} {option}`"
    return f"`consul kv put {problem.key} VALUE`"


def _option_mending(key: str) -> str:
    name = key.removeprefix(CONFIG)
    return f"`nova-ha config set {name} VALUE`" if name in OPTIONS else f"`consul kv delete {key}`"


def _option(command: str, leaf: str) -> str:
    if leaf in ("internal/runtime_config", "config/nova_host"):
        return "--nova-host HOST"
    part, _, name = leaf.removeprefix("config/").partition("/")
    if command != "node" or part not in ("ssh", "bmc") or not name:
        return ""
    if name in ("host_key", "identity"):
        return "--probe"
    return f"--{part}-password-file FILE" if name == "password" else f"--{part}-{name} {name.upper()}"
