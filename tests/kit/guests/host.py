"""A compute host of real parts, by its name: what boots, hangs, is cut off or loses its power as one machine.

Several processes may use it: the tests, and its BMC.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from nova_ha.errors import HAError
from nova_ha.sandbox.chassis import write_private
from nova_ha.sandbox.waiting import until

from kit.guests.layout import HERE, HOSTS, INSTANCES, SHARED, groups
from kit.stack.layout import BIN, ETC, LOG

ENDED_WITHIN_S = 30.0
# Puts itself into a cgroup before it becomes something else.
INTO_GROUP = 'echo $$ >"$1/cgroup.procs" && shift && exec "$@"'


@dataclass(frozen=True)
class Job:
    """Something that a host starts when it boots."""

    argv: Sequence[str]
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Setup:
    """How a host is set up; takes effect at its next boot. `shared`: its instances are where all others' are.
    `migration_mib_s` is how fast it migrates guests, 0 as fast as it can.
    """

    address: str
    shared: bool = True
    images_type: str = "raw"
    resumes_guests: bool = False
    migration_mib_s: int = 0
    jobs: Mapping[str, Job] = field(default_factory=dict)


class Host:
    """One host by its name; `set_up` makes it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.home = HOSTS / name
        self.group = groups() / name

    # --- what it is

    def set_up(self, setup: Setup) -> None:
        """Say how the host is set up, before its first boot or before its next one."""
        self.home.mkdir(parents=True, exist_ok=True)
        write_private(self.home / "setup.json", json.dumps(asdict(setup)))

    @property
    def setup(self) -> Setup:
        """How it is set up."""
        found = json.loads((self.home / "setup.json").read_text())
        return Setup(**{**found, "jobs": {name: Job(**job) for name, job in found["jobs"].items()}})

    def change(self, **changes: Any) -> None:
        """Set it up otherwise, see `Setup`."""
        self.set_up(replace(self.setup, **changes))

    @property
    def instances(self) -> Path:
        """Where its instances are, seen from outside."""
        return SHARED if self.setup.shared else self.home / "instances"

    @property
    def runs(self) -> bool:
        """True while anything runs on it, frozen or not."""
        with suppress(OSError):
            return "populated 1" in (self.group / "cgroup.events").read_text()
        return False

    @property
    def processes(self) -> Sequence[int]:
        """The ids of all that runs on it."""
        with suppress(OSError):
            return [int(line) for line in (self.group / "cgroup.procs").read_text().split()]
        return []

    def process(self, role: str) -> int:
        """Return the process of a role, as `nova-compute`. Raises HAError where it does not run on the host."""
        with suppress(OSError, ValueError):
            number = int((self.home / f"{role}.pid").read_text())
            if number in self.processes:
                return number
        raise HAError(f"no {role} runs on {self.name}")

    def runs_role(self, role: str) -> bool:
        """True while the role's process runs."""
        with suppress(HAError):
            return bool(self.process(role))
        return False

    def inside(self, *argv: str) -> list[str]:
        """Return what runs a command on the host, as long as this boot of it lasts."""
        first = str(self.process("first"))
        way = ["nsenter", "--target", first, "--mount", "--uts", "--net", "--"]
        return ["sh", "-c", INTO_GROUP, "sh", str(self.group), *way, *argv]

    # --- what happens to it

    def boot(self) -> None:
        """Give it power; it boots in its own time. Nothing where it has power."""
        if self.runs:
            return
        self._write_configuration()
        boots = self.home / "boots"
        number = int(boots.read_text()) + 1 if boots.exists() else 1
        boots.write_text(str(number))
        # The one of the boot before may still be about to vanish with its network.
        (self.home / "port").write_text(f"{self.name[:11]}.{number % 1000}")
        self.group.mkdir(parents=True, exist_ok=True)
        (self.group / "cgroup.freeze").write_text("0")
        outside = os.open("/proc/self/ns/net", os.O_RDONLY)
        try:
            with (LOG / f"{self.name}.out").open("ab") as log:
                namespaces = ["unshare", "--mount", "--uts", "--net"]
                first = [sys.executable, str(HERE / "first.py"), str(self.home), str(outside)]
                subprocess.Popen(
                    ["sh", "-c", INTO_GROUP, "sh", str(self.group), *namespaces, *first],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    pass_fds=[outside],
                    start_new_session=True,
                )
        finally:
            os.close(outside)
        until(lambda: self.runs, f"{self.name} to have power")

    def power_off(self) -> None:
        """Cut its power: it is silent at once, and ends in the middle of whatever it does. Idempotent."""
        _ip("link", "delete", self._port, may_fail=True)
        with suppress(FileNotFoundError):
            (self.group / "cgroup.kill").write_text("1")
        until(lambda: not self.runs, f"{self.name} to have ended", ENDED_WITHIN_S)

    def hang(self) -> None:
        """Let all of it hang: its kernel still accepts connections, and nothing goes on, its guests neither."""
        self._freeze("1")

    def go_on(self) -> None:
        """Let it go on after `hang`."""
        self._freeze("0")

    def _freeze(self, state: str) -> None:
        (self.group / "cgroup.freeze").write_text(state)
        events = self.group / "cgroup.events"
        until(lambda: f"frozen {state}" in events.read_text(), f"{self.name} to be frozen: {state}")

    def cut(self) -> None:
        """Cut its link: nobody reaches it, and it reaches nobody."""
        _ip("link", "set", self._port, "down")

    def mend(self) -> None:
        """Mend its link."""
        _ip("link", "set", self._port, "up")

    def remove(self) -> None:
        """End it, and remove its cgroup. Idempotent."""
        if (self.home / "port").exists():
            self.power_off()
        with suppress(FileNotFoundError):
            self.group.rmdir()

    @property
    def _port(self) -> str:
        return (self.home / "port").read_text()

    # --- its files

    def _write_configuration(self) -> None:
        """Write what is its own of /etc and /var: they are laid over the machine's."""
        etc, setup = self.home / "etc", self.setup
        for folder in (etc, self.home / "etc.work", self.home / "var", self.home / "var.work"):
            folder.mkdir(exist_ok=True)
        for folder in (etc / "nova", etc / "libvirt", self.home / "instances", SHARED):
            folder.mkdir(exist_ok=True)
        (etc / "hosts").write_text("".join(f"{a} {n}\n" for n, a in {"localhost": "127.0.0.1", **known()}.items()))
        (etc / "hostname").write_text(f"{self.name}\n")
        # libvirt looks this user up even where qemu.conf names another one.
        _with_line(Path("/etc/passwd"), etc / "passwd", "libvirt-qemu:x:64055:64055::/var/lib/libvirt:/bin/false")
        _with_line(Path("/etc/group"), etc / "group", "libvirt-qemu:x:64055:")
        # The machine has one UUID only.
        identity = uuid.uuid5(uuid.NAMESPACE_DNS, self.name)
        (etc / "libvirt/libvirtd.conf").write_text(LIBVIRTD.format(identity=identity, address=setup.address))
        (etc / "libvirt/qemu.conf").write_text(QEMU)
        nova = NOVA.format(
            name=self.name,
            address=setup.address,
            instances=INSTANCES,
            images_type=setup.images_type,
            migration_mib_s=setup.migration_mib_s,
            resumes=str(setup.resumes_guests).lower(),
            privsep=BIN / "privsep-helper",
        )
        (etc / "nova/nova.conf").write_text((ETC / "nova.conf").read_text() + nova)


