"""Where the parts of real guests are: folders, the network, the cgroups."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

from nova_ha.sandbox.network import Network

from kit.stack.layout import HOME, STATE

HERE = Path(__file__).resolve().parent
TESTS = HERE.parents[1]
# For benchmarks of networks (RFC 2544): no machine's own, and here inside the namespaces only.
NETWORK = Network("198.18")
PREFIX_LENGTH = 16
# Where Consul's servers and the BMCs are: on the machine that the tests run on.
OUTSIDE = ("198.18.0.0/24", "198.18.3.0/24")
SWITCH = "hosts"

IMAGE = HOME / "guest-image"
HOSTS, SHARED = STATE / "hosts", STATE / "shared-instances"
# On every host, as Nova has it.
INSTANCES = Path("/var/lib/nova/instances")
# One run at a time for each HOME: its groups are told from another's.
GROUPS_NAME = f"nova-ha-guests-{zlib.crc32(os.fsencode(HOME)):08x}"


def groups() -> Path:
    """Return the cgroup that all hosts' are in; it need not exist."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, folder, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(folder, GROUPS_NAME)
    raise RuntimeError("there is no cgroup2 on this machine")
