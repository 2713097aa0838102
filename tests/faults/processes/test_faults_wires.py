"""The wires that the tests of lost networks stand on: what is cut is lost silently, and what is mended goes on."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest
from kit.machines.wires import Wires

ADDRESSES = {"one": "198.18.1.1", "other": "198.18.1.2", "third": "198.18.1.3"}
PORT = 4000
WAYS = (("one", "other"), ("other", "one"), ("one", "third"), ("third", "one"))
WORDS = itertools.count()


@pytest.fixture
def wires() -> Iterator[Wires]:
    with Wires() as made:
        for name, address in ADDRESSES.items():
            made.plug(name, address)
        yield made


@pytest.fixture
def sockets(wires: Wires) -> Iterator[dict[str, socket.socket]]:
    """A socket for datagrams on each machine."""
    with ExitStack() as opened:
        yield {name: opened.enter_context(bound(wires, name, socket.SOCK_DGRAM)) for name in ADDRESSES}


def bound(wires: Wires, name: str, kind: socket.SocketKind) -> socket.socket:
    with wires.at(name):
        made = socket.socket(socket.AF_INET, kind)
    made.bind((ADDRESSES[name], PORT))
    made.settimeout(0.3)
    return made


def heard(sockets: dict[str, socket.socket], sender: str, receiver: str) -> bool:
    """Return whether one datagram arrives at once."""
    word = str(next(WORDS)).encode()
    with suppress(OSError):
        sockets[sender].sendto(word, (ADDRESSES[receiver], PORT))
        # What was sent before may come first.
        while sockets[receiver].recv(16) != word:
            pass
        return True
    return False


def open_ways(sockets: dict[str, socket.socket], *expected: bool) -> list[bool]:
    """Return which of `WAYS` are open: one that should be has some time, as the first datagram looks for its way."""
    return [any(heard(sockets, *way) for _ in range(30 if so else 1)) for way, so in zip(WAYS, expected, strict=True)]


def test_what_is_cut_is_lost_in_both_directions_until_it_is_mended(
    wires: Wires, sockets: dict[str, socket.socket]
) -> None:
    assert open_ways(sockets, True, True, True, True) == [True, True, True, True]
    wires.cut(["one"], ["other"])
    assert open_ways(sockets, False, False, True, True) == [False, False, True, True]
    wires.mend("third")
    assert open_ways(sockets, False, False, True, True) == [False, False, True, True]
    wires.isolate("one")
    assert open_ways(sockets, False, False, False, False) == [False, False, False, False]
    wires.mend()
    assert open_ways(sockets, True, True, True, True) == [True, True, True, True]


def test_a_way_can_be_cut_in_one_direction(wires: Wires, sockets: dict[str, socket.socket]) -> None:
    wires.cut(["one"], ["other"], one_way=True)
    assert not heard(sockets, "one", "other")
    assert any(heard(sockets, "other", "one") for _ in range(30))


def test_a_machine_can_be_cut_off_at_one_port(wires: Wires, sockets: dict[str, socket.socket]) -> None:
    wires.block("one", PORT)
    assert not heard(sockets, "one", "other")
    assert any(heard(sockets, "third", "other") for _ in range(30))
    wires.block("other", PORT + 1)
    assert any(heard(sockets, "third", "other") for _ in range(30))
    wires.mend()
    assert any(heard(sockets, "one", "other") for _ in range(30))


def test_an_open_connection_stands_still_while_its_way_is_cut(wires: Wires) -> None:
    with bound(wires, "one", socket.SOCK_STREAM) as server, bound(wires, "other", socket.SOCK_STREAM) as client:
        server.listen()
        client.connect(server.getsockname())
        accepted, _ = server.accept()
        with accepted:
            accepted.settimeout(0.3)
            wires.cut(["one"], ["other"])
            client.sendall(b"later")
            with pytest.raises(TimeoutError):
                accepted.recv(16)
            wires.mend()
            accepted.settimeout(20)
            assert accepted.recv(16) == b"later"


def test_what_runs_on_a_machine_is_known_and_the_test_returns_to_its_own_network(wires: Wires) -> None:
    before = os.stat("/proc/thread-self/ns/net").st_ino
    wires.enter("one")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert list(wires.processes("one")) == [process.pid]
        assert list(wires.processes("other")) == []
        process.communicate(b"\n")
    assert os.stat("/proc/thread-self/ns/net").st_ino != before
    wires.close()
    assert os.stat("/proc/thread-self/ns/net").st_ino == before
