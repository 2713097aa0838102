"""The simulated Nova's API: versions, services, servers, migrations, flavors, hypervisors."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from nova_ha.sandbox.nova import views
from nova_ha.sandbox.nova.actions import act
from nova_ha.sandbox.nova.http import Refusal, Request, Response, Route, route
from nova_ha.sandbox.nova.keystone import Identity
from nova_ha.sandbox.nova.state import Cloud, Host, Move, Rebuild, SimulatedServer

Item = TypeVar("Item")
Version = tuple[int, int]

PREFIX = "/compute"
LOWEST: Version = (2, 1)
PAGE = 1000
PAGING = frozenset(("limit", "marker", "sort_key", "sort_dir"))
SERVER_FILTERS = PAGING | frozenset(
    ("all_tenants", "host", "name", "status", "uuid", "vm_state", "project_id", "deleted", "soft_deleted")
)
# Those that Nova keeps for a user without the right os_compute_api:servers:allow_all_filters.
FILTERS_OF_ALL = PAGING | frozenset(("all_tenants", "name", "status"))
MIGRATION_FILTERS: Mapping[str, Callable[[Rebuild | Move, str], bool]] = {
    "source_compute": lambda entry, value: entry.source == value,
    "status": lambda entry, value: entry.status == value,
    "instance_uuid": lambda entry, value: entry.server_id == value,
    "migration_type": lambda entry, value: entry.kind == value,
    "host": lambda entry, value: value in (entry.source, entry.destination),
}


@dataclass(frozen=True)
class Page(Generic[Item]):
    """One page of a listing. A full one may be followed by another."""

    items: Sequence[Item]
    full: bool

    def links(self, name: str) -> dict[str, Any]:
        return {f"{name}_links": [{"rel": "next", "href": ""}]} if self.full else {}


@dataclass(frozen=True)
class ComputeAPI:
    """Nova's routes over the cloud's state. `highest` is the highest microversion that it speaks."""

    cloud: Cloud
    identity: Identity
    highest: Version = (2, 104)

    def routes(self) -> list[Route]:
        base = f"{PREFIX}/v2.1"
        return [
            route("GET", PREFIX, self._versions),
            route("GET", base, self._version),
            route("GET", f"{base}/os-services", self._services),
            route("PUT", f"{base}/os-services/{{service_id}}", self._update_service),
            route("GET", f"{base}/servers", self._list),
            route("GET", f"{base}/servers/detail", self._detail),
            route("GET", f"{base}/servers/{{server_id}}", self._show),
            route("DELETE", f"{base}/servers/{{server_id}}", self._delete),
            route("POST", f"{base}/servers/{{server_id}}/action", self._act),
            route("GET", f"{base}/os-migrations", self._migrations),
            route("GET", f"{base}/flavors", self._flavors),
            route("GET", f"{base}/flavors/detail", self._flavors),
            route("GET", f"{base}/flavors/{{flavor_id}}", self._flavor),
            route("GET", f"{base}/flavors/{{flavor_id}}/os-extra_specs", self._extra_specs),
            route("GET", f"{base}/os-hypervisors", self._hypervisors),
        ]

    # --- who asks, and in which microversion

    def version(self, request: Request) -> Version:
        """Return the microversion asked for. Raises Refusal 406 where it is not spoken."""
        asked = request.headers.get("openstack-api-version", "").removeprefix("compute").strip()
        asked = asked or request.headers.get("x-openstack-nova-api-version", "") or "2.1"
        if asked == "latest":
            return self.highest
        major, _, minor = asked.partition(".")
        version = (int(major), int(minor))
        if not LOWEST <= version <= self.highest:
            raise Refusal(406, f"Version {asked} is not supported by the API. Maximum is {_text(self.highest)}")
        return version

    def _admin_only(self, request: Request, policy: str) -> None:
        if not self.identity.user_of(request).admin:
            raise Refusal(403, f"Policy doesn't allow os_compute_api:{policy} to be performed.")

    def _entry(self, request: Request) -> dict[str, Any]:
        link = {"rel": "self", "href": f"{request.base}{PREFIX}/v2.1/"}
        spoken = {"version": _text(self.highest), "min_version": _text(LOWEST)}
        return {"id": "v2.1", "status": "CURRENT", "updated": "2013-07-23T11:33:21Z", "links": [link], **spoken}

    def _versions(self, request: Request) -> Response:
        return Response(200, {"versions": [self._entry(request)]})

    def _version(self, request: Request) -> Response:
        return Response(200, {"version": self._entry(request)})

    # --- services

    def _services(self, request: Request) -> Response:
        self._admin_only(request, "os-services:list")
        if request.query.get("binary", "nova-compute") != "nova-compute":
            return Response(200, {"services": []})
        wanted = request.query.get("host")
        hosts = [host for host in self.cloud.hosts.values() if wanted in (None, host.name)]
        shown = [views.service(self.cloud, host) for host in hosts]
        left = [
            {**views.service(self.cloud, h), "id": h.left_record, "state": "down"} for h in hosts if h.left_record
        ]
        return Response(200, {"services": [*shown, *left]})

    def _update_service(self, request: Request, service_id: str) -> Response:
        self._admin_only(request, "os-services:update")
        host = self._host_of(service_id)
        change = request.body
        if "forced_down" in change:
            self._force_down(host, bool(change["forced_down"]))
        delay_s = self._set_status(host, change) if "status" in change else 0.0
        return Response(200, {"service": views.service(self.cloud, host)}, delay_s=delay_s)

    def _host_of(self, service_id: str) -> Host:
        try:
            uuid.UUID(service_id)
        except ValueError:
            raise Refusal(400, f"Invalid uuid {service_id}") from None
        for host in self.cloud.hosts.values():
            if host.service_id == service_id:
                return host
        raise Refusal(404, f"Service {service_id} could not be found.")

    def _force_down(self, host: Host, down: bool) -> None:
        left = [e for e in self.cloud.shown_evacuations() if e.source == host.name and e.status == "done"]
        if not down and left:
            raise Refusal(
                400,
                f"Unable to force up host {host.name} as `done` evacuation migration records remain associated with"
                " the host. Ensure the compute service has been restarted, allowing these records to move to"
                " `completed` before retrying this request.",
            )
        host.forced_down = down

    def _set_status(self, host: Host, change: Mapping[str, Any]) -> float:
        """Enable or disable. Returns how long Nova waits for a nova-compute that it believes up and that is not."""
        reason = change.get("disabled_reason")
        if reason is not None and not 1 <= len(reason) <= 255:
            raise Refusal(400, f"Invalid input for field/attribute disabled_reason. Value: {reason}.")
        changed = host.enabled != (change["status"] == "enabled")
        host.enabled = change["status"] == "enabled"
        host.disabled_reason = "" if host.enabled else (reason or "")
        waits = changed and self.cloud.is_up(host) and not self.cloud.is_alive(host)
        return self.cloud.timing.rpc_timeout_s if waits else 0.0

    # --- servers

    def _list(self, request: Request) -> Response:
        page = self._listed(request)
        return Response(200, {"servers": [views.brief(server) for server in page.items], **page.links("servers")})

    def _detail(self, request: Request) -> Response:
        user, version = self.identity.user_of(request), self.version(request)
        page = self._listed(request)
        shown = [views.detailed(self.cloud, server, version, user.admin) for server in page.items]
        return Response(200, {"servers": shown, **page.links("servers")})

    def _listed(self, request: Request) -> Page[SimulatedServer]:
        query = request.query
        if unknown := sorted(set(query) - SERVER_FILTERS):
            raise Refusal(400, f"Invalid input for query parameters {unknown}. Additional properties are not allowed")
        if query.get("all_tenants", "0") not in ("0", "false", "False"):
            self._admin_only(request, "servers:index:get_all_tenants")
            servers = list(self.cloud.live_servers())
        else:
            project = self.identity.user_of(request).name
            servers = [server for server in self.cloud.live_servers() if server.project == project]
        readable = [server for server in servers if not self._is_cell_down(server)]
        kept = {name: query[name] for name in query if name in FILTERS_OF_ALL} if self.cloud.drops_filters else query
        fitting = [server for server in readable if _fits(server, kept)]
        newest = sorted(fitting, key=lambda server: server.number, reverse=True)
        return paged(self._after_marker(newest, query), query)

    def _is_cell_down(self, server: SimulatedServer) -> bool:
        """Return True for a server that Nova silently leaves out of a filtered listing."""
        host = self.cloud.hosts.get(server.host)
        return host is not None and host.cell_down

    def _after_marker(self, newest: Sequence[SimulatedServer], query: Mapping[str, str]) -> Sequence[SimulatedServer]:
        """Return what follows the marker, which need not fit the filters, nor exist any more. Raises Refusal 400."""
        if "marker" not in query:
            return newest
        marker = self.cloud.servers.get(query["marker"])
        if marker is None:
            raise Refusal(400, f"Marker {query['marker']} could not be found.")
        return [server for server in newest if server.number < marker.number]

    def _server(self, request: Request, server_id: str) -> SimulatedServer:
        server = self.cloud.servers.get(server_id)
        user = self.identity.user_of(request)
        if server is None or server.deleted or not (user.admin or server.project == user.name):
            raise Refusal(404, f"Instance {server_id} could not be found.")
        return server

    def _show(self, request: Request, server_id: str) -> Response:
        server, user = self._server(request, server_id), self.identity.user_of(request)
        return Response(200, {"server": views.detailed(self.cloud, server, self.version(request), user.admin)})

    def _delete(self, request: Request, server_id: str) -> Response:
        """Delete at once where the host works, or is known to be down: then only Nova's record goes.

        A host that is gone and not known to be down gets a message, which waits for it.
        """
        server = self._server(request, server_id)
        host = self.cloud.hosts.get(server.host)
        if host and self.cloud.is_up(host) and not self.cloud.is_alive(host):
            server.task_state, server.delete_queued_on = "deleting", host.name
            return Response(204)
        server.deleted = True
        if host and self.cloud.is_up(host):
            self.cloud.drop_guest(host.name, server.id)
        return Response(204)

    def _act(self, request: Request, server_id: str) -> Response:
        server, version = self._server(request, server_id), self.version(request)
        if request.action in ("evacuate", "os-resetState"):
            self._admin_only(request, f"os-{request.action}")
        return act(self.cloud, server, request.action, request.body[request.action], version)

    # --- migrations, flavors, hypervisors

    def _migrations(self, request: Request) -> Response:
        self._admin_only(request, "os-migrations:index")
        version, query = self.version(request), request.query
        pages = {"limit", "marker"} if version >= (2, 59) else set()
        if unknown := sorted(set(query) - set(MIGRATION_FILTERS) - pages):
            raise Refusal(400, f"Invalid input for query parameters {unknown}. Additional properties are not allowed")
        newest = list(reversed(self.cloud.shown_migrations()))
        if "marker" in query:
            every: list[Rebuild | Move] = [*self.cloud.evacuations, *self.cloud.moves]
            numbers = [entry.number for entry in every if entry.uuid == query["marker"]]
            if not numbers:
                raise Refusal(400, f"Marker {query['marker']} could not be found.")
            newest = [entry for entry in newest if entry.number < numbers[0]]
        page = paged([entry for entry in newest if _meets(entry, query)], query)
        shown = [views.migration(entry, version) for entry in page.items]
        return Response(200, {"migrations": shown, **page.links("migrations")})

    def _flavors(self, request: Request) -> Response:
        self.identity.user_of(request)
        after = request.query.get("marker", "")
        shown = sorted((f for f in self.cloud.flavors.values() if f.id > after), key=lambda flavor: flavor.id)
        return Response(200, {"flavors": [views.flavor(entry) for entry in shown]})

    def _flavor(self, request: Request, flavor_id: str) -> Response:
        self.identity.user_of(request)
        if flavor_id not in self.cloud.flavors:
            raise Refusal(404, f"Flavor {flavor_id} could not be found.")
        return Response(200, {"flavor": views.flavor(self.cloud.flavors[flavor_id])})

    def _extra_specs(self, request: Request, flavor_id: str) -> Response:
        self.identity.user_of(request)
        if flavor_id not in self.cloud.flavors:
            raise Refusal(404, f"Flavor {flavor_id} could not be found.")
        return Response(200, {"extra_specs": self.cloud.flavors[flavor_id].extra_specs})

    def _hypervisors(self, request: Request) -> Response:
        self._admin_only(request, "os-hypervisors:list")
        shown = [
            {"id": host.provider_id, "hypervisor_hostname": host.name, "state": "up", "status": "enabled"}
            for host in self.cloud.hosts.values()
        ]
        return Response(200, {"hypervisors": shown})


def paged(items: Sequence[Item], query: Mapping[str, str]) -> Page[Item]:
    """Take the first page of a listing that begins after its marker."""
    limit = min(int(query.get("limit") or PAGE), PAGE)
    return Page(items[:limit], len(items[:limit]) == limit)


def _meets(entry: Rebuild | Move, query: Mapping[str, str]) -> bool:
    return all(fits(entry, query[name]) for name, fits in MIGRATION_FILTERS.items() if name in query)


def _fits(server: SimulatedServer, query: Mapping[str, str]) -> bool:
    return (
        query.get("host") in (None, server.host)
        and re.search(query.get("name", ""), server.name) is not None
        and query.get("status", views.status(server)).upper() == views.status(server)
        and query.get("uuid") in (None, server.id)
        and query.get("vm_state") in (None, server.vm_state)
        and query.get("project_id") in (None, server.project)
        # Nova lists soft-deleted servers only when it is asked for them.
        and (server.vm_state != "soft-delete" or "soft_deleted" in query)
    )


def _text(version: Version) -> str:
    return f"{version[0]}.{version[1]}"
