"""What `doctor` tries of the compute hosts: an SSH login and a BMC login at each, with their identities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from nova_ha.cli.doctor.finding import Finding, bad, ok, warning
from nova_ha.cli.identify import SideBySide, ssh_host_key
from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.registry import NodeSettings
from nova_ha.cluster.view import ClusterView
from nova_ha.errors import HAError

if TYPE_CHECKING:
    from nova_ha.power.bmc_sweep import BMCSighting
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
    from nova_ha.probe.sighting import Grade, SightCause

    if seen.cause is SightCause.TURNED_AWAY:
        return "the HA nodes' addresses in its sshd_config: `PerSourcePenaltyExemptList` (OpenSSH 9.8 and newer)"
    if seen.cause is SightCause.TOO_MUCH:
        return "find out who answers there: no SSH server sends so much"
    if seen.cause in (SightCause.KEY_CHANGED, SightCause.BAD_HOST_KEY, SightCause.NO_KEYS):
        return f"if the host was installed anew: `nova-ha node set {name} --probe`; else find out who answers there"
    if seen.grade is Grade.ANSWERS_NO:
        return (
            f"mend that account there, or its keys: `nova-ha node set {name} --ssh-...`; `nova-ha check ssh {name}`"
        )
    return f"bring the host up, or mend it with `nova-ha node set {name} --ssh-...`; `nova-ha check ssh {name}`"


def bmc_findings(view: ClusterView) -> tuple[list[Finding], Mapping[str, str]]:
    """Read power and identity at every BMC; return the findings, and the identities that can be recorded.

    That is none which is another machine's by all that is known.
    """
    from nova_ha.power.bmc_sweep import sweep

    nodes = view.compute_nodes
    found = sweep({name: node.bmc for name, node in nodes.items() if node.bmc}, BMC_DEADLINE_S)
    sides = {name: SideBySide.of(nodes[name], seen.identity, nodes) for name, seen in found.items()}
    twins = _twins({name: seen.identity for name, seen in found.items()})
    good = {name: side.shown for name, side in sides.items() if side.shown and name not in twins and not side.suspect}
    findings = [_bmc_finding(nodes[name], seen, sides[name], name in good) for name, seen in found.items()]
    return [*findings, *_alike(view, sides, twins)], good


def _bmc_finding(node: ComputeNode, seen: BMCSighting, side: SideBySide, good: bool) -> Finding:
    from nova_ha.cluster.identity_gates import not_recorded
    from nova_ha.power.identity import Match, compared

    name, bmc = node.name, node.bmc
    assert bmc is not None
    power = f"{bmc}: power {seen.power.state.value}"
    if seen.trouble:
        remedy = f"mend it with `nova-ha node set {name} --bmc-...`; `nova-ha check bmc {name}`"
        return bad("BMC", name, f"{bmc}: {seen.trouble}: it cannot be fenced", remedy)
    if not_recorded(node):
        none = f"placeholder {bmc.identity!r} is recorded as its" if bmc.identity else "no"
        words = f"{power}, but {none} identity{'' if bmc.identity else ' is recorded'}: it is not fenced without you"
        if side.shown:
            return (warning if good else bad)("BMC", name, f"{words}; {side}", "`nova-ha doctor --record`")
        return bad(
            "BMC", name, f"{words}, and it shows none", f"`nova-ha node set {name} --bmc-identity none --why TEXT`"
        )
    if node.identity_word and not side.shown:
        return ok("BMC", name, f"{power}, its identity is not compared, by {node.identity_word}")
    if node.identity_word:
        words = f"{power}, its identity is not compared, by {node.identity_word}; but now it shows {side.shown}"
        return warning("BMC", name, words, f"`nova-ha node set {name} --probe` records it")
    if compared(bmc.identity, seen.identity) is not Match.EQUAL:
        words = f"{bmc} is {seen.identity or 'without identity'}, recorded is {bmc.identity}"
        remedy = f"if the BMC was replaced: `nova-ha node set {name} --probe`; else mend --bmc-ip"
        return bad("BMC", name, words, remedy)
    words = f"{power}, the identity is the recorded one"
    if side.match is Match.DIFFERS:
        return warning("BMC", name, f"{words}, but {side}", f"see that it is the BMC of {name}: cables, --bmc-ip")
    knows = "confirmed by the host" if side.match is Match.EQUAL else "known from the BMC alone"
    return ok("BMC", name, f"{words}, {knows}")


def _twins(shown: Mapping[str, str | None]) -> Mapping[str, str]:
    """Return each node whose BMC shows what another one's does, with that other one."""
    from nova_ha.power.identity import Match, compared

    return {
        name: other
        for name, identity in shown.items()
        for other, its in shown.items()
        if name != other and compared(identity, its) is Match.EQUAL
    }


def _alike(view: ClusterView, sides: Mapping[str, SideBySide], twins: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what makes the BMCs of two nodes look like one, or like each other's."""
    from nova_ha.cli.bmc_addresses import sharing

    for name, other in twins.items():
        words = f"its BMC shows the identity that the BMC of {other} shows: nothing tells the two apart"
        yield bad("BMC", name, words, "see whether they are one; mend --bmc-ip")
    for name, side in sides.items():
        if not side.other or not side.suspect:
            continue
        words = f"its BMC shows {side.shown}, which the host {side.other} says is its own"
        if (its := sides.get(side.other)) and its.other == name:
            words = f"its BMC shows the identity of the host {side.other}, and that of {side.other} the one of {name}"
            words += ": the two BMCs look swapped"
        yield bad("BMC", name, words, f"see the cables; then `nova-ha node set {name} --bmc-ip IP --probe`")
    for name, other, where in sharing(view.compute_nodes):
        words = f"its BMC and that of {other} are at one address: {where}"
        yield warning("BMC", name, words, "see that they are two")


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
    from nova_ha.cluster.identity_gates import not_recorded

    found = {}
    for name, node in nodes.items():
        key = None if node.ssh.host_key else keys.get(name)
        identity = identities.get(name) if not_recorded(node) else None
        if key or identity:
            found[name] = NodeSettings(ssh_host_key=key, bmc_identity=identity)
    return found


def _key_or_none(node: ComputeNode) -> str | None:
    try:
        return ssh_host_key(node)
    except HAError:
        return None
