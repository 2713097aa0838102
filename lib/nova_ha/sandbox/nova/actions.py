"""What the simulated Nova does with a server when it is asked, and what it refuses, in nova's own order of checks."""

from __future__ import annotations

import uuid
from typing import Any

from nova_ha.sandbox.nova.http import Refusal, Response
from nova_ha.sandbox.nova.state import Cloud, Rebuild, SimulatedServer

Version = tuple[int, int]
Arguments = dict[str, Any]

EVACUABLE = ("active", "stopped", "error")
STATES = {"active": "active", "error": "error"}


def act(cloud: Cloud, server: SimulatedServer, action: str, arguments: Arguments, version: Version) -> Response:
    """Carry out an action of `POST /servers/{id}/action`. Raises Refusal."""
    known = {
        "evacuate": _evacuate,
        "os-resetState": _reset_state,
        "os-stop": _stop,
        "os-start": _start,
        "lock": _lock,
        "unlock": _unlock,
    }
    if action not in known:
        raise Refusal(400, f"There is no such action: {action}")
    return known[action](cloud, server, arguments or {}, version)


def _evacuate(cloud: Cloud, server: SimulatedServer, arguments: Arguments, version: Version) -> Response:
    target = arguments.get("host")
    _check_evacuate_body(arguments, version)
    if target is not None and target not in cloud.hosts:
        raise Refusal(404, f"Compute host {target} not found.")
    if target == server.host:
        raise Refusal(400, "The target host can't be the same one.")
    if server.vm_state not in EVACUABLE:
        raise _invalid_state(server, "evacuate")
    if not server.launched:
        raise Refusal(409, f"Instance {server.id} is in an invalid state for 'evacuate'")
    source = cloud.hosts.get(server.host)
    if source is None:
        raise Refusal(500, "Unexpected API Error. <class 'nova.exception.ComputeHostNotFound'>")
    if cloud.is_up(source):
        raise Refusal(400, f"Compute service of {source.name} is still in use.")
    server.task_state = "rebuilding"
    cloud.evacuations.append(_record(cloud, server, target))
    return Response(200)


def _check_evacuate_body(arguments: Arguments, version: Version) -> None:
    allowed = {"host", "adminPass"} | ({"force"} if (2, 29) <= version < (2, 68) else set())
    if extra := sorted(set(arguments) - allowed):
        raise Refusal(
            400,
            f"Invalid input for field/attribute evacuate. Value: {arguments}. Additional properties are not allowed"
            f" ({', '.join(map(repr, extra))} was unexpected)",
        )
    if arguments.get("force") and arguments.get("host") is None:
        raise Refusal(400, "Can't force to a non-provided destination")


def _record(cloud: Cloud, server: SimulatedServer, target: str | None) -> Rebuild:
    now = cloud.now()
    return Rebuild(
        uuid=str(uuid.uuid4()),
        number=cloud.next_number(),
        server_id=server.id,
        source=server.host,
        destination=target,
        created=now,
        updated=now,
        due=cloud.clock.monotonic() + cloud.timing.schedule_s,
    )


def _invalid_state(server: SimulatedServer, action: str) -> Refusal:
    return Refusal(409, f"Cannot '{action}' instance {server.id} while it is in vm_state {server.vm_state}")


def _reset_state(cloud: Cloud, server: SimulatedServer, arguments: Arguments, version: Version) -> Response:
    if arguments.get("state") not in STATES:
        raise Refusal(400, f"Invalid input for field/attribute state. Value: {arguments.get('state')}")
    server.vm_state, server.task_state = STATES[arguments["state"]], None
    return Response(202)


def _stop(cloud: Cloud, server: SimulatedServer, arguments: Arguments, version: Version) -> Response:
    if server.vm_state not in ("active", "error"):
        raise _invalid_state(server, "stop")
    return _power(cloud, server, "powering-off")


def _start(cloud: Cloud, server: SimulatedServer, arguments: Arguments, version: Version) -> Response:
    if server.vm_state != "stopped":
        raise _invalid_state(server, "start")
    return _power(cloud, server, "powering-on")


def _power(cloud: Cloud, server: SimulatedServer, task: str) -> Response:
    server.task_state, server.power_due = task, cloud.clock.monotonic() + cloud.timing.power_s
    return Response(202)


def _lock(cloud: Cloud, server: SimulatedServer, arguments: Arguments, version: Version) -> Response:
    if arguments and version < (2, 73):
        raise Refusal(400, f"Invalid input for field/attribute lock. Value: {arguments}. None is expected")
    server.locked, server.locked_reason = True, arguments.get("locked_reason")
    return Response(202)


def _unlock(cloud: Cloud, server: SimulatedServer, arguments: Arguments, version: Version) -> Response:
    server.locked, server.locked_reason = False, None
    return Response(202)
