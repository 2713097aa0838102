"""Peers that never answer, or never answer one thing."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Iterator

OPEN_SESSION = 0x10
RAKP1 = 0x12
RAKP3 = 0x14


@contextlib.contextmanager
def silent_udp(host: str, port: int = 0) -> Iterator[int]:
    """Take every datagram at the address, and say nothing. Yields the port, which is any free one for 0."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind((host, port))
        yield int(peer.getsockname()[1])


@contextlib.contextmanager
def silent_tcp(host: str, port: int = 0) -> Iterator[int]:
    """Accept every connection at the address, and say nothing. Yields the port, which is any free one for 0."""
    with socket.create_server((host, port), backlog=64) as server:
        yield int(server.getsockname()[1])


@contextlib.contextmanager
def relay_without(payload: int, target: tuple[str, int], host: str, port: int = 623) -> Iterator[None]:
    """Pass IPMI datagrams on to the target and back, except those with this RMCP+ payload type."""
    ending = threading.Event()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as front:
        front.bind((host, port))
        thread = threading.Thread(target=_relay, args=(front, target, payload, ending), daemon=True)
        thread.start()
        yield
        ending.set()
        thread.join(timeout=5)


def _relay(front: socket.socket, target: tuple[str, int], payload: int, ending: threading.Event) -> None:
    backs: dict[tuple[str, int], socket.socket] = {}
    with selectors.DefaultSelector() as readable:
        readable.register(front, selectors.EVENT_READ, None)
        while not ending.is_set():
            for key, _ in readable.select(timeout=0.1):
                with contextlib.suppress(OSError):
                    _pass_on(key, front, target, payload, backs, readable)
    for back in backs.values():
        back.close()


def _pass_on(
    key: selectors.SelectorKey,
    front: socket.socket,
    target: tuple[str, int],
    payload: int,
    backs: dict[tuple[str, int], socket.socket],
    readable: selectors.BaseSelector,
) -> None:
    assert isinstance(key.fileobj, socket.socket)
    datagram, peer = key.fileobj.recvfrom(4096)
    if key.fileobj is not front:
        front.sendto(datagram, key.data)
    elif not _has_payload(datagram, payload):
        if peer not in backs:
            backs[peer] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            backs[peer].connect(target)
            readable.register(backs[peer], selectors.EVENT_READ, peer)
        backs[peer].send(datagram)


def _has_payload(datagram: bytes, payload: int) -> bool:
    rmcp_plus = len(datagram) > 5 and datagram[4] == 0x06
    return rmcp_plus and datagram[5] & 0x3F == payload
