"""What `doctor` tries of Nova: rights, services, and room on the HA nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from nova_ha.cli.doctor.finding import Finding, bad, ok, warning
from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.rivals import namesakes
from nova_ha.cluster.schema import RESERVE_REASON
from nova_ha.cluster.shared_gates import name_mending, name_of_another
from nova_ha.cluster.view import ClusterView
from nova_ha.compute import Compute, ServiceReading
from nova_ha.compute.states import RootDisk
from nova_ha.errors import HAError
from nova_ha.printable import first_few
from nova_ha.recovery.storage import REBUILD, Disks

AREA = "Nova"
AT_ONCE = 8
NAMES_SHOWN = 5
LEFT_RECORD = "delete what was left where it was before: `openstack compute service delete`"
STORAGE_WORDS = (
    "boot them from volumes; or, where its storage is shared, `nova-ha config set recovery/storage shared`,"
    " and no `config/storage` key of it or its targets"
)
ROLE = "the recovery needs the role admin (os-services, os-migrations, evacuate)"


def nova_findings(compute: Compute, view: ClusterView) -> Iterator[Finding]:
    """Yield all of it. Raises NovaError where the services cannot be listed."""
    found = compute.services()
    services = {reading.service.host: reading for reading in found}
    for host, count in Counter(reading.service.host for reading in found).items():
        if count > 1:
            yield bad(AREA, host, f"Nova has {count} records of a nova-compute on it", LEFT_RECORD)
    yield ok(AREA, "services", f"{len(services)} nova-compute services")
    yield _migrations(compute, view)
    for _, node in sorted(view.compute_nodes.items()):
        yield from _compute_host(compute, node, services)
    yield from _without_word(view)
    yield from _left_behind(compute, view)
    needs = _needs(compute, [node.nova_host for node in view.compute_nodes.values() if node.nova_host in services])
    for name, ha in sorted(view.ha_nodes.items()):
        yield _ha_host(compute, name, ha.nova_host, services)
        if ha.nova_host in services:
            yield _room(compute, name, ha.nova_host, needs)


def _migrations(compute: Compute, view: ClusterView) -> Finding:
    """Try to read evacuations: what is refused here would stop a recovery in the middle."""
    host = next((node.nova_host for node in view.compute_nodes.values() if node.nova_host), "nova-ha-doctor")
    try:
        compute.evacuations(host)
        compute.servers(host)
    except HAError as error:
        return bad(AREA, "rights", error.message, error.remedy or ROLE)
    return ok(AREA, "rights", "migrations and servers of all projects can be read")


def _left_behind(compute: Compute, view: ClusterView) -> Iterator[Finding]:
    """Yield for each host how many servers would stay on it, with their root disks, if it died now."""
    takes = next((ha.nova_host for ha in view.ha_nodes.values() if not ha.local_storage), "")
    hosts = {name: node.nova_host for name, node in view.compute_nodes.items() if node.nova_host}
    staying = {name: host for name, host in sorted(hosts.items()) if Disks.of(view, name, takes, {}).stay_behind}

    def counted(host: str) -> tuple[int, int]:
        try:
            servers = compute.servers(host)
        except HAError:
            return 0, 0
        return sum(server.root_disk is RootDisk.HOST for server in servers), len(servers)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        counts = dict(zip(staying, pool.map(counted, staying.values()), strict=True))
    end = "would come back with new disks" if view.policy.recovery_local_disk == REBUILD else "would be left"
    for name, (on_host, every) in counts.items():
        if on_host:
            what = f"{on_host} of its {every} servers have their root disk on it: they {end}"
            yield warning(AREA, name, what, STORAGE_WORDS)


def _unreadable(compute: Compute, host: str) -> str:
    """Return why a host is not in the list of services, where Nova has it and cannot read it."""
    try:
        compute.service(host)
    except HAError as error:
        return error.message
    return ""


def _compute_host(compute: Compute, node: ComputeNode, services: Mapping[str, ServiceReading]) -> Iterator[Finding]:
    name, host = node.name, node.nova_host
    reading = services.get(host or "")
    if host is None:
        return  # among the keys: what is said of it is missing, or is not believed
    if reading is None and (why := _unreadable(compute, host)):
        yield bad(AREA, name, f"{why}: it cannot be recovered now", "mend the database of its cell")
    elif others := namesakes(node, services):
        what = f"cannot be recovered: {name_of_another(node, others).evidence}"
        yield bad(AREA, name, what, name_mending(node))
    elif reading is None:
        remedy = f"`nova-ha node set {name} --nova-host HOST`; hosts: {', '.join(sorted(services)[:5])}"
        yield bad(AREA, name, f"Nova knows no nova-compute on {host!r}", remedy)
    elif reading.service.forced_down or not reading.service.enabled:
        how = "forced down" if reading.service.forced_down else "disabled"
        yield warning(
            AREA, name, f"nova-compute is {how} ({reading.service.disabled_reason})", f"`nova-ha node reset {name}`"
        )
    elif not reading.service.up:
        yield warning(AREA, name, "nova-compute is down", "start it, see its log")


def _without_word(view: ClusterView) -> Iterator[Finding]:
    """Warn of the nodes that are believed by their own names alone, as before there was the operator's word."""
    names = [name for name, node in sorted(view.compute_nodes.items()) if node.nova_host and not node.nova_word]
    if names:
        what = f"Nova's name is known by their own names alone: {first_few(names, NAMES_SHOWN)}"
        yield warning(AREA, "compute nodes", what, "`nova-ha node migrate-keys` records it")


