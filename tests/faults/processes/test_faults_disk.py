"""HA nodes with no place to write to, and programs without standard streams.

The folder of the lock files, of the log and of temporary files is on a small file system of its own, in a mount
namespace of its own: full, or read only. What the agents of ha-1 to ha-3 would start is started here by hand.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from kit.clouds.plan import Watches, WholePlan
from kit.clouds.whole import BIN, WholeCloud
from nova_ha.sandbox.waiting import until

LIMIT_S = 240.0
HANDLER = "nova-ha-handle-recovery"
CHECKS = ("nova-ha-check-ssh", "nova-ha-check-bmc", "nova-ha-check-cluster")
# Called with the folder, and the program with its words. The log exists, and takes no byte more.
MOUNTED = {
    "full": 'mount -t tmpfs -o size=4k,nr_inodes=3 none "$0" && touch "$0/log" && ! yes 2>/dev/null >"$0/fill"',
    "read-only": 'mount -t tmpfs -o ro none "$0"',
}
CLOSED = 'exec "$@" <&- >&- 2>&-'
CONDITIONS = (*MOUNTED, "closed")


@pytest.fixture(scope="module")
def cloud() -> Iterator[WholeCloud]:
    plan = WholePlan(
        compute=4,
        others=4,
        watches=Watches.COUNTING,
        timer=False,
        policy={"monitor/quorum": "2", "recovery/limit": "4"},
    )
    with WholeCloud(plan) as running:
        yield running


def start(
    cloud: WholeCloud, condition: str, name: str, program: str, environ: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start one of our programs on an HA node under the condition."""
    place = cloud.directory / f"place-{condition}"
    place.mkdir(exist_ok=True)
    own = {**os.environ, **cloud.handler_environ(name), **(environ or {})}
    own |= {"NOVA_HA_RUN": f"{place}/run", "NOVA_HA_LOG": f"{place}/log", "TMPDIR": str(place)}
    return subprocess.Popen(
        [*under(condition, place), str(BIN / program)],
        env=own,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


def under(condition: str, place: Path) -> Sequence[str]:
    """Return what runs a program under the condition when put before it."""
    if condition == "closed":
        return ["sh", "-c", CLOSED, "sh"]
    return ["unshare", "--mount", "sh", "-c", f'{MOUNTED[condition]} && exec "$@"', str(place)]


@pytest.mark.fault(35)
@pytest.mark.parametrize("condition", CONDITIONS)
def test_checks_end_with_the_right_code_though_nothing_can_be_written(cloud: WholeCloud, condition: str) -> None:
    """Nothing waits, and all hosts are well: 0. Consul is away, and nobody can tell: 1."""
    cloud.seen_well(*cloud.machines.values())
    nobody = {"CONSUL_HTTP_ADDR": "127.255.255.1:1"}
    for check in CHECKS:
        until(
            lambda check=check: tells(cloud, condition, check), f"{check} to say that all is well", within_s=LIMIT_S
        )
    for program in (*CHECKS, "nova-ha-handle-failures"):
        assert start(cloud, condition, "ha-1", program, nobody).wait(LIMIT_S) == 1, program


def tells(cloud: WholeCloud, condition: str, check: str) -> bool:
    """Run the check; False where it cannot tell, as its deadline may pass on a busy machine: that is 1, never 2."""
    code = start(cloud, condition, "ha-1", check).wait(LIMIT_S)
    assert code in (0, 1), f"{check} ended with {code}"
    return code == 0


@pytest.mark.fault(35)
def test_hosts_are_recovered_by_ha_nodes_that_can_write_nothing(cloud: WholeCloud) -> None:
    """Each HA node has another trouble, and one has nobody who reads what the handler prints."""
    hosts = [cloud.host() for _ in cloud.machines]
    for host in hosts:
        host.hang()
    for host in hosts:
        cloud.failed(host)
    handlers = {c: start(cloud, c, f"ha-{4 + number}", HANDLER) for number, c in enumerate(CONDITIONS)}
    reader, unread = start_unread(cloud, "ha-7")
    for host in hosts:
        cloud.audit_recovered(host)
    assert {cloud.finished(host).driver for host in hosts} <= {f"ha-{number}" for number in range(4, 8)}
    assert [process.wait(LIMIT_S) for process in handlers.values()] == [0] * len(CONDITIONS)
    assert unread.poll() is None
    os.close(reader)
    assert unread.wait(LIMIT_S) == 0


def start_unread(cloud: WholeCloud, name: str) -> tuple[int, subprocess.Popen[bytes]]:
    """Start the handler with a full pipe for its standard output; return the end from which nobody reads."""
    reader, writer = os.pipe()
    os.write(writer, b"x" * fcntl.fcntl(writer, fcntl.F_GETPIPE_SZ))
    process = subprocess.Popen(
        [str(BIN / HANDLER)],
        env={**os.environ, **cloud.handler_environ(name)},
        stdin=subprocess.DEVNULL,
        stdout=writer,
        start_new_session=True,
    )
    os.close(writer)
    return reader, process
