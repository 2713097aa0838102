"""What `doctor` tries of Consul: the servers, this agent, the token's rights, the keys, the observers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from nova_ha.cli.doctor.finding import Finding, bad, ok, warning
from nova_ha.cli.overview import Overview, observing
from nova_ha.cli.views.remedies import mending
from nova_ha.cluster.policy import OPTIONS
from nova_ha.cluster.release import mixed, unaware
from nova_ha.cluster.schema import (
    COMPUTE_NODES,
    CONFIG,
    HA_NODES,
    INCIDENTS_CLOSED,
    INCIDENTS_OPEN,
    PAUSED,
    RECOVERY_SEMAPHORE,
    RUNTIME_CONFIG,
    WAKE,
)
from nova_ha.cluster.shared_gates import doubted_name, name_mending
from nova_ha.cluster.storage_word import HOW_TO_SAY, NOT_SHARED, how_to_share, storage_unsaid, unexpected_reports
from nova_ha.consul.store import Store
from nova_ha.consul.trouble import reading
from nova_ha.errors import ConsulError, NotAllowed
from nova_ha.limits import LONGEST_INTERVAL_S, SHORTEST_INTERVAL_S, streak_problem
from nova_ha.probe.observation import TOO_LATE, Report

AREA = "Consul"
ASK_RIGHTS = "/v1/internal/acl/authorize"
POLICY_OF = "give the token the policy of consul.d/acl/, as this version has it"


@dataclass(frozen=True)
class Right:
    """One right: what Consul calls it, whose it is, and whether a driver needs it or only an operator."""

    resource: str
    segment: str
    access: str
    driver: bool = True

    def __str__(self) -> str:
        return f"{self.access} {self.resource} {self.segment!r}"


# What a recursive read needs under acl.enable_key_list_policy, where the token may not write; `write` implies it.
LISTS = Right("key", CONFIG, "list")


def rights(node: str) -> Sequence[Right]:
    """Return what an HA node's driver and an operator need; `node` is the local one."""
    # A flip depends on the absence of the pause, which Consul lets only those check who may write it.
    written = (COMPUTE_NODES, HA_NODES, INCIDENTS_OPEN, INCIDENTS_CLOSED, RECOVERY_SEMAPHORE + "/", WAKE, PAUSED)
    return (
        *(Right("key", key, "write") for key in written),
        Right("key", CONFIG, "read"),
        Right("session", node, "write"),
        Right("node", node, "read"),
        Right("service", "nova-ha", "read"),
        Right("key", CONFIG, "write", driver=False),
    )


def consul_findings(store: Store, look: Overview) -> Iterator[Finding]:
    """Yield all of it. Raises ConsulError where Consul stops answering."""
    yield from _servers(store)
    try:
        node = store.node_name()
        yield _own_node(look, node)
    except ConsulError as error:
        node = ""
        yield bad(AREA, "agent", f"its node's name cannot be read: {error.message}", error.remedy)
    yield from _rights(store, node)
    yield from _keys(look)
    yield from observer_findings(store, look)


def _servers(store: Store) -> Iterator[Finding]:
    leader, peers = store.fetch("/v1/status/leader"), store.fetch("/v1/status/peers") or []
    if not leader:
        yield bad(AREA, "servers", "there is no leader", "see `consul operator raft list-peers`")
        return
    words = f"leader {leader}, {len(peers)} server{'s' if len(peers) != 1 else ''}"
    if len(peers) < 3:
        yield warning(AREA, "servers", f"{words}: none may be lost", "run three servers, or five")
    else:
        yield ok(AREA, "servers", words)


def _own_node(look: Overview, node: str) -> Finding:
    if node in look.view.ha_nodes:
        return ok(AREA, node, "the local agent's node is an HA node")
    words = "the local agent's node is no HA node: what follows is seen from here, and not from one"
    return warning(AREA, node, words, f"run it on an HA node, or `nova-ha ha-node add {node}`")


def _rights(store: Store, node: str) -> Iterator[Finding]:
    wanted = rights(node)
    allowed = allowances(store, wanted)
    if isinstance(allowed, str):
        off = "disabled" in allowed
        what = "ACLs are off: all who reach Consul read every password" if off else f"rights unknown: {allowed}"
        yield warning(AREA, "token", what, "enable ACLs with default deny, see consul.d/acl/")
        return
    missing = [right for right, has in zip(wanted, allowed, strict=True) if not has]
    if drivers := [str(right) for right in missing if right.driver]:
        yield bad(AREA, "token", f"it must not {', '.join(drivers)}", POLICY_OF)
    elif missing:
        yield ok(AREA, "token", "it may do what an HA node does, and nothing that only an operator does")
    else:
        yield ok(AREA, "token", "it may do what an HA node and an operator do")


def allowances(store: Store, wanted: Sequence[Right]) -> list[bool] | str:
    """Return whether the token has each right, without using any; or why Consul does not say."""
    body = [{"Resource": r.resource, "Segment": r.segment, "Access": r.access} for r in wanted]
    with reading("the rights of the token"):
        answer: Any = store.client.http.post(lambda response: response, ASK_RIGHTS, data=json.dumps(body))
    if answer.code != 200:
        return f"{answer.code} {answer.body.strip()[:80]}"
    return [bool(row.get("Allow")) for row in json.loads(answer.body)]


