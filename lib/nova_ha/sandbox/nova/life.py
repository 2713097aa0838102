"""What happens in the simulated cloud by itself, as time passes: reports, restarts, evacuations, stops and starts.

The order of the steps, and what each leaves behind when it goes wrong, are nova 34's own (compute/manager.py).
"""

from __future__ import annotations

import uuid

from nova_ha.sandbox.nova.state import Cloud, Host, Rebuild, RebuildStage, SimulatedServer

POWERING = {"powering-off": ("stopped", False), "powering-on": ("active", True)}
# As QEMU says it where another process has the disk open, and Nova shows it.
LOCKED = 'internal error: Failed to get "write" lock Is another process using the image [/instances/disk]?'
CLEANED = ("accepted", "pre-migrating", "done")


def advance(cloud: Cloud) -> None:
    """Do everything that is due. Called often; how often changes nothing but the resolution."""
    for host in cloud.hosts.values():
        _advance_host(cloud, host)
    for evacuation in list(cloud.evacuations):
        _advance_evacuation(cloud, evacuation)
    for server in cloud.live_servers():
        _advance_power(cloud, server)


# --- hosts


def _advance_host(cloud: Cloud, host: Host) -> None:
    if host.powered and host.running and host.ready_at is not None and host.ready_at <= cloud.clock.monotonic():
        host.ready_at = None
        _clean_evacuated(cloud, host)
        _delete_queued(cloud, host)
        report(cloud, host)
    if cloud.is_alive(host) and host.reports_itself:
        report(cloud, host)


def report(cloud: Cloud, host: Host) -> None:
    """Let nova-compute report, at most once per interval."""
    monotonic = cloud.clock.monotonic()
    if cloud.bus_away:
        return
    if host.reported_at is None or monotonic - host.reported_at >= cloud.timing.report_interval_s:
        host.reported_at, host.reported = monotonic, cloud.now()


def return_bus(cloud: Cloud) -> None:
    """Let the message bus carry again: what all nova-computes that live have to report comes at once."""
    cloud.bus_away = False
    for host in cloud.hosts.values():
        if cloud.is_alive(host):
            host.reported_at, host.reported = cloud.clock.monotonic(), cloud.now()


def restart_compute(cloud: Cloud, host: Host, boot: str) -> None:
    """Start the host's nova-compute anew: it cleans its evacuated servers first, and reports after that."""
    host.boot, host.running = boot, True
    host.ready_at = cloud.clock.monotonic() + cloud.timing.start_s
    stop_spawning(cloud, host)


def stop_spawning(cloud: Cloud, host: Host) -> None:
    """End what was being rebuilt on the host: its record stays `pre-migrating` for ever."""
    for evacuation in cloud.evacuations:
        if evacuation.destination == host.name and evacuation.stage in (RebuildStage.SPAWNING, RebuildStage.SPAWNED):
            evacuation.stage = RebuildStage.OVER


def _clean_evacuated(cloud: Cloud, host: Host) -> None:
    for evacuation in cloud.evacuations:
        if evacuation.source == host.name and evacuation.status in CLEANED:
            cloud.drop_guest(host.name, evacuation.server_id)
            evacuation.source_freed = True
            set_status(cloud, evacuation, "completed")


def _delete_queued(cloud: Cloud, host: Host) -> None:
    """Do what waited in the host's queue. A guest that runs elsewhere by now is left there, unknown to Nova."""
    for server in cloud.live_servers():
        if server.delete_queued_on == host.name:
            server.deleted = True
            cloud.drop_guest(host.name, server.id)


# --- evacuations


def set_status(cloud: Cloud, evacuation: Rebuild, status: str) -> None:
    evacuation.status, evacuation.updated = status, cloud.now()


def _advance_evacuation(cloud: Cloud, evacuation: Rebuild) -> None:
    if evacuation.stage is RebuildStage.OVER or evacuation.due > cloud.clock.monotonic():
        return
    server = cloud.servers[evacuation.server_id]
    if server.deleted:
        _end(cloud, evacuation, "failed")
        return
    step = {
        RebuildStage.SCHEDULING: _schedule,
        RebuildStage.QUEUED: _start,
        RebuildStage.SPAWNING: _spawn,
        RebuildStage.SPAWNED: _hand_over,
        RebuildStage.GIVING_UP: _give_up,
    }[evacuation.stage]
    step(cloud, evacuation, server)


def _end(cloud: Cloud, evacuation: Rebuild, status: str) -> None:
    evacuation.stage = RebuildStage.OVER
    set_status(cloud, evacuation, status)


def _fail(cloud: Cloud, evacuation: Rebuild, server: SimulatedServer, status: str, fault: str) -> None:
    """End the record. Why it failed, and that the task is over, comes to the server a moment later."""
    set_status(cloud, evacuation, status)
    server.vm_state = "error"
    evacuation.fault, evacuation.stage = fault, RebuildStage.GIVING_UP
    evacuation.due = cloud.clock.monotonic() + cloud.timing.giving_up_s


