"""The findings: all that a decision about a recovery may look at, gathered in parallel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.together import NOBODY, FailingNow
from nova_ha.cluster.view import ClusterView, read_view
from nova_ha.compute import Server, ServiceReading
from nova_ha.compute.states import RootDisk
from nova_ha.consul.semaphore import Semaphore
from nova_ha.errors import BMCError, HAError
from nova_ha.limits import BMC_READING_S
from nova_ha.power import PowerReading, PowerState
from nova_ha.power.identity import Match, compared
from nova_ha.probe.failing import failing_now
from nova_ha.probe.votes import NodeVotes, Votes, read_votes
from nova_ha.recovery.driver_clients import DriverClients, Sight
from nova_ha.recovery.failing_since import followed
from nova_ha.recovery.silence import KEPT_S, Heard

T = TypeVar("T")

SIGHT_LIMIT_S = 1.0
CLOCKS_DIFFER = timedelta(seconds=60)
NOT_READ = PowerReading(PowerState.UNKNOWN, "not read")


@dataclass(frozen=True)
class Findings:
    """What the last look saw. `services`, or `servers`, is None, with `nova_trouble`, where Nova could not be asked.

    `heard` are this process's readings of all nova-computes, the one of this look last. `failing` are the Nova hosts
    that a quorum of the observers sees failing, `well` those that it sees well, `failing_now` the nodes that fail as
    the monitor counts them, and the node itself, `reported` those that have reported
    since they began to fail. `agent_alive` says that the host's own Consul agent lives; `left` are the members of
    Consul whose agents have left on purpose. `began_s` is when the look began, by the monotonic clock.
    """

    view: ClusterView
    votes: NodeVotes
    now: datetime
    me: str
    sight: Sight
    services: Sequence[ServiceReading] | None = None
    nova_trouble: str = ""
    heard: Sequence[Heard] = ()
    failing: frozenset[str] = frozenset()
    well: frozenset[str] = frozenset()
    failing_now: FailingNow = NOBODY
    agent_alive: bool = False
    left: frozenset[str] = frozenset()
    reported: frozenset[str] = frozenset()
    identity: str | None = None
    identity_trouble: str = ""
    power: PowerReading = NOT_READ
    began_s: float = 0.0
    # Read before the view. Each claim writes it, so a claim that finds it unchanged knows of all incidents.
    semaphore: Semaphore | None = None
    # How many are on the host, and how many of them have their root disks on it; None where that is not known.
    servers: int | None = None
    root_disks: int | None = None
    # The HA nodes whose agents live, and those that this process has left the host to, and that did not take it.
    alive: frozenset[str] = frozenset()
    waited_for: frozenset[str] = frozenset()

    @property
    def earliest_now(self) -> datetime:
        """The time of day by whichever clock is behind, ours or Nova's: one that jumped ahead ends nothing."""
        return min([self.now, *(reading.read_at for reading in self.services or ())])

    @property
    def latest_now(self) -> datetime:
        """The time of day by whichever clock is ahead, ours or Nova's: one that fell behind prolongs nothing."""
        return max([self.now, *(reading.read_at for reading in self.services or ())])

    def started(self) -> datetime:
        """Return when an incident begins that is opened now: by Nova's clock where ours is far behind it.

        What began too early by a wrong clock would soon not count for the storm guard any more.
        """
        latest = self.latest_now
        return latest if latest - self.now > CLOCKS_DIFFER else self.now

    def service_of(self, nova_host: str) -> ServiceReading | None:
        """Return the nova-compute of that host, or None where Nova knows none."""
        return next((s for s in self.services or () if s.service.host == nova_host), None)


