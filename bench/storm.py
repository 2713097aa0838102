"""Many nodes fail at once: what counting them costs, by real handlers on real agents; the hosts are only reported."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.registry import NodeSettings
from nova_ha.cluster.schema import COMPUTE_NODES, SERVICE, SSH_CHECK, compute_node
from nova_ha.consul.store import Store
from nova_ha.probe.observation import Failing, Report
from nova_ha.sandbox.waiting import until

from bench.datacenter import Bench, register
from bench.figure import Figure
from bench.raft import RaftWrites

ROW = "storm"
NODES, FAILING, OBSERVERS, INTERVAL_S = 1000, 200, 3, 5
MOST_TRANSACTIONS, MOST_S = 10, 3.0
# Below the threshold: at the threshold each flip is a transaction of its own.
STREAKS = (1, 2)
WATCH = {"type": "checks", "service": SERVICE, "handler_type": "script", "args": ["nova-ha-handle-failures"]}


def figures(nodes: int = NODES, failing: int = FAILING) -> Iterator[Figure]:
    """Let the observers report failing nodes, each at its own time of the interval, as long as they count."""
    names = [f"compute-{n:04}" for n in range(1, nodes + 1)]
    with Bench(OBSERVERS, [WATCH]) as bench:
        register(bench.store(), {name: _settings(bench, n) for n, name in enumerate(names)})
        report(bench, names, [], 0)
        taken = [_interval(bench, names, names[:failing], streak) for streak in STREAKS]
    what, each = f"{failing} of {nodes:,} failing", f"worst of {len(STREAKS)} intervals"
    writes, transactions, seconds = (max(values) for values in zip(*taken, strict=True))
    yield Figure(ROW, f"{what}: catalog writes per observer and interval", writes, most=1, note=each)
    note = f"{each}, of all {OBSERVERS} handlers together"
    name = f"{what}: KV transactions per interval"
    yield Figure(ROW, name, transactions, most=MOST_TRANSACTIONS, note=note, digits=0)
    yield Figure(ROW, f"{what}: quorum's report to all counted", seconds, "s", MOST_S, note=each)


def _settings(bench: Bench, number: int) -> NodeSettings:
    return NodeSettings(
        ssh_address=bench.address(1, number),
        ssh_user="probe",
        ssh_password="not a real one",
        ssh_host_key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKt2GQm8kYb0vWzq1rK0v8yqYbq2wqWl3mX2r2y3cC9n",
        bmc_ip=bench.address(2, number),
        bmc_user="ADMIN",
        bmc_password="not a real one",
        bmc_identity=f"CZJ{number:05}",
    )


def _interval(bench: Bench, names: Sequence[str], failing: Sequence[str], streak: int) -> tuple[float, int, float]:
    """Return the catalog writes per observer, the transactions, and the seconds until all were counted."""
    quorum = bench.names[OBSERVERS // 2]
    with RaftWrites(bench.consul) as raft:
        began = time.monotonic()
        for number, observer in enumerate(bench.names):
            time.sleep(max(0.0, began + number * INTERVAL_S / OBSERVERS - time.monotonic()))
            report(bench, names, failing, streak, [observer])
            if observer == quorum:
                reported = time.monotonic()
                _await_counted(bench.store(), failing, streak)
                counted_s = time.monotonic() - reported
    entries = raft.entries
    return entries["register"] / OBSERVERS, entries["txn"] + entries["kvs"], counted_s


def report(
    bench: Bench, names: Sequence[str], failing: Sequence[str], streak: int, observers: Sequence[str] = ()
) -> None:
    """Give the observers' agents the output that their SSH check would print."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    nodes = {name: Failing(streak, "timed out") for name in failing}
    seen = Report("ssh", INTERVAL_S, len(names), round(time.monotonic(), 3), boot, nodes)
    body = {"Status": "critical" if failing else "passing", "Output": seen.to_output()}
    for observer in observers or bench.names:
        path = f"/v1/agent/check/update/{SSH_CHECK}"
        bench.consul.clients[observer].ask(path, method="PUT", body=body)


def _await_counted(store: Store, failing: Sequence[str], streak: int) -> None:
    """Wait until every failing node has this count; the last one is looked at first, since they go in order."""
    last = compute_node(failing[-1], "internal/number_fails")
    wanted = str(streak).encode()
    until(lambda: (entry := store.get(last)) and entry.value == wanted, f"{last} to be {streak}", 60, 0.02)
    until(lambda: _counts(store, failing) == {streak}, f"all counts to be {streak}", 60, 0.2)


def _counts(store: Store, names: Sequence[str]) -> set[int]:
    leaf = "internal/number_fails"
    found = {entry.key: entry for entry in store.list(COMPUTE_NODES) if entry.key.endswith(leaf)}
    return {ComputeNode.from_entries(name, [found[compute_node(name, leaf)]]).number_fails for name in names}
