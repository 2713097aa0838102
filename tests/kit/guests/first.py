"""The first process of a compute host, in namespaces of its own: mounts, network, and what a host starts at boot.

first.py HOME OUTSIDE, where OUTSIDE is the open network namespace that the switch is in. SIGUSR1 starts again what
has ended of nova-compute, libvirtd and the jobs. It also collects the guests that ended, as a system's init would.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from kit.guests.host import Host, Setup
from kit.guests.layout import INSTANCES, PREFIX_LENGTH, SWITCH
from kit.stack.layout import BIN

PR_SET_CHILD_SUBREAPER = 36
SOCKET = Path("/run/libvirt/libvirt-sock")
POLL_S = 0.05


def shell(script: str, *keep: int) -> None:
    """Run lines of a shell. Raises CalledProcessError."""
    subprocess.run(["sh", "-ec", script], check=True, pass_fds=keep)


def mount(home: Path, instances: Path) -> None:
    """Lay the host's own files over the machine's. /run is empty after a boot."""
    for name in ("etc", "var"):
        options = f"lowerdir=/{name},upperdir={home}/{name},workdir={home}/{name}.work"
        shell(f"mount -t overlay -o {options} overlay /{name}")
    # A new sysfs shows this network's devices; its firmware's identity would be that of all hosts.
    shell("mount -t tmpfs -o mode=755 none /run && mkdir /run/lock && mount -t sysfs sysfs /sys")
    shell("test ! -d /sys/class/dmi/id || mount -t tmpfs none /sys/class/dmi/id")
    shell(f"mkdir -p {INSTANCES} && mount --bind {instances} {INSTANCES}")


def plug(home: Path, setup: Setup, outside: int) -> None:
    """Plug the host in: a veth to the switch."""
    port = (home / "port").read_text()
    line = f"ip link add {port} type veth peer name eth0 netns {os.getpid()} && ip link set {port} master {SWITCH} up"
    shell(f"exec nsenter --net=/proc/self/fd/{outside} sh -ec '{line}'", outside)
    os.close(outside)
    shell(f"ip link set lo up && ip address add {setup.address}/{PREFIX_LENGTH} dev eth0 && ip link set eth0 up")


class Roles:
    """What runs on the host by its role's name; each process's id is noted in `ROLE.pid`."""

    def __init__(self, home: Path, setup: Setup) -> None:
        self._home, self._setup = home, setup
        self._running: dict[str, int] = {}

    def start_missing(self) -> None:
        """Start what does not run. nova-compute comes after libvirtd."""
        for role, job in self._setup.jobs.items():
            self._start(role, job.argv, job.environ)
        self._start("libvirtd", ["/usr/sbin/libvirtd", "--listen"], os.environ)
        while not SOCKET.exists():
            self.collect()
            time.sleep(POLL_S)
        self._start("nova-compute", [str(BIN / "nova-compute")], os.environ)

    def _start(self, role: str, argv: Sequence[str], environ: Mapping[str, str]) -> None:
        if role in self._running:
            return
        process = subprocess.Popen(argv, env=environ, cwd="/", stdin=subprocess.DEVNULL)
        self._running[role] = process.pid
        (self._home / f"{role}.pid").write_text(str(process.pid))

    def collect(self) -> None:
        """Collect all that has ended."""
        while True:
            try:
                ended, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not ended:
                return
            self._running = {role: number for role, number in self._running.items() if number != ended}


def main(home: Path, outside: int) -> None:
    """Boot, and run until the power is cut."""
    again: list[int] = []
    signal.signal(signal.SIGUSR1, lambda number, _: again.append(number))
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    host = Host(home.name)
    setup = host.setup
    subprocess.run(["hostname", home.name], check=True)
    mount(home, host.instances)
    plug(home, setup, outside)
    (home / "first.pid").write_text(str(os.getpid()))
    roles = Roles(home, setup)
    roles.start_missing()
    while True:
        roles.collect()
        if again:
            again.clear()
            roles.start_missing()
        time.sleep(POLL_S)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
