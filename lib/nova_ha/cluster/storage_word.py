"""What is said of shared storage: where nobody has said it, and where a host says of itself that it is not in it."""

from __future__ import annotations

from collections.abc import Sequence

from nova_ha.cluster.policy import Storage
from nova_ha.cluster.view import ClusterView

SHARED = "`nova-ha config set recovery/storage shared`"
LOCAL = "`nova-ha config set recovery/storage local`"
HOW_TO_SAY = f"are all root disks on NFS, CephFS or rbd? {SHARED}; else {LOCAL}, which only ends this line"
NOT_SHARED = (
    "it reports its instances on a disk of its own, others theirs on shared storage: root disks do not come along "
    "from it or to it, and the scheduler is no target for any"
)


def storage_unsaid(view: ClusterView) -> str:
    """Return what follows for the servers; empty where the operator has said it."""
    if view.policy.recovery_storage is not Storage.UNSET or not view.compute_nodes:
        return ""
    return "recovery/storage is not set: a server whose root disk is on a host that dies is left there"


def out_by_own_report(view: ClusterView) -> Sequence[str]:
    """Return the compute nodes that report their instances on a disk of their own, where any other's are shared.

    An operator's `shared` is about what was meant; a mount that is missing since a reboot only the host sees. Where
    no report says shared, as with rbd, the disks are elsewhere than the instances, and none says anything.
    """
    said = {name: node.runtime.shared_instances for name, node in view.compute_nodes.items() if node.runtime}
    if True not in said.values():
        return ()
    return sorted(name for name, shared in said.items() if shared is False)


def unexpected_reports(view: ClusterView) -> Sequence[str]:
    """Return those of them of which the operator expects that they share their storage."""
    if view.policy.recovery_storage is not Storage.SHARED:
        return ()
    return [name for name in out_by_own_report(view) if not view.compute_nodes[name].local_storage]


def how_to_share(node: str) -> str:
    """Return what to do about a host that is out by its own report."""
    return f"mount them there, and its check `runtime` says so; else `nova-ha node set {node} --storage local`"
