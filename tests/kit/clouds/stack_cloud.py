"""The real stack as a cloud for the contract; it must be up with at least four hosts.

With more of them a test need not wait for the hosts of the one before: these boot meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from nova_ha.compute import Compute, ServerID
from nova_ha.compute.client import connect
from nova_ha.compute.nova import Nova
from nova_ha.compute.states import VMState

from kit.clouds.contract_cloud import until
from kit.stack import hosts
from kit.stack.layout import ACCESS
from kit.stack.process import pid_of
from kit.stack.tidy import await_back, begin, tidy

NEEDED = 4


def connected() -> Nova:
    """Return a client of the stack's Nova."""
    return connect(ACCESS, call_timeout_s=30.0)


class Pool:
    """All hosts of the stack, tidy at first, those that were broken last at the end."""

    def __init__(self) -> None:
        self._names = sorted(reading.service.host for reading in connected().services())
        assert len(self._names) >= NEEDED, f"the stack must be up with {NEEDED} hosts at least"
        tidy(self._names)

    def take(self) -> Sequence[str]:
        """Return four hosts that are well, as soon as there are."""
        return await_back(self._names, NEEDED)

    def give_back(self) -> None:
        """Delete all servers and guests, and begin to bring every host back."""
        self._names.sort(key=lambda name: not pid_of(name))
        begin(self._names)


class StackCloud:
    """A `ContractCloud` of real processes."""

    patience_s = 120.0

    def __init__(self, hosts: Sequence[str]) -> None:
        self.hosts = hosts
        self._nova = connected()
        self._began = f"contract-{time.time_ns()}"
        self._client = self._nova._client
        self._booted = 0
        self._flavor, self._image = self._find_flavor(), self._find_image()

    def connect(self) -> Compute:
        return connected()

    def _find_flavor(self) -> str:
        [flavor] = [flavor for flavor in self._client.flavors.list() if flavor.name == "tiny"]
        flavor.set_keys({"ha": "yes"})
        return str(flavor.id)

    def _find_image(self) -> str:
        """Return the image `tiny`, with the property and the tag that the contract expects."""
        image = self._nova._resources.image
        base = str(image.get_endpoint()).rstrip("/") + "/v2/images"
        [found] = image.get(f"{base}?name=tiny").json()["images"]
        if "ha_image" not in found:
            patch = [{"op": "add", "path": "/ha_image", "value": "yes"}]
            kind = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
            image.patch(f"{base}/{found['id']}", json=patch, headers=kind)
            image.put(f"{base}/{found['id']}/tags/gold")
        return str(found["id"])

    def boot(self, host: str, count: int = 1) -> list[ServerID]:
        made = []
        for _ in range(count):
            self._booted += 1
            name = f"{self._began}-{self._booted}"
            server = self._client.servers.create(name, self._image, self._flavor, nics="none", host=host)
            made.append(ServerID(server.id))
        for server_id in made:
            self._wait_for(server_id, VMState.ACTIVE)
        return made

    def _wait_for(self, server_id: ServerID, state: VMState) -> None:
        def there() -> bool | None:
            found = self._nova.server(server_id)
            return (found is not None and found.vm_state is state and not found.task_state) or None

        until(f"{server_id} {state.value}", self.patience_s, there)

    def put_into(self, server: ServerID, state: VMState) -> None:
        {VMState.STOPPED: self._client.servers.stop, VMState.PAUSED: self._client.servers.pause}[state](server)
        self._wait_for(server, state)

    def delete(self, server: ServerID) -> None:
        self._client.servers.force_delete(server)

    def kill_compute(self, host: str) -> None:
        hosts.kill_compute(host)

    def power_off(self, host: str) -> None:
        hosts.power_off(host)

    def start_compute(self, host: str) -> None:
        hosts.start(host)

    def fail_spawn(self, host: str, on: bool) -> None:
        hosts.fail_spawn(host, on)

    def slow_spawn(self, host: str, seconds: float) -> None:
        hosts.slow_spawn(host, seconds)

    def guests(self, server: ServerID) -> set[str]:
        return set(hosts.guests().get(server, {}))
