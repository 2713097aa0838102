"""A cluster in which all is well: what our checks and handlers write and run, which should be nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator

from nova_ha.sandbox.cloud import Sandbox
from nova_ha.sandbox.waiting import until

from bench.figure import Figure
from bench.raft import RaftWrites
from bench.striking import await_well

ROW = "healthy"
# With the rest of the last of Consul's windows: a minute, in which the slowest check runs once.
WATCHED_S = 55.0
# What an agent logs, at the level debug, after each call of a watch's handler.
CALLED = "watch handler output: watch_handler=[nova-ha-handle-"


def figures(sandbox: Sandbox) -> Iterator[Figure]:
    """Wait until every check has run, then count over all their intervals."""
    until(lambda: _all_checks_ran(sandbox), "every check to have run", 90, 0.5)
    await_well(sandbox)
    time.sleep(sandbox.plan.interval_s)  # the last handlers that those first runs called
    with RaftWrites(sandbox.consul) as raft:
        began, calls = time.monotonic(), _handler_calls(sandbox)
        time.sleep(WATCHED_S)
    intervals = int((time.monotonic() - began) / sandbox.plan.interval_s)
    called = _handler_calls(sandbox) - calls
    what = f"healthy for {intervals} intervals"
    entries = raft.entries
    yield Figure(ROW, f"{what}: KV writes", entries["kvs"] + entries["txn"], most=0, digits=0)
    note = f"Consul's own: {raft.others}"
    yield Figure(ROW, f"{what}: growth of the Raft log caused by us", raft.ours, most=0, note=note, digits=0)
    yield Figure(ROW, f"{what}: handler runs", called, most=0, digits=0)


def _all_checks_ran(sandbox: Sandbox) -> bool:
    checks = [check for agent in sandbox.consul.clients.values() for check in agent.ask("/v1/agent/checks").values()]
    return all(check["Output"] for check in checks)


def _handler_calls(sandbox: Sandbox) -> int:
    return sum(agent.log.read_text(errors="replace").count(CALLED) for agent in sandbox.consul.clients.values())
