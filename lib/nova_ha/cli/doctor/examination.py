"""Trying everything that a recovery would need: one area after the other."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from nova_ha.cli.clients import Clients
from nova_ha.cli.doctor.finding import Finding, bad, ok
from nova_ha.errors import ConsulError, HAError

if TYPE_CHECKING:
    from nova_ha.cli.overview import Overview
    from nova_ha.cluster.registry import NodeSettings
    from nova_ha.consul.store import Store


Examination = Callable[[], Sequence[Finding]]


def examine(
    clients: Clients, *, record: bool, quick: bool = False, done: Callable[[str], None] = lambda area: None
) -> list[Finding]:
    """Try it all, or with `quick` what takes no time, and return the findings by area.

    `done` is told each area that has ended.

    Nothing is raised: what cannot be tried is a finding.
    """
    from nova_ha.cli.doctor.consul import consul_findings, unreadable
    from nova_ha.cli.overview import look

    store = clients.store()
    try:
        seen = look(store, clients.clock.now())
    except ConsulError as error:
        return list(unreadable(store, error))
    settings: dict[str, NodeSettings] = {}
    # Alone: the others import for a second, and the sweep would find this machine too busy to tell.
    logins = _tried("SSH", lambda: _ssh(seen))
    done("SSH")
    areas: dict[str, Examination] = {
        "Consul": lambda: [*consul_findings(store, seen), *_agent(store, seen)],
        "BMC": lambda: _bmc(seen, settings, record),
        "Nova": lambda: _nova(clients, seen),
    }
    if not quick:
        areas["reports"] = lambda: _reports(clients, seen)
    found = _all_at_once(areas, done)
    return [*logins, *found] + [_recorded(store, name, wanted) for name, wanted in settings.items()]


def _all_at_once(areas: Mapping[str, Examination], done: Callable[[str], None]) -> list[Finding]:
    """Try all areas at once. In daemon threads, so that Ctrl-C ends it although a sweep still runs."""
    ended: queue.SimpleQueue[tuple[str, Sequence[Finding]]] = queue.SimpleQueue()

    def work(area: str) -> None:
        ended.put((area, _tried(area, areas[area])))

    for area in areas:
        threading.Thread(target=work, args=(area,), name=area, daemon=True).start()
    found: dict[str, Sequence[Finding]] = {}
    while len(found) < len(areas):
        area, findings = ended.get()
        found[area] = findings
        done(area)
    return [finding for area in areas for finding in found[area]]


def _agent(store: Store, seen: Overview) -> Sequence[Finding]:
    from nova_ha.cli.doctor.agent import agent_findings

    # Of its own: what the agent does not tell takes nothing from the other findings about Consul.
    return _tried("Consul", lambda: list(agent_findings(store, seen)))


def _ssh(seen: Overview) -> list[Finding]:
    from nova_ha.cli.doctor.hosts import ssh_findings

    return list(ssh_findings(seen.view))


def _bmc(seen: Overview, settings: dict[str, NodeSettings], record: bool) -> list[Finding]:
    """Return the BMCs' findings; with `record`, put into `settings` what can be recorded of the hosts."""
    from nova_ha.cli.doctor.hosts import bmc_findings, missing_host_keys, to_record

    found, identities = bmc_findings(seen.view)
    if record:
        nodes = seen.view.compute_nodes
        settings.update(to_record(nodes, missing_host_keys(nodes), identities))
    return found


def _nova(clients: Clients, seen: Overview) -> list[Finding]:
    from nova_ha.cli.doctor.nova import nova_findings

    return list(nova_findings(clients.compute(), seen.view))


def _reports(clients: Clients, seen: Overview) -> list[Finding]:
    from nova_ha.cli.doctor.cadence import cadence_findings

    return list(cadence_findings(clients.compute(), seen.view.policy.nova_report_interval, clients.clock))


def _recorded(store: Store, name: str, wanted: NodeSettings) -> Finding:
    from nova_ha.cluster.registry import set_compute_node

    what = " and ".join(
        words for words, value in (("host key", wanted.ssh_host_key), ("BMC identity", wanted.bmc_identity)) if value
    )
    try:
        set_compute_node(store, name, wanted)
    except HAError as error:
        return bad("record", name, error.message, error.remedy)
    return ok("record", name, f"{what} recorded")


def _tried(area: str, examination: Examination) -> Sequence[Finding]:
    try:
        return examination()
    except HAError as error:
        return [bad(area, "all", error.message, error.remedy)]
    except Exception as error:
        # A thread's own end of the guard: without it nobody would ever hear of the area.
        return [bad(area, "all", f"{type(error).__name__}: {error}", "this is a mistake in nova-ha: report it")]
