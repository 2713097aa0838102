"""Loopback addresses for one test, and the servers that behave badly."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

import pytest
from kit.machines.sshd import PASSWORD, USER
from nova_ha.cluster.node import SSHConfig
from nova_ha.sandbox.network import Network, Reservation

Talk = Callable[[socket.socket, threading.Event], None]


@pytest.fixture
def network() -> Iterator[Network]:
    reservation = Reservation()
    yield reservation.network
    reservation.release()


@pytest.fixture
def peer() -> Iterator[Callable[[Talk], SSHConfig]]:
    """Return what starts a server that talks so on every connection."""
    over = threading.Event()
    listeners: list[socket.socket] = []

    def start(talk: Talk) -> SSHConfig:
        listener = socket.create_server(("127.14.250.1", 0))
        listeners.append(listener)
        threading.Thread(target=_serve, args=(listener, talk, over), daemon=True).start()
        return SSHConfig(*listener.getsockname(), user=USER, password=PASSWORD)

    yield start
    over.set()
    for listener in listeners:
        listener.close()


def _serve(listener: socket.socket, talk: Talk, over: threading.Event) -> None:
    while not over.is_set():
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_talk, args=(connection, talk, over), daemon=True).start()


def _talk(connection: socket.socket, talk: Talk, over: threading.Event) -> None:
    with closing(connection), suppress(OSError):
        talk(connection, over)
