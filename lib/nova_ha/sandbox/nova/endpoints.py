"""The `/sandbox/` endpoints of the simulator: what a rehearsal and its auditor do to the cloud and ask of it.

The list of endpoints is in the docstring of `nova_ha.sandbox.nova`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nova_ha.clock import to_stamp
from nova_ha.sandbox.nova.faults import Faults, NovaFault
from nova_ha.sandbox.nova.http import Refusal, Request, Response, Route, route
from nova_ha.sandbox.nova.keystone import Identity
from nova_ha.sandbox.nova.life import report, restart_compute, return_bus, stop_spawning
from nova_ha.sandbox.nova.state import Cloud, Flavor, Host, Image, Move, SimulatedServer
from nova_ha.sandbox.nova.views import service

PREFIX = "/sandbox"


@dataclass
class Control:
    """What can be done to the simulated cloud from outside of Nova's own API."""

    cloud: Cloud
    identity: Identity
    faults: Faults

    def routes(self) -> list[Route]:
        return [
            route("GET", f"{PREFIX}/hosts", lambda request: Response(200, self.hosts())),
            route("POST", f"{PREFIX}/hosts", lambda request: self._made(self.add_host(**request.body).name)),
            route("POST", f"{PREFIX}/servers", lambda request: self._made(self.add_server(**request.body).id)),
            route("PUT", f"{PREFIX}/servers/{{server_id}}", self._change_server),
            route("DELETE", f"{PREFIX}/servers/{{server_id}}", self._remove_server),
            route("POST", f"{PREFIX}/moves", lambda request: self._made(self.migrate(**request.body).uuid)),
            route("POST", f"{PREFIX}/flavors", lambda request: self._made(self.add_flavor(**request.body).id)),
            route("POST", f"{PREFIX}/images", lambda request: self._made(self.add_image(**request.body).id)),
            route("POST", f"{PREFIX}/heartbeat", self._doing(self.heartbeat)),
            route("PUT", f"{PREFIX}/hosts/{{name}}", self._change_host),
            route("POST", f"{PREFIX}/power", self._doing(self.power)),
            route("POST", f"{PREFIX}/compute", self._doing(self.run_compute)),
            route("POST", f"{PREFIX}/bus", self._doing(self.run_bus)),
            route("GET", f"{PREFIX}/guests", lambda request: Response(200, self.guests())),
            route("POST", f"{PREFIX}/faults", self._add_faults),
            route("DELETE", f"{PREFIX}/faults", self._clear_faults),
        ]

    @staticmethod
    def _made(name: str) -> Response:
        return Response(201, {"id": name})

    @staticmethod
    def _doing(act: Callable[..., None]) -> Callable[[Request], Response]:
        def respond(request: Request) -> Response:
            act(**request.body)
            return Response(204)

        return respond

    # --- building the cloud

    def add_host(
        self,
        name: str,
        inventory: dict[str, int] | None = None,
        reports_itself: bool = True,
        shares_disks: bool = True,
    ) -> Host:
        """Add a compute host. With `reports_itself` False it is down until its first heartbeat."""
        host = Host(name, reports_itself=reports_itself, boot="first", shares_disks=shares_disks)
        host.inventory.update(inventory or {})
        self.cloud.hosts[name] = host
        if reports_itself:
            report(self.cloud, host)
        return host

    def add_flavor(
        self, name: str, extra_specs: dict[str, str] | None = None, size: dict[str, int] | None = None
    ) -> Flavor:
        flavor = Flavor(str(len(self.cloud.flavors) + 1), name, extra_specs or {})
        flavor.size.update(size or {})
        self.cloud.flavors[flavor.id] = flavor
        return flavor

    def add_image(
        self, name: str, properties: dict[str, str] | None = None, tags: list[str] | None = None, id: str = ""
    ) -> Image:
        image = Image(id or str(uuid.uuid4()), name, properties or {}, tags or [])
        self.cloud.images[image.id] = image
        return image

    def add_server(self, host: str, name: str, flavor: str = "tiny", **fields: Any) -> SimulatedServer:
        """Add a server with its guest. `fields` are those of `state.Server`: vm_state, metadata, tags, ..."""
        if host not in self.cloud.hosts:
            raise Refusal(404, f"no host {host}")
        kind = next((f for f in self.cloud.flavors.values() if f.name == flavor), None) or self.add_flavor(flavor)
        server_id = fields.pop("id", None) or str(uuid.uuid4())
        number = max((server.number for server in self.cloud.servers.values()), default=0) + 1
        server = SimulatedServer(server_id, name, host, kind, self.cloud.now(), number, **fields)
        server.launched = server.vm_state != "building"
        self.cloud.servers[server.id] = server
        if server.vm_state in ("active", "stopped", "paused", "rescued", "resized"):
            self.cloud.set_guest(host, server.id, running=server.vm_state != "stopped")
        return server

    def _change_host(self, request: Request, name: str) -> Response:
        host = self._host(name)
        for field, value in request.body.items():
            setattr(host, field, value)
        return Response(204)

    def _change_server(self, request: Request, server_id: str) -> Response:
        if server_id not in self.cloud.servers:
            raise Refusal(404, f"no server {server_id}")
        for name, value in request.body.items():
            setattr(self.cloud.servers[server_id], name, value)
        return Response(204)

    def _remove_server(self, request: Request, server_id: str) -> Response:
        if server_id not in self.cloud.servers:
            raise Refusal(404, f"no server {server_id}")
        self.cloud.forget_server(server_id)
        return Response(204)

    def migrate(self, server: str, destination: str, kind: str = "live-migration", handed_over: bool = False) -> Move:
        """Put a server on its way to another host, where it stays. `handed_over`: its guest runs there already.

        Nova goes on saying that it is where it was.
        """
        self._host(destination)
        if server not in self.cloud.servers:
            raise Refusal(404, f"no server {server}")
        moved, now = self.cloud.servers[server], self.cloud.now()
        number, status = self.cloud.next_number(), "running" if kind == "live-migration" else "migrating"
        move = Move(str(uuid.uuid4()), number, server, moved.host, destination, now, now, status, kind)
        self.cloud.moves.append(move)
        moved.task_state = "migrating" if kind == "live-migration" else "resize_migrating"
        if handed_over:
            self.cloud.drop_guest(moved.host, server)
            self.cloud.set_guest(destination, server, running=True)
        return move

    # --- what happens to hosts

    def _host(self, name: str) -> Host:
        if name not in self.cloud.hosts:
            raise Refusal(404, f"no host {name}")
        return self.cloud.hosts[name]

    def heartbeat(self, host: str, boot: str) -> None:
        """Hear from a host's own process. A new `boot` id means that its nova-compute was restarted."""
        heard = self._host(host)
        if not heard.powered:
            raise Refusal(409, f"{host} is powered off")
        first, heard.reports_itself = heard.heard_at is None, False
        heard.heard_at = self.cloud.clock.monotonic()
        if heard.boot != boot and not first:
            restart_compute(self.cloud, heard, boot)
        heard.boot, heard.running = boot, True
        if heard.ready_at is None:
            report(self.cloud, heard)

    def power(self, host: str, on: bool) -> None:
        """Cut a host's power, which ends its nova-compute and its guests; or give it back. Idempotent."""
        changed = self._host(host)
        if changed.powered and not on:
            changed.powered = changed.running = False
            self.cloud.drop_guests(host)
            stop_spawning(self.cloud, changed)
        if on and not changed.powered:
            changed.powered = True
            if changed.reports_itself:
                restart_compute(self.cloud, changed, str(uuid.uuid4()))

    def run_compute(self, host: str, running: bool) -> None:
        """Kill a host's nova-compute, while its guests run on; or start it again. Idempotent."""
        changed = self._host(host)
        if running and not changed.running:
            restart_compute(self.cloud, changed, str(uuid.uuid4()))
        changed.running = running

    def run_bus(self, running: bool) -> None:
        """Take the message bus away, or give it back. Idempotent."""
        if not running:
            self.cloud.bus_away = True
        elif self.cloud.bus_away:
            return_bus(self.cloud)

    # --- what an auditor asks

    def hosts(self) -> dict[str, Any]:
        """Return every host: its service as Nova shows it, and what is really so."""
        return {
            host.name: {
                **service(self.cloud, host),
                "powered": host.powered,
                "alive": self.cloud.is_alive(host),
            }
            for host in self.cloud.hosts.values()
        }

    def guests(self) -> dict[str, Any]:
        """Return where each guest is, and every time that one ran on two hosts at once."""
        overlaps = [
            {"server": overlap.server_id, "hosts": list(overlap.hosts), "since": to_stamp(overlap.since)}
            for overlap in self.cloud.overlaps
        ]
        return {
            "guests": {server: dict(hosts) for server, hosts in self.cloud.guests().items()},
            "overlaps": overlaps,
        }

    # --- faults

    def _add_faults(self, request: Request) -> Response:
        errors = request.body.get("errors", [])
        for error in [errors] if isinstance(errors, dict) else errors:
            self.faults.add(NovaFault.from_json(error))
        self.cloud.fail_spawn.update(request.body.get("fail_spawn", []))
        self.cloud.slow_spawn.update(request.body.get("slow_spawn", {}))
        self.cloud.locked_disks.update(request.body.get("locked_disks", []))
        self.cloud.drops_filters |= bool(request.body.get("drops_filters"))
        if request.body.get("forget_tokens"):
            self.identity.forget_tokens()
        return Response(204)

    def _clear_faults(self, request: Request) -> Response:
        self.clear_faults()
        return Response(204)

    def clear_faults(self) -> None:
        self.faults.clear()
        self.cloud.fail_spawn.clear()
        self.cloud.slow_spawn.clear()
        self.cloud.locked_disks.clear()
        self.cloud.drops_filters = False