def _keys(look: Overview) -> Iterator[Finding]:
    view = look.view
    problems = [*view.policy_problems, *(p for name in sorted(view.problems) for p in view.problems_of(name))]
    problems += [found.problem for found in view.incidents.values() if found.problem]
    problems += [view.semaphore_problem] if view.semaphore_problem else []
    for problem in dict.fromkeys(problems):
        yield bad("keys", problem.key, problem.what, mending(problem))
    doubted = [(node, doubt) for node in view.compute_nodes.values() if (doubt := doubted_name(node))]
    for node, doubt in doubted:
        if not any(problem.key == node.key(RUNTIME_CONFIG) for problem in node.problems):
            yield bad("keys", node.name, f"it cannot be recovered: {doubt.evidence}", name_mending(node))
    if not problems and not doubted:
        yield ok("keys", "all", f"{len(view.compute_nodes)} compute nodes, {len(view.ha_nodes)} HA nodes, the policy")
    if not view.compute_nodes:
        yield bad("keys", COMPUTE_NODES, "no compute node is registered", "`nova-ha node add NAME --bmc-ip IP ...`")
    if not view.ha_nodes:
        yield bad("keys", HA_NODES, "no HA node is registered", "`nova-ha ha-node add NAME`")
    if unsaid := storage_unsaid(view):
        yield bad("keys", f"{CONFIG}recovery/storage", unsaid, HOW_TO_SAY)
    for name in unexpected_reports(view):
        yield bad("keys", view.compute_nodes[name].key(RUNTIME_CONFIG), NOT_SHARED, how_to_share(name))
    if view.paused:
        yield warning("keys", PAUSED, "nothing acts", "`nova-ha resume`")


def observer_findings(store: Store, look: Overview) -> Iterator[Finding]:
    """Yield whether each HA node observes, and how, and which releases they run. Raises ConsulError."""
    if look.votes is None:
        yield bad("observers", "all", look.trouble, POLICY_OF)
        return
    start = "start its agent with consul.d/ha-node.hcl; see its log, and `nova-ha check ssh` there"
    for node in look.view.ha_nodes.values():
        alive, words = observing(look.votes, node)
        yield ok("observers", node.name, words) if alive else bad("observers", node.name, words, start)
        report = look.votes.reports.get(node.name)
        if isinstance(report, Report):
            yield from _sweeping(node.name, report, look.view.policy.monitor_fail_threshold)
    if len(look.view.ha_nodes) == 2:
        two = "of two HA nodes, one that is down leaves no majority"
        yield warning("observers", "all", two, "`nova-ha ha-node add` a third one")
    yield from _releases(store, look)


def _sweeping(name: str, report: Report, fail_threshold: int) -> Iterator[Finding]:
    """Yield what is wrong with how the observer sweeps."""
    every_s = report.interval_s
    if not SHORTEST_INTERVAL_S <= every_s <= LONGEST_INTERVAL_S:
        range_s = f"from {SHORTEST_INTERVAL_S} to {LONGEST_INTERVAL_S} s"
        yield bad("observers", name, f"it sweeps every {every_s} s", f"give its check an --interval {range_s}")
    if problem := streak_problem(every_s, fail_threshold):
        yield bad("observers", name, problem, "a longer --interval, or `nova-ha config set monitor/fail_threshold`")
    if report.too_late:
        yield bad("observers", name, TOO_LATE, "see what keeps it busy, or give its check a longer --interval")


def _releases(store: Store, look: Overview) -> Iterator[Finding]:
    releases = look.votes.releases if look.votes else {}
    upgrade = "upgrade them all, one after the other"
    if words := mixed(releases):
        yield warning("observers", "releases", f"mixed: {words}", upgrade)
    for option in sorted({key.removeprefix(CONFIG) for key in store.keys(CONFIG)} & {*OPTIONS}):
        if old := unaware(releases, option):
            what = f"{', '.join(old)} does nothing while it is set: its release does not know it"
            until = f"{upgrade}; until then `nova-ha config set {option} --default`"
            yield bad("keys", CONFIG + option, what, until)


def unreadable(store: Store, error: ConsulError) -> Iterator[Finding]:
    """Yield the findings where the keys cannot be read at all: why, and the rights that the token has not."""
    yield bad(AREA, "agent", error.message, error.remedy)
    if isinstance(error, NotAllowed):
        yield from _lacking(store)


def _lacking(store: Store) -> Iterator[Finding]:
    # Only now, since a `read` is enough for a list where the servers have acl.enable_key_list_policy off.
    wanted = [*(right for right in rights("") if right.driver and right.segment), LISTS]
    with suppress(ConsulError):
        allowed = allowances(store, wanted)
        missing = [] if isinstance(allowed, str) else [r for r, has in zip(wanted, allowed, strict=True) if not has]
        if missing:
            yield bad(AREA, "token", f"it must not {', '.join(map(str, missing))}", POLICY_OF)
