"""What `doctor` tries of the compute hosts: an SSH login and a BMC login at each, with their identities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from nova_ha.cli.doctor.finding import Finding, bad, ok, warning
from nova_ha.cli.identify import ssh_host_key
from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.registry import NodeSettings
from nova_ha.cluster.view import ClusterView
from nova_ha.errors import HAError

if TYPE_CHECKING:
    from nova_ha.probe.sighting import Sighting

SSH_DEADLINE_S = 60.0
BMC_DEADLINE_S = 60.0
KEYS_AT_ONCE = 16


def ssh_findings(view: ClusterView) -> Iterator[Finding]:
    """Log in to every node, twice where that was not clear, and yield how it went."""
    from nova_ha.probe.sighting import State
    from nova_ha.probe.ssh_sweep import sweep

    nodes = {name: node.ssh for name, node in view.compute_nodes.items()}
    found = dict(sweep(nodes, SSH_DEADLINE_S))
    unclear = [name for name, seen in found.items() if seen.state is State.UNKNOWN and not seen.refused]
    found |= sweep({name: nodes[name] for name in unclear}, SSH_DEADLINE_S)
    for name, seen in found.items():
        where = f"{nodes[name].user or '?'}@{nodes[name].address}:{nodes[name].port}"
        if seen.state is State.WELL and nodes[name].host_key:
            yield ok("SSH", name, f"login as {where}, the host key is the recorded one")
        elif seen.state is State.WELL:
            yield warning("SSH", name, f"login as {where}, but no host key is recorded", "`nova-ha doctor --record`")
        else:
            yield bad("SSH", name, f"{where}: {seen.why}", _ssh_remedy(name, seen))


def _ssh_remedy(name: str, seen: Sighting) -> str:
    from nova_ha.probe.sighting import Met

    if seen.met is Met.TURNED_AWAY:
        return "the HA nodes' addresses in its sshd_config: `PerSourcePenaltyExemptList` (OpenSSH 9.8 and newer)"
    if seen.met is Met.TOO_MUCH:
        return "find out who answers there: no SSH server sends so much"
    if seen.met is Met.KEYS:
        return f"if the host was installed anew: `nova-ha node set {name} --probe`; else find out who answers there"
    return f"bring the host up, or mend it with `nova-ha node set {name} --ssh-...`; `nova-ha check ssh {name}`"


def bmc_findings(view: ClusterView) -> tuple[list[Finding], Mapping[str, str]]:
    """Read power and identity at every BMC; return the findings, and the identities of those that show one."""
    from nova_ha.power.bmc_sweep import sweep
    from nova_ha.power.identity import Match, compared

    bmcs = {name: node.bmc for name, node in view.compute_nodes.items() if node.bmc}
    found, shown = [], {}
    for name, seen in sweep(bmcs, BMC_DEADLINE_S).items():
        bmc = bmcs[name]
        if seen.identity:
            shown[name] = seen.identity
        if seen.trouble:
            remedy = f"mend it with `nova-ha node set {name} --bmc-...`; `nova-ha check bmc {name}`"
            found.append(bad("BMC", name, f"{bmc}: {seen.trouble}: it cannot be fenced", remedy))
        elif bmc.identity and compared(bmc.identity, seen.identity) is not Match.EQUAL:
            words = f"{bmc} is {seen.identity or 'without identity'}, recorded is {bmc.identity}"
            remedy = f"if the BMC was replaced: `nova-ha node set {name} --probe`; else mend --bmc-ip"
            found.append(bad("BMC", name, words, remedy))
        elif bmc.identity:
            found.append(ok("BMC", name, f"{bmc}: power {seen.power.state.value}, the identity is the recorded one"))
        else:
            words = f"{bmc}: power {seen.power.state.value}, but no identity is recorded"
            remedy = "`nova-ha doctor --record`" if seen.identity else "it shows none: nothing can be compared"
            found.append(warning("BMC", name, words, remedy))
    return found, shown


def missing_host_keys(nodes: Mapping[str, ComputeNode]) -> Mapping[str, str]:
    """Ask the hosts without a recorded key for theirs; those that do not show one are left out."""
    asked = {name: node for name, node in nodes.items() if not node.ssh.host_key}
    with ThreadPoolExecutor(KEYS_AT_ONCE) as pool:
        found = dict(zip(asked, pool.map(_key_or_none, asked.values()), strict=True))
    return {name: key for name, key in found.items() if key}


def to_record(
    nodes: Mapping[str, ComputeNode], keys: Mapping[str, str], identities: Mapping[str, str]
) -> Mapping[str, NodeSettings]:
    """Return what to record for each node: only what is not recorded yet, never another one instead."""
    found = {}
    for name, node in nodes.items():
        key = None if node.ssh.host_key else keys.get(name)
        identity = identities.get(name) if node.bmc and not node.bmc.identity else None
        if key or identity:
            found[name] = NodeSettings(ssh_host_key=key, bmc_identity=identity)
    return found


def _key_or_none(node: ComputeNode) -> str | None:
    try:
        return ssh_host_key(node)
    except HAError:
        return None
