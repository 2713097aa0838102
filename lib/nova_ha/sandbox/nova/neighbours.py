"""The simulated Placement and Glance: the few calls that a recovery makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nova_ha.sandbox.nova.http import Refusal, Request, Response, Route, route
from nova_ha.sandbox.nova.keystone import Identity
from nova_ha.sandbox.nova.life import used
from nova_ha.sandbox.nova.state import Cloud, Host

PLACEMENT = "/placement"
IMAGE = "/image"


@dataclass(frozen=True)
class Neighbours:
    """Routes of Placement and Glance over the cloud's state."""

    cloud: Cloud
    identity: Identity

    def routes(self) -> list[Route]:
        providers = f"{PLACEMENT}/resource_providers"
        return [
            route("GET", PLACEMENT, self._placement_versions),
            route("GET", providers, self._providers),
            route("GET", f"{providers}/{{provider_id}}/inventories", self._inventories),
            route("GET", f"{providers}/{{provider_id}}/usages", self._usages),
            route("GET", IMAGE, self._image_versions),
            route("GET", f"{IMAGE}/v2/images/{{image_id}}", self._image),
        ]

    def _placement_versions(self, request: Request) -> Response:
        link = {"rel": "self", "href": ""}
        version = {"id": "v1.0", "status": "CURRENT", "min_version": "1.0", "max_version": "1.39", "links": [link]}
        return Response(200, {"versions": [version]})

    def _admin_only(self, request: Request) -> None:
        if not self.identity.user_of(request).admin:
            raise Refusal(403, "placement:resource_providers:list is not permitted")

    def _providers(self, request: Request) -> Response:
        self._admin_only(request)
        wanted = request.query.get("name")
        found = [host for host in self.cloud.hosts.values() if wanted in (None, host.name)]
        shown = [{"uuid": host.provider_id, "name": host.name, "generation": 1, "links": []} for host in found]
        return Response(200, {"resource_providers": shown})

    def _host(self, request: Request, provider_id: str) -> Host:
        self._admin_only(request)
        for host in self.cloud.hosts.values():
            if host.provider_id == provider_id:
                return host
        raise Refusal(404, f"No resource provider with uuid {provider_id} found")

    def _inventories(self, request: Request, provider_id: str) -> Response:
        host = self._host(request, provider_id)
        inventories = {
            name: {
                "total": total,
                "reserved": 0,
                "allocation_ratio": 1.0,
                "min_unit": 1,
                "max_unit": total,
                "step_size": 1,
            }
            for name, total in host.inventory.items()
        }
        return Response(200, {"inventories": inventories, "resource_provider_generation": 1})

    def _usages(self, request: Request, provider_id: str) -> Response:
        host = self._host(request, provider_id)
        usages = dict.fromkeys(host.inventory, 0) | used(self.cloud, host)
        return Response(200, {"usages": usages, "resource_provider_generation": 1})

    def _image_versions(self, request: Request) -> Response:
        link = {"rel": "self", "href": f"{request.base}{IMAGE}/v2/"}
        return Response(300, {"versions": [{"id": "v2.9", "status": "CURRENT", "links": [link]}]})

    def _image(self, request: Request, image_id: str) -> Response:
        self.identity.user_of(request)
        image = self.cloud.images.get(image_id)
        if image is None:
            raise Refusal(404, f"No image found with ID {image_id}")
        record: dict[str, Any] = {"id": image.id, "name": image.name, "status": "active", "visibility": "public"}
        return Response(200, {**image.properties, **record, "tags": image.tags, "min_disk": 0, "min_ram": 0})
