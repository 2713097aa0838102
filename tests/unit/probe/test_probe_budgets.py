"""Each host has a budget of bytes of its own: a hostile one is unknown, and the others notice nothing."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

import asyncssh
import pytest
from asyncssh.packet import String
from kit.machines.asyncssh_server import AsyncSSHServer, Process
from nova_ha.cluster.node import SSHConfig
from nova_ha.errors import HAError
from nova_ha.probe.reach import SENDS_TOO_MUCH
from nova_ha.probe.sighting import WELL, SightCause, Sighting, State
from nova_ha.probe.ssh_sweep import host_key, sweep

LOOPBACK = "127.0.0.1"
OTHERS = 20
# Far below what one packet of the hostile ones unpacks to, far above what a sweep of so few needs.
MOST_GROWTH_KB = 32 * 1024

# Once without the hostile one, so that what is measured is its own part. ru_maxrss would begin with that of pytest.
SWEEPS = """
import json, pathlib, re, sys
from nova_ha.cluster.node import SSHConfig
from nova_ha.probe.ssh_sweep import sweep

def most_kb():
    return int(re.search(r"VmHWM:\\s*(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1])

nodes = {name: SSHConfig(*where, "u", "p") for name, where in json.loads(sys.argv[1]).items()}
sweep({name: config for name, config in nodes.items() if name != "hostile"}, 60.0, 40.0)
before = most_kb()
seen = sweep(nodes, 60.0, 40.0)
print(json.dumps([{name: [look.state.value, look.why] for name, look in seen.items()}, most_kb() - before]))
"""


def packet(payload: bytes) -> bytes:
    """One packet as it is sent before the keys are exchanged."""
    padding = 4 + -(9 + len(payload)) % 8
    return struct.pack(">IB", 1 + len(payload) + padding, padding) + payload + bytes(padding)


IGNORED = packet(bytes([asyncssh.constants.MSG_IGNORE]) + struct.pack(">I", 0))


def _greet_and_flood(connection: socket.socket) -> None:
    with connection, suppress(OSError):
        connection.sendall(b"SSH-2.0-flood\r\n")
        while True:
            connection.sendall(IGNORED * 4096)


@contextmanager
def flood_before_the_keys() -> Iterator[SSHConfig]:
    def serve(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=_greet_and_flood, args=(connection,), daemon=True).start()

    with socket.create_server((LOOPBACK, 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        yield SSHConfig(*listener.getsockname(), user="u", password="p")
        listener.shutdown(socket.SHUT_RDWR)


async def _write_without_end(process: Process) -> None:
    with suppress(OSError, asyncssh.Error):
        while True:
            process.stdout.write("x" * 30000)
            await process.stdout.drain()


async def _write_a_bit_at_a_time(process: Process) -> None:
    with suppress(OSError, asyncssh.Error):
        while True:
            process.stdout.write("x" * 200)
            await process.stdout.drain()


def output_without_end() -> AsyncSSHServer:
    return AsyncSSHServer(LOOPBACK, command=_write_without_end)


def banners_without_end() -> AsyncSSHServer:
    return AsyncSSHServer(LOOPBACK, banners=["x" * 30000] * 1000)


def key_exchanges_without_end() -> AsyncSSHServer:
    return AsyncSSHServer(LOOPBACK, command=_write_a_bit_at_a_time, rekey_bytes=100)


def packed_packets() -> AsyncSSHServer:
    """A packet of 250 KB that unpacks to 240 MB, to whoever lets it be packed."""

    def send(process: Process) -> None:
        process.get_extra_info("connection").send_packet(asyncssh.constants.MSG_IGNORE, String(bytes(240 << 20)))

    return AsyncSSHServer(LOOPBACK, command=send, compression_algs=["zlib@openssh.com"])


Server = Callable[[], AbstractContextManager[SSHConfig]]

FLOODS: list[Server] = [
    flood_before_the_keys,
    banners_without_end,
    output_without_end,
    key_exchanges_without_end,
]


@pytest.mark.fault(52)
@pytest.mark.parametrize("hostile", [*FLOODS, packed_packets])
def test_one_hostile_host_is_unknown_and_the_others_notice_nothing(hostile: Server) -> None:
    with AsyncSSHServer(LOOPBACK) as well, hostile() as bad:
        nodes = {f"c{n}": (well.address, well.port) for n in range(OTHERS)} | {"hostile": (bad.address, bad.port)}
        command = [sys.executable, "-c", SWEEPS, json.dumps(nodes)]
        run = subprocess.run(command, capture_output=True, text=True, timeout=200, check=True)
    seen, grown_kb = json.loads(run.stdout)
    state, why = seen.pop("hostile")
    assert (state, bool(why)) == ("unknown", True)
    assert list(seen.values()) == [["well", ""]] * OTHERS
    assert grown_kb < MOST_GROWTH_KB


@pytest.mark.fault(52)
@pytest.mark.parametrize("hostile", FLOODS)
def test_a_host_that_sends_more_than_a_login_needs_is_unknown_in_these_words(hostile: Server) -> None:
    with hostile() as config:
        seen = login(config)
    assert seen == SENDS_TOO_MUCH
    assert (seen.state, seen.cause) == (State.UNKNOWN, SightCause.TOO_MUCH)


@pytest.mark.fault(52)
def test_compression_is_not_offered() -> None:
    """A server that insists on it has no algorithm in common with us."""
    with packed_packets() as config:
        seen = login(config)
    assert (seen.state, seen.refused) == (State.UNKNOWN, True), seen


def test_a_host_key_is_not_waited_for_in_a_flood() -> None:
    with flood_before_the_keys() as config, pytest.raises(HAError, match="sends more than a login needs"):
        host_key(config, 20.0)


def test_a_login_that_says_a_lot_is_still_well() -> None:
    with AsyncSSHServer(LOOPBACK, banners=["all that happens here is recorded\n" * 1000]) as config:
        assert login(config) == WELL


def login(config: SSHConfig) -> Sighting:
    """Log in to one node, with all the time that a busy machine may need."""
    return sweep({"": config}, 30.0, 20.0)[""]