def known() -> Mapping[str, str]:
    """Return the address of every host that was set up."""
    return {path.parent.name: json.loads(path.read_text())["address"] for path in HOSTS.glob("*/setup.json")}


def remove_all() -> None:
    """End every host, also those that a killed run has left, and remove the cgroups. Idempotent."""
    top = groups()
    for group in sorted(top.glob("*/")):
        with suppress(FileNotFoundError):
            (group / "cgroup.kill").write_text("1")
        until(partial(_removed, group), f"{group.name} to have ended", ENDED_WITHIN_S)
    with suppress(FileNotFoundError):
        top.rmdir()


def _removed(group: Path) -> bool:
    with suppress(FileNotFoundError):
        try:
            group.rmdir()
        except OSError:
            return False
    return True


def _with_line(source: Path, copy: Path, line: str) -> None:
    shutil.copy(source, copy)
    with copy.open("a") as file:
        file.write(f"{line}\n")


def _ip(*words: str, may_fail: bool = False) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    if done.returncode and not may_fail:
        raise HAError(f"ip {' '.join(words)}: {done.stderr.strip()}")


LIBVIRTD = """host_uuid = "{identity}"
listen_tls = 0
listen_tcp = 1
listen_addr = "{address}"
auth_tcp = "none"
"""
# All is root's, nothing is confined, no cgroups, no helper daemons.
QEMU = """user = "root"
group = "root"
dynamic_ownership = 0
cgroup_controllers = [ ]
stdio_handler = "file"
"""
# The guests ignore the power button.
NOVA = """
[DEFAULT]
host = {name}
my_ip = {address}
state_path = /var/lib/nova
instances_path = {instances}
compute_driver = libvirt.LibvirtDriver
shutdown_timeout = 1
resume_guests_state_on_host_boot = {resumes}
[oslo_concurrency]
lock_path = /var/lib/nova/lock
[nova_sys_admin]
helper_command = {privsep} --config-file /etc/nova/nova.conf
# A migration fetches the guest's kernel, which it takes for no image.
[workarounds]
disable_deep_image_inspection = true
[libvirt]
virt_type = qemu
cpu_mode = none
images_type = {images_type}
live_migration_bandwidth = {migration_mib_s}
tb_cache_size = 32
live_migration_scheme = tcp
live_migration_inbound_addr = {address}
"""
