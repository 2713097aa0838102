"""nova-compute with a fake driver whose guests outlive it, as real ones do; run by the stack's own Python.

Nova's own fake driver keeps its guests in memory, so killing nova-compute would power them off. Here each guest is a
file named by its server's id under state/guests/HOST/: a server that has a file under two hosts is there twice,
which is what fencing is there to prevent.

To test failures, state/HOST/fail-spawn makes every spawn on HOST fail, and a number in state/HOST/slow-spawn makes it
take that many seconds, or until the file is removed.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import sys
import time

from nova.cmd import compute  # isort: skip  # first, because it picks the thread model
import nova.conf
import nova.virt
from nova import exception
from nova.virt import fake


class Driver(fake.FakeDriverWithoutFakeNodes):
    """The fake driver, with files for guests."""

    def init_host(self, host):
        super().init_host(host)
        self._home = pathlib.Path(nova.conf.CONF.state_path)
        self._guests = self._home.parent / "guests" / host
        self._guests.mkdir(parents=True, exist_ok=True)
        for path in self._guests.iterdir():
            guest = json.loads(path.read_text())
            self.resources.claim(*guest["size"])
            self.instances[path.name] = fake.FakeInstance(guest["name"], guest["state"], path.name)

    def get_host_uptime(self):
        return "up 1 day"

    def _save(self, instance):
        flavor, guest = instance.flavor, self.instances[instance.uuid]
        size = [flavor.vcpus, flavor.memory_mb, flavor.root_gb]
        part = self._home / f"guest-{instance.uuid}"
        part.write_text(json.dumps({"name": guest.name, "state": guest.state, "size": size}))
        part.rename(self._guests / instance.uuid)

    def spawn(self, context, instance, *args, **kwargs):
        if (self._home / "fail-spawn").exists():
            raise exception.NovaException("fail-spawn is set on this host")
        self._wait_as_told()
        super().spawn(context, instance, *args, **kwargs)
        self._save(instance)

    def _wait_as_told(self):
        switch = self._home / "slow-spawn"
        with contextlib.suppress(FileNotFoundError):
            until = time.monotonic() + float(switch.read_text())
            while switch.exists() and time.monotonic() < until:
                time.sleep(0.05)

    def destroy(self, context, instance, *args, **kwargs):
        super().destroy(context, instance, *args, **kwargs)
        (self._guests / instance.uuid).unlink(missing_ok=True)

    def power_off(self, instance, *args, **kwargs):
        super().power_off(instance, *args, **kwargs)
        self._save(instance)

    def power_on(self, context, instance, *args, **kwargs):
        super().power_on(context, instance, *args, **kwargs)
        self._save(instance)

    def migrate_disk_and_power_off(self, context, instance, *args, **kwargs):
        disk = super().migrate_disk_and_power_off(context, instance, *args, **kwargs)
        (self._guests / instance.uuid).unlink(missing_ok=True)
        return disk


if __name__ == "__main__":
    # Nova loads drivers from its own package only, by name.
    nova.virt.__path__.append(str(pathlib.Path(__file__).resolve().parent))
    sys.exit(compute.main())
