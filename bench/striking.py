"""Letting hosts of the rehearsal cloud fail, and waiting for what follows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from nova_ha.clock import SystemClock, from_stamp
from nova_ha.cluster.incident import Incident
from nova_ha.cluster.schema import COMPUTE_NODES, compute_node
from nova_ha.consul.values import flag_to
from nova_ha.errors import HAError
from nova_ha.sandbox.cloud import Sandbox
from nova_ha.sandbox.snapshot import Snapshot, look
from nova_ha.sandbox.waiting import until

POLL_S = 0.1
WELL_WITHIN_S = 90.0


@dataclass(frozen=True)
class Struck:
    """A host that hangs: when that began, and when `status/failed` was seen True."""

    node: str
    at: datetime
    failed_at: datetime

    @property
    def detection_s(self) -> float:
        """Seconds from one to the other."""
        return (self.failed_at - self.at).total_seconds()


def strike(sandbox: Sandbox, nodes: Sequence[str], apart_s: float = 0.0) -> Sequence[Struck]:
    """Let each host hang, so many seconds after the other, and wait until all are failed; first failed first."""
    await_well(sandbox)
    struck: dict[str, datetime] = {}
    for node in nodes:
        time.sleep(apart_s if struck else 0)
        sandbox.machines[node].chassis.hang()
        struck[node] = SystemClock().now()
    failed: dict[str, datetime] = {}
    until(lambda: _note_failed(sandbox, struck, failed), f"{', '.join(nodes)} to be failed", 60, POLL_S)
    return [Struck(node, struck[node], at) for node, at in failed.items()]


def _note_failed(sandbox: Sandbox, nodes: Sequence[str] | dict[str, datetime], failed: dict[str, datetime]) -> bool:
    keys = {compute_node(node, "status/failed"): node for node in nodes if node not in failed}
    for entry in sandbox.store().list(COMPUTE_NODES):
        if entry.key in keys and entry.value == flag_to(True):
            failed[keys[entry.key]] = SystemClock().now()
    return len(failed) == len(nodes)


def await_well(sandbox: Sandbox) -> None:
    """Wait until every observer has seen every node well that is not failed."""

    deadline = time.monotonic() + WELL_WITHIN_S
    while trouble := _not_well(sandbox):
        if time.monotonic() > deadline:
            raise HAError(f"not seen well by all after {WELL_WITHIN_S:g} s: {'; '.join(trouble)}")
        time.sleep(POLL_S)


def _not_well(sandbox: Sandbox) -> Sequence[str]:
    watched = [seen for seen in snapshots(sandbox).values() if not seen.node.failed]
    return [f"{s.node.name}: {s.votes.in_words()}" for s in watched if set(s.votes.streaks.values()) != {0}]


def snapshots(sandbox: Sandbox) -> dict[str, Snapshot]:
    """Look at all nodes."""
    return look(sandbox.store(), sandbox.machines, SystemClock().now())


def await_incident(
    sandbox: Sandbox, node: str, what: str, is_so: Callable[[Incident], bool], within_s: float
) -> Incident:
    """Wait until the node's incident, open or archived, is as `what` says, and return it."""

    def found() -> Incident | None:
        incident = snapshots(sandbox)[node].incident
        return incident if incident and is_so(incident) else None

    incident = until(found, f"{node}: {what}", within_s, POLL_S)
    assert incident is not None
    return incident


def await_power_off(sandbox: Sandbox, node: str) -> datetime:
    """Wait until the node's BMC has got the command, and return when that was."""

    def sent() -> str:
        commands = sandbox.machines[node].bmc_commands
        return next((str(c["at"]) for c in commands if c["command"] == "power off"), "")

    return from_stamp(until(sent, f"power off for {node}", 60, POLL_S))
