"""What Nova's neighbours know: marks of flavors (Nova) and images (Glance), and free room (Placement)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from nova_ha.compute.not_found import said_by_a_service, said_by_nova
from nova_ha.compute.transport import last_answer
from nova_ha.errors import NoSuchHost

# What an image has by itself (Image API v2); everything else in its record is a property that somebody set.
IMAGE_FIELDS = frozenset(
    (
        "id",
        "name",
        "status",
        "visibility",
        "owner",
        "size",
        "virtual_size",
        "checksum",
        "os_hash_algo",
        "os_hash_value",
        "os_hidden",
        "protected",
        "min_disk",
        "min_ram",
        "disk_format",
        "container_format",
        "created_at",
        "updated_at",
        "tags",
        "self",
        "file",
        "schema",
        "locations",
        "direct_url",
        "stores",
    )
)


@dataclass(frozen=True)
class Resources:
    """novaclient and keystoneauth adapters of Glance and Placement. Its errors are the clients' own."""

    nova: Any
    image: Any
    placement: Any
    _by_flavor_name: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def flavor_marks(self, flavor: str) -> Mapping[str, str]:
        """Return the extra specs of a flavor given by id, or by name as servers name it from 2.47 on."""
        from novaclient import exceptions

        try:
            return dict(self.nova.flavors.get(flavor).get_keys())
        except exceptions.NotFound:
            if not said_by_nova(last_answer()):
                raise
            return self._of_flavor_named(flavor)

    def _of_flavor_named(self, name: str) -> Mapping[str, str]:
        marker = None
        while page := self.nova.flavors.list(is_public=None, marker=marker):
            for flavor in page:
                if flavor.name == name:
                    return dict(flavor.get_keys())
            marker = page[-1].id
        return {}

    def image_marks(self, image_id: str) -> tuple[Mapping[str, str], tuple[str, ...]]:
        """Return an image's properties and tags; both empty where it, or the whole image service, does not exist."""
        from keystoneauth1 import exceptions

        try:
            record = self._image(image_id) if image_id else {}
        except exceptions.EndpointNotFound:
            return {}, ()
        except exceptions.NotFound:
            if not said_by_a_service(last_answer()):
                raise
            return {}, ()
        marks = {name: str(value) for name, value in record.items() if name not in IMAGE_FIELDS}
        return marks, tuple(record.get("tags") or ())

    def _image(self, image_id: str) -> Mapping[str, Any]:
        from keystoneauth1 import exceptions

        endpoint = self.image.get_endpoint()
        if not endpoint:
            raise exceptions.EndpointNotFound("the catalog has no image service")
        base = str(endpoint).rstrip("/").removesuffix("/v2")
        record: Mapping[str, Any] = self.image.get(f"{base}/v2/images/{quote(image_id)}").json()
        return record

    def room(self, host: str) -> Mapping[str, int]:
        """Return what is free by resource class. Raises NoSuchHost where Placement has no provider for the host."""
        provider = self._provider_of(host)
        inventories = self._placement(f"/resource_providers/{provider}/inventories")["inventories"]
        usages = self._usages(provider)
        return {
            name: int((entry["total"] - entry["reserved"]) * entry["allocation_ratio"]) - usages.get(name, 0)
            for name, entry in inventories.items()
        }

    def usage(self, host: str) -> Mapping[str, int]:
        """Return what is taken by resource class. Raises NoSuchHost as `room` does."""
        return {name: int(taken) for name, taken in self._usages(self._provider_of(host)).items()}

    def _usages(self, provider: str) -> Mapping[str, Any]:
        usages: Mapping[str, Any] = self._placement(f"/resource_providers/{provider}/usages")["usages"]
        return usages

    def _provider_of(self, host: str) -> str:
        provider = self._provider(host) or self._provider(self._hypervisor(host))
        if provider is None:
            raise NoSuchHost(f"Placement has no resource provider for {host}")
        return provider

    def _provider(self, name: str) -> str | None:
        found = self._placement(f"/resource_providers?{urlencode({'name': name})}")["resource_providers"]
        return str(found[0]["uuid"]) if found else None

    def _hypervisor(self, host: str) -> str:
        """Return the one hypervisor whose name is the host's with a domain, else the host's own name.

        Without details: those ask every nova-compute and wait for the dead ones.
        """
        names = [hypervisor.hypervisor_hostname for hypervisor in self.nova.hypervisors.list(detailed=False)]
        alike = [name for name in names if name.partition(".")[0] == host.partition(".")[0]]
        return alike[0] if len(alike) == 1 else host

    def _placement(self, path: str) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = self.placement.get(path).json()
        return answer