def _give_up(cloud: Cloud, evacuation: Rebuild, server: SimulatedServer) -> None:
    evacuation.stage = RebuildStage.OVER
    server.task_state, server.fault = None, evacuation.fault


def _schedule(cloud: Cloud, evacuation: Rebuild, server: SimulatedServer) -> None:
    candidates = [cloud.hosts[evacuation.destination]] if evacuation.destination else list(cloud.hosts.values())
    fitting = [host for host in candidates if _fits(cloud, host, server)]
    if not fitting:
        _fail(cloud, evacuation, server, "error", "No valid host was found. There are not enough hosts available.")
        return
    chosen = min(fitting, key=lambda host: used(cloud, host).get("VCPU", 0))
    evacuation.destination, evacuation.stage = chosen.name, RebuildStage.QUEUED


def _fits(cloud: Cloud, host: Host, server: SimulatedServer) -> bool:
    if host.name == server.host or not host.enabled or not cloud.is_up(host):
        return False
    taken = used(cloud, host)
    return all(taken.get(kind, 0) + need <= host.inventory.get(kind, 0) for kind, need in server.flavor.size.items())


def used(cloud: Cloud, host: Host) -> dict[str, int]:
    """Return what Placement counts as used on a host: its servers', of those on their way to it, and of those that
    were evacuated from it until it has been restarted."""
    arriving = {
        e.server_id for e in cloud.evacuations if e.destination == host.name and e.stage is not RebuildStage.OVER
    }
    moved = [e for e in cloud.evacuations if e.source == host.name and e.status == "done"]
    left = {e.server_id for e in moved if not e.source_freed}
    sums: dict[str, int] = {}
    for server in cloud.live_servers():
        if server.host == host.name or server.id in arriving | left:
            for kind, need in server.flavor.size.items():
                sums[kind] = sums.get(kind, 0) + need
    return sums


def _start(cloud: Cloud, evacuation: Rebuild, server: SimulatedServer) -> None:
    """Begin to rebuild, as soon as the destination's nova-compute takes the message, whoever else is at it."""
    if cloud.bus_away or not cloud.is_alive(cloud.hosts[evacuation.destination or ""]):
        return
    set_status(cloud, evacuation, "pre-migrating")
    if server.task_state != "rebuilding":
        _fail(cloud, evacuation, server, "failed", _conflict("rebuilding", server))
        return
    server.task_state, evacuation.stage = "rebuild_spawning", RebuildStage.SPAWNING
    evacuation.stops_after = server.vm_state == "stopped"
    evacuation.due = cloud.clock.monotonic() + cloud.timing.rebuild_s


def _conflict(expected: str, server: SimulatedServer) -> str:
    return (
        f"Conflict updating instance {server.id}. Expected: {{'task_state': ['{expected}']}}."
        f" Actual: {{'task_state': '{server.task_state}'}}"
    )


def _spawn(cloud: Cloud, evacuation: Rebuild, server: SimulatedServer) -> None:
    """Start the guest. Nova then shows the server ACTIVE, without a task, and still on its old host."""
    host = cloud.hosts[evacuation.destination or ""]
    slow_s = max(cloud.slow_spawn.get(name, 0.0) for name in (host.name, server.name, server.id))
    if not cloud.is_alive(host) or cloud.clock.monotonic() < evacuation.due + slow_s:
        return
    if {host.name, server.name, server.id} & cloud.fail_spawn:
        _fail(cloud, evacuation, server, "failed", f"fail-spawn is set for {server.name} or {host.name}")
        return
    if {server.name, server.id} & cloud.locked_disks:
        _fail(cloud, evacuation, server, "failed", LOCKED)
        return
    source = cloud.hosts.get(server.host)
    if not server.on_volume and not (host.shares_disks and source and source.shares_disks):
        # Nova sees no disk here, makes a new one from the image, and says nothing.
        server.disk = str(uuid.uuid4())
    cloud.set_guest(host.name, server.id, running=True)
    if server.task_state != "rebuild_spawning":
        _fail(cloud, evacuation, server, "failed", _conflict("rebuild_spawning", server))
        return
    server.vm_state, server.task_state, server.fault = "active", None, ""
    evacuation.stage, evacuation.due = RebuildStage.SPAWNED, cloud.clock.monotonic() + cloud.timing.handover_s


def _hand_over(cloud: Cloud, evacuation: Rebuild, server: SimulatedServer) -> None:
    if evacuation.stops_after:
        server.vm_state = "stopped"
        cloud.set_guest(evacuation.destination or "", server.id, running=False)
    server.host = evacuation.destination or ""
    _end(cloud, evacuation, "done")


# --- stop and start


def _advance_power(cloud: Cloud, server: SimulatedServer) -> None:
    """End a stop or start that is due; on a host whose nova-compute is gone, it stays in its task for ever."""
    if server.power_due is None or server.power_due > cloud.clock.monotonic() or server.host not in cloud.hosts:
        return
    if not cloud.is_alive(cloud.hosts[server.host]) or server.task_state not in POWERING:
        return
    server.vm_state, running = POWERING[server.task_state]
    server.task_state, server.power_due = None, None
    cloud.set_guest(server.host, server.id, running)