def look(clients: DriverClients, node: ComputeNode, view: ClusterView | None = None) -> Findings:
    """Gather the findings, the slow reads in parallel. Raises ConsulError; all else becomes a finding."""
    began = clients.clock.monotonic()
    with ThreadPoolExecutor(4) as pool:
        sight = pool.submit(clients.sight, node, SIGHT_LIMIT_S)
        nova = pool.submit(_nova_read, clients, node.nova_host or "")
        identity = pool.submit(_bmc_read, clients, node)
        fresh = view or read_view(clients.store)
        votes: Votes = read_votes(clients.store, fresh)
        found, trouble, on_host = nova.result()
        (name, power), name_trouble = identity.result()
        failing, well = follow(clients, fresh, votes, began)
        return Findings(
            view=fresh,
            votes=votes.of(node.name),
            now=clients.clock.now(),
            me=clients.me,
            sight=sight.result(),
            services=found,
            nova_trouble=trouble,
            heard=tuple(clients.heard),
            failing=failing,
            well=well,
            failing_now=failing_now(fresh, votes, clients.clock.now(), node.name),
            agent_alive=node.name in votes.alive,
            left=votes.left,
            reported=frozenset(host for host, one in clients.failing_since.items() if one.reported),
            identity=name,
            identity_trouble=name_trouble,
            power=power,
            began_s=began,
            servers=None if on_host is None else len(on_host),
            root_disks=None if on_host is None else sum(s.root_disk is not RootDisk.VOLUME for s in on_host),
            alive=votes.alive & fresh.ha_nodes.keys(),
        )


def _nova_read(
    clients: DriverClients, host: str
) -> tuple[Sequence[ServiceReading] | None, str, Sequence[Server] | None]:
    """Return the nova-computes, the servers on the host, and why one of them is not known."""
    services, trouble = _tried(lambda: hear(clients, host))
    known = any(reading.service.host == host for reading in services or ())
    servers, untold = _tried(lambda: clients.compute().servers(host)) if known else (None, "")
    return services, trouble or untold, servers


def hear(clients: DriverClients, host: str = "") -> Sequence[ServiceReading]:
    """Read every nova-compute that Nova can read, that of the host at any rate, and remember when.

    Raises NovaError, ConfigError.
    """
    clock = clients.clock
    asked = clock.monotonic()
    found = list(clients.compute().services(host))
    answered = clock.monotonic()
    kept = [reading for reading in clients.heard if answered - reading.answered_s <= KEPT_S]
    clients.heard[:] = [*kept, Heard(asked, answered, [reading.service for reading in found])]
    return found


def follow(
    clients: DriverClients, view: ClusterView, votes: Votes, now_s: float
) -> tuple[frozenset[str], frozenset[str]]:
    """Note who fails, and who of them has reported since, for this process and the next.

    `now_s` is when the votes were asked for. Returns who fails, and who is well.
    """
    failing, well = (_seen_hosts(view, votes, failing=which) for which in (True, False))
    clients.failing_since = followed(clients.failing_since, clients.heard, failing, well, now_s)
    clients.keep(clients.heard, clients.failing_since)
    return failing, well


def _seen_hosts(view: ClusterView, votes: Votes, *, failing: bool) -> frozenset[str]:
    """Return the Nova hosts that a quorum sees failing, or those that it sees well."""
    agreed = {
        node.nova_host: votes.of(node.name).agreed(view.quorum)
        for node in view.compute_nodes.values()
        if node.nova_host
    }
    return frozenset(host for host, streak in agreed.items() if streak is not None and bool(streak) is failing)


def _tried(read: Callable[[], T]) -> tuple[T | None, str]:
    try:
        return read(), ""
    except HAError as error:
        return None, str(error)


def _bmc_read(clients: DriverClients, node: ComputeNode) -> tuple[tuple[str | None, PowerReading], str]:
    if node.bmc is None:
        return (None, PowerReading(PowerState.UNKNOWN, "no BMC keys")), "no BMC keys"
    bmc = clients.bmc(node.bmc)
    try:
        identity, trouble = bmc.identity(BMC_READING_S), ""
    except BMCError as error:
        return (None, PowerReading(PowerState.UNKNOWN, str(error))), str(error)
    if compared(node.bmc.identity, identity) is Match.DIFFERS:
        return (identity, bmc.power(BMC_READING_S)), trouble  # it says nothing about this host
    seen = clients.read_power(node.bmc)
    return (identity, seen.last.power if seen.last else NOT_READ), trouble
