"""The cloud as its admin sees it: clients, what every test needs of it, and servers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from nova_ha.errors import HAError

from kit.stack.layout import ACCESS, APIS, AUTH_URL, CLOUD, CLOUDS_YAML, PASSWORD, REGION
from kit.stack.process import wait_for

MICROVERSION = "2.94"
INTERFACES = ("public", "internal", "admin")
BOOT_S, BOOT_EACH_S = 120.0, 6.0
FLAVOR, IMAGE = "tiny", "tiny"
# Memory in MiB. A host has 800 GB: with a filler on it, tiny servers fit and large ones do not.
FLAVORS = {FLAVOR: 64, "large": 20_000, "filler": 790_000}


def session() -> Any:
    """Return a keystoneauth session of the admin."""
    from keystoneauth1 import loading, session

    auth = {key.removeprefix("OS_").lower(): value for key, value in ACCESS.items() if key != "OS_REGION_NAME"}
    plugin = loading.get_plugin_loader("password").load_from_options(**auth)
    return session.Session(auth=plugin, timeout=60)


def nova() -> Any:
    """Return novaclient's client."""
    from novaclient import client

    return client.Client(MICROVERSION, session=session())


def connection() -> Any:
    """Return openstacksdk's connection."""
    from openstack import config, connection

    loader = config.OpenStackConfig(config_files=[str(CLOUDS_YAML)], load_envvars=False)
    return connection.Connection(config=loader.get_one(cloud=CLOUD))


def seed_identity() -> None:
    """Make the catalog, and the user that the services use among themselves."""
    identity = connection().identity
    project = identity.create_project(name="service", domain_id="default")
    user = identity.create_user(name="service", password=PASSWORD, domain_id="default")
    for name in ("admin", "service"):
        identity.assign_project_role_to_user(project, user, identity.find_role(name))
    for name, api in APIS.items():
        if api.url == AUTH_URL:
            continue
        service = identity.create_service(name=name, type=api.kind)
        for interface in INTERFACES:
            where = {"region_id": REGION, "interface": interface, "url": api.url}
            identity.create_endpoint(service_id=service.id, **where)


def seed_compute() -> None:
    """Make the flavors and the image of all servers, where they are missing."""
    cloud = connection()
    known = {flavor.name for flavor in cloud.compute.flavors()}
    for name in FLAVORS.keys() - known:
        cloud.compute.create_flavor(name=name, ram=FLAVORS[name], vcpus=1, disk=1)
    if not list(cloud.image.images(name=IMAGE)):
        cloud.image.create_image(IMAGE, disk_format="raw", container_format="bare", data=b"\0" * 1024)


def image_id(name: str = IMAGE) -> str:
    """Return an image: that of all servers but real guests."""
    return str(nova().glance.find_image(name).id)


def ready(client: Any, hosts: Sequence[str]) -> bool:
    """True when every host reports, is mapped to a cell, and has its inventory in Placement."""
    # Nova 34 takes a new nova-compute for up before its first report.
    services = [service for service in client.services.list(binary="nova-compute") if service.updated_at]
    up = {service.host for service in services if service.state == "up"}
    # With details Nova would ask every nova-compute, and wait 60 s for a silent one.
    mapped = {hypervisor.hypervisor_hostname for hypervisor in client.hypervisors.list(detailed=False)}
    answer = client.client.session.get(
        "/resource_providers?resources=VCPU:1",
        endpoint_filter={"service_type": "placement"},
        headers={"OpenStack-API-Version": "placement 1.4"},
    )
    known = {provider["name"] for provider in answer.json()["resource_providers"]}
    return set(hosts) <= up & mapped & known


def conductor_is_up(client: Any) -> bool:
    """True when nova-conductor reports."""
    return any(service.state == "up" for service in client.services.list(binary="nova-conductor"))


def boot(host: str, count: int, *, flavor: str = FLAVOR, image: str = IMAGE) -> list[str]:
    """Boot servers on the host in one request, wait until they are ACTIVE, and return their ids."""
    client, name = nova(), f"{host}-vm-{time.time_ns()}"
    client.servers.create(
        name,
        image_id(image),
        client.flavors.find(name=flavor).id,
        nics="none",
        host=host,
        min_count=count,
        max_count=count,
    )

    def there(state: str) -> list[str]:
        found = client.servers.list(detailed=False, limit=-1, search_opts={"name": name, "status": state})
        return [str(server.id) for server in found]

    def active() -> bool:
        if erred := there("ERROR"):
            raise HAError(f"{len(erred)} of {count} new servers on {host} are in ERROR: {erred}")
        return len(there("ACTIVE")) == count

    wait_for(f"{count} servers on {host}", active, within_s=BOOT_S + BOOT_EACH_S * count)
    return there("ACTIVE")


def delete_all_servers(within_s: float = 180.0) -> None:
    """Delete every server, whatever its state."""
    from novaclient import exceptions

    client = nova()

    def left() -> list[Any]:
        every = {"all_tenants": 1, "soft_deleted": 1}
        found: list[Any] = client.servers.list(detailed=False, limit=-1, search_opts=every)
        return found

    for server in left():
        try:
            client.servers.reset_state(server.id, "error")
            client.servers.force_delete(server.id)
        except exceptions.NotFound:
            continue
    wait_for("all servers to be deleted", lambda: not left(), within_s=within_s)