def _ha_host(compute: Compute, name: str, host: str, services: Mapping[str, ServiceReading]) -> Finding:
    reading = services.get(host)
    if reading is None and (why := _unreadable(compute, host)):
        return bad(AREA, name, f"{why}: it takes no servers", "mend the database of its cell")
    if reading is None:
        remedy = f"start nova-compute there, or `nova-ha ha-node add {name} --nova-host HOST`"
        return bad(AREA, name, f"Nova knows no nova-compute on {host!r}: it takes no servers", remedy)
    service = reading.service
    if not service.up:
        return bad(AREA, name, "its nova-compute is down: it takes no servers", "start it, see its log")
    if service.enabled:
        return ok(AREA, name, "its nova-compute is up and enabled")
    if service.disabled_reason == RESERVE_REASON:
        return ok(AREA, name, "its nova-compute is up and in reserve")
    words = f"its nova-compute is disabled ({service.disabled_reason}): it takes no servers"
    return bad(AREA, name, words, f"enable it, then `nova-ha ha-node add {name} --reserve`")


def _needs(compute: Compute, hosts: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
    """Return what the servers of each host take; a host that Placement does not know needs nothing."""

    def needed(host: str) -> Mapping[str, int]:
        try:
            return compute.usage(host)
        except HAError:
            return {}

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(hosts, pool.map(needed, hosts), strict=True))


def _room(compute: Compute, name: str, host: str, needs: Mapping[str, Mapping[str, int]]) -> Finding:
    try:
        room = compute.room(host)
    except HAError as error:
        return warning(AREA, name, f"room is not known: {error.message}", error.remedy or "see Placement")
    words = _amounts(room)
    # Disks may be elsewhere (Ceph): a host without any is no host without room.
    if not room or any(room.get(name, 1) <= 0 for name in ("VCPU", "MEMORY_MB")):
        return warning(AREA, name, f"no room: {words or 'none recorded'}", "free some, or add an HA node")
    short = {other: missing for other, need in needs.items() if other != host and (missing := _missing(room, need))}
    if short:
        fullest = max(short, key=lambda other: (needs[other].get("MEMORY_MB", 0), needs[other].get("VCPU", 0)))
        others = f", and {len(short) - 1} more hosts do" if len(short) > 1 else ""
        what = f"room for {words}: {fullest} needs {_amounts(needs[fullest])}{others}"
        return warning(AREA, name, what, "free some, or let the scheduler take the rest (recovery/target)")
    return ok(AREA, name, f"room for {words}")


def _missing(room: Mapping[str, int], need: Mapping[str, int]) -> Mapping[str, int]:
    """Return what the room lacks. Of a class that the host does not have at all nothing is said: it may be shared."""
    return {name: amount for name, amount in need.items() if name in room and amount > room[name]}


def _amounts(amounts: Mapping[str, int]) -> str:
    return ", ".join(f"{amount} {name}" for name, amount in sorted(amounts.items()))
