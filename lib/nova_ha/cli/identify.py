"""What a host and its BMC show of themselves, so that no other machine is taken for it later."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from nova_ha.cluster.node import ComputeNode
from nova_ha.errors import HAError
from nova_ha.power.device import FenceDevice
from nova_ha.power.identity import Match, compared, known

LIMIT_S = 10.0


@dataclass(frozen=True)
class Shown:
    """What could be read, as settings of the registry; and in one line each, what could not."""

    settings: dict[str, str] = field(default_factory=dict)
    troubles: tuple[str, ...] = ()


@dataclass(frozen=True)
class SideBySide:
    """The identity that a BMC shows beside what the hosts say of themselves; they confirm it, or warn."""

    shown: str | None
    hosts_own: str
    other: str = ""

    @classmethod
    def of(cls, node: ComputeNode, shown: str | None, nodes: Mapping[str, ComputeNode]) -> SideBySide:
        """Return what this node's host says, and which other host says that the shown identity is its own."""
        others = (name for name, other in nodes.items() if name != node.name and _says(other, shown))
        return cls(shown, node.runtime.system_uuid if node.runtime else "", next(others, ""))

    @property
    def match(self) -> Match:
        """Return how the two compare. A serial number says nothing about a UUID."""
        if not is_uuid(self.shown):
            return Match.NOTHING_TO_COMPARE
        return compared(self.hosts_own, self.shown)

    @property
    def suspect(self) -> bool:
        """True where the BMC looks like another machine's."""
        return self.match is Match.DIFFERS or (bool(self.other) and self.match is not Match.EQUAL)

    def __str__(self) -> str:
        also = f"; the host {self.other} says that this is its own" if self.other else ""
        return f"the BMC shows {self.shown or 'none'}, the host says {self.hosts_own or 'nothing'}{also}"


def is_uuid(identity: str | None) -> bool:
    """True for a UUID that is no placeholder."""
    return identity is not None and len(known(identity) or "") == 32


def _says(node: ComputeNode, shown: str | None) -> bool:
    return is_uuid(shown) and node.runtime is not None and compared(node.runtime.system_uuid, shown) is Match.EQUAL


def identities(node: ComputeNode, *, renew: bool) -> Shown:
    """Read the SSH host key and the BMC's identity, at the same time; recorded ones only where `renew` is set.

    Takes at most LIMIT_S seconds. Never raises for what it cannot read.
    """
    wanted: dict[str, Callable[[], str | None]] = {}
    if renew or not node.ssh.host_key:
        wanted["ssh_host_key"] = lambda: ssh_host_key(node)
    if node.bmc is not None and (renew or not node.bmc.identity):
        bmc = node.bmc
        wanted["bmc_identity"] = lambda: bmc_identity(bmc, LIMIT_S)
    with ThreadPoolExecutor(2) as pool:
        found = dict(zip(wanted, pool.map(_tried, wanted.values()), strict=True))
    return Shown(
        {name: value for name, (value, _) in found.items() if value},
        tuple(trouble for _, trouble in found.values() if trouble),
    )


def ssh_host_key(node: ComputeNode) -> str:
    """Return the key that the host's sshd shows. Raises HAError."""
    from nova_ha.probe.ssh_sweep import host_key

    return host_key(node.ssh)


def bmc_identity(device: FenceDevice, timeout_s: float) -> str | None:
    """Return the identity that the BMC shows, None where it has none. Raises HAError."""
    from nova_ha.power import connect

    return connect(device).identity(timeout_s)


def _tried(read: Callable[[], str | None]) -> tuple[str | None, str]:
    try:
        return read(), ""
    except HAError as error:
        return None, str(error)
