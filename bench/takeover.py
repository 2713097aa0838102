"""A driver dies in the middle of an evacuation: how long until another HA node has taken over."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from nova_ha.clock import SystemClock
from nova_ha.cluster.incident import Incident, IncidentState, ServerState
from nova_ha.cluster.policy import Policy
from nova_ha.sandbox.cloud import Sandbox
from nova_ha.sandbox.processes import find, signal_one

from bench.figure import Figure
from bench.striking import await_incident

ROW = "takeover"
# Enough for a driver to be in the middle of them.
SERVERS = 30
HANDLER_LOST_S, HOST_LOST_S = 30, 7


def figures(sandbox: Sandbox, nodes: Sequence[str]) -> Iterator[Figure]:
    """Kill the first node's driver alone, the second one's with its agent; wait until others have taken over."""
    alone, whole = (await_incident(sandbox, node, "under way", _under_way, 60) for node in nodes[:2])
    kill_driver(sandbox, alone.driver)
    alone_at = SystemClock().now()
    # The sandbox's own view must outlive the agent: `access` names the first agent that there is.
    agent = sandbox.consul.clients.pop(whole.driver)
    agent.kill()
    kill_driver(sandbox, whole.driver)
    whole_at = SystemClock().now()
    lock_delay = Policy().session_lock_delay
    for incident, killed_at, lost_s, what in (
        (whole, whole_at, HOST_LOST_S, "HA node lost, with its agent and driver"),
        (alone, alone_at, HANDLER_LOST_S, "driver killed, its agent lives"),
    ):
        taken_s = (_taken_over_at(sandbox, incident) - killed_at).total_seconds()
        note = f"{lost_s} s until its session is lost, {lock_delay} s lock delay"
        yield Figure(ROW, f"{what}: until taken over", taken_s, "s", lost_s + lock_delay, note=note)


def _under_way(incident: Incident) -> bool:
    asked = any(progress.state is ServerState.ASKED for progress in incident.servers.values())
    return incident.state is IncidentState.EVACUATING and asked


def _taken_over_at(sandbox: Sandbox, before: Incident) -> datetime:
    what = f"taken over from {before.driver}"
    after = await_incident(sandbox, before.node, what, lambda now: _said(now, what) is not None, 120)
    return _said(after, what) or SystemClock().now()


def _said(incident: Incident, what: str) -> datetime | None:
    return next((step.at for step in incident.steps if step.what == what), None)


def kill_driver(sandbox: Sandbox, ha_node: str) -> None:
    """SIGKILL the recovery handlers of one HA node: they carry its name in their log's."""
    mine = f"/{ha_node}.drivers.log".encode()
    for number in find(sandbox.directory, "nova-ha-handle-recovery"):
        with suppress(OSError):
            if mine in Path("/proc", str(number), "environ").read_bytes():
                signal_one(number, sandbox.directory, signal.SIGKILL)
