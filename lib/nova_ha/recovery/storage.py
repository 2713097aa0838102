"""What becomes of the disks of a failed host's servers, by the operator's word: nothing in Nova's API tells.

Nova decides at the destination (does it see the disk?) and, when the source returns, there: so both ends count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from nova_ha.cluster.incident import ServerProgress, ServerState
from nova_ha.cluster.nova_name import is_own_name
from nova_ha.cluster.policy import Storage
from nova_ha.cluster.storage_word import out_by_own_report
from nova_ha.cluster.view import ClusterView
from nova_ha.compute import Server
from nova_ha.compute.states import RootDisk
from nova_ha.printable import first_few
from nova_ha.recovery.targets import ANY_HOST

REBUILD = "rebuild"
NAMES_SHOWN = 5


@dataclass(frozen=True)
class Disks:
    """The disks of one failed host's servers.

    `shared` is True where the failed host is in shared storage. `local_hosts` are those that the operator took out
    of it, or their own reports, by every name that may be theirs; `reported` are the nodes that their own reports
    took out. `kinds` and `own_host` are where servers may go. `words` has the servers that an operator lets come back
    with a new disk, each until when.
    """

    node: str
    own_host: str
    kinds: Sequence[str]
    shared: bool
    local_hosts: frozenset[str] = frozenset()
    rebuilds: bool = False
    words: Mapping[str, datetime] = field(default_factory=dict)
    reported: Sequence[str] = ()

    @classmethod
    def of(cls, view: ClusterView, node: str, own_host: str, words: Mapping[str, datetime]) -> Disks:
        """Return them as the keys have it. A node that is not registered shares nothing: nobody speaks for it."""
        policy, failed = view.policy, view.compute_nodes.get(node)
        reported = out_by_own_report(view)
        source_shares = failed is not None and not failed.local_storage and node not in reported
        return cls(
            node=node,
            own_host=own_host,
            kinds=policy.recovery_target,
            shared=policy.recovery_storage is Storage.SHARED and source_shares,
            local_hosts=frozenset([*_local_hosts(view), *_reported_hosts(view, reported)]),
            rebuilds=policy.recovery_local_disk == REBUILD,
            words=words,
            reported=reported,
        )

    def seen_at(self, host: str) -> bool:
        """True where a disk on the failed host's storage is seen at `host`; with ANY_HOST, wherever that may be."""
        if not self.shared:
            return False
        return not self.local_hosts if host == ANY_HOST else not self._is_local(host)

    def _is_local(self, host: str) -> bool:
        return any(is_own_name(local, host) for local in self.local_hosts)

    @property
    def stay_behind(self) -> bool:
        """True where no root disk that is on the host comes back from wherever its server may go."""
        return not any(self.seen_at(host) for host in self._places())

    def kept(self, progress: ServerProgress, host: str) -> bool:
        """True where the server's root disk comes back with it at the host."""
        return progress.on_volume or self.seen_at(host)

    def judged(self, server: str, progress: ServerProgress, now: datetime) -> ServerProgress:
        """Return the progress of one that is still to be asked for: left, where only a new disk would come back."""
        if progress.state is not ServerState.PENDING or self._can_keep(progress) or self._new_allowed(server, now):
            return progress
        return replace(progress, state=ServerState.LEFT, reason=self._why_left(server))

    def hosts_for(self, progress: ServerProgress, hosts: Sequence[str]) -> Sequence[str]:
        """Return those of the hosts that a server which is not left may go to.

        One whose disk can be kept somewhere waits for that; of the others the disk is lost wherever they go.
        """
        if not self._can_keep(progress):
            return hosts
        return [host for host in hosts if self.kept(progress, host)]

    def arrived(self, progress: ServerProgress) -> ServerProgress:
        """Return the progress of one that has arrived: evacuated only where its root disk came back."""
        if not self.kept(progress, progress.host):
            return replace(progress, state=ServerState.REBUILT, reason="came back with a new disk from its image")
        if progress.ephemeral and not self.seen_at(progress.host):
            return replace(progress, reason="its ephemeral disk came back empty")
        return progress

    def _can_keep(self, progress: ServerProgress) -> bool:
        return progress.on_volume or not self.stay_behind

    def _places(self) -> Sequence[str]:
        return [self.own_host if kind == "ha-node" else ANY_HOST for kind in self.kinds]

    def _new_allowed(self, server: str, now: datetime) -> bool:
        return self.rebuilds or (server in self.words and now < self.words[server])

    def _why_left(self, server: str) -> str:
        elsewhere = f"{self.own_host} does not share its root disk"
        where = elsewhere if self.shared else "its root disk is on the dead host"
        if self.node in self.reported:
            where += ", as that host has reported"
        elif self.shared and self.reported and ANY_HOST in self._places():
            where = (
                f"its root disk is not seen everywhere: not on {first_few(self.reported, NAMES_SHOWN)}, as reported"
            )
        command = f"`nova-ha node rebuild-server {self.node} {server}`"
        return f"{where}: repair the host, or {command} for a new disk from its image"


def _local_hosts(view: ClusterView) -> Iterator[str]:
    """Yield every name that Nova may have for a host that is out: which one it is may be in doubt by now."""
    for node in view.compute_nodes.values():
        if node.local_storage:
            yield from filter(None, (node.name, node.nova_word))
            if node.runtime and not _of_another(view, node.name, node.runtime.nova_host):
                yield node.runtime.nova_host
    for other in view.ha_nodes.values():
        if other.local_storage:
            yield from filter(None, (other.name, other.nova_host))


def _of_another(view: ClusterView, node: str, said: str) -> bool:
    """True where operators gave that name to another node: what an agent says takes its own node out alone."""
    names = [
        name for other in view.compute_nodes.values() if other.name != node for name in (other.name, other.nova_word)
    ]
    names += [name for other in view.ha_nodes.values() for name in (other.name, other.nova_host)]
    return any(name and is_own_name(name, said) for name in names)


def _reported_hosts(view: ClusterView, reported: Sequence[str]) -> Iterator[str]:
    """Yield their names: a report takes its own host out, and none whose name it gives itself."""
    for node in (view.compute_nodes[name] for name in reported):
        yield from filter(None, (node.name, node.nova_word, node.nova_host))


def with_disks(progress: ServerProgress, server: Server) -> ServerProgress:
    """Return the progress with what Nova says of the server's disks."""
    return replace(progress, on_volume=server.root_disk is RootDisk.VOLUME, ephemeral=server.ephemeral_gb > 0)
