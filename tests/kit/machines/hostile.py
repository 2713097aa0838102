"""A server that means no good, in the place of an sshd: python -m kit.machines.hostile ADDRESS PORT HOW."""

from __future__ import annotations

import socket
import sys
import threading
import time
from contextlib import suppress

# What comes before a banner is allowed to be any number of lines.
LINES = b"nothing to see here\r\n" * 1000


def flood(peer: socket.socket) -> None:
    """Send lines before the banner, without end."""
    while True:
        peer.sendall(LINES)


def drip(peer: socket.socket) -> None:
    """Send the banner byte by byte, without end."""
    peer.sendall(b"SSH-2.0-")
    while True:
        peer.sendall(b"x")
        time.sleep(1)


WAYS = {"flood": flood, "drip": drip}


def _serve(peer: socket.socket, how: str) -> None:
    with peer, suppress(OSError):
        WAYS[how](peer)


def main(address: str, port: str, how: str) -> None:
    """Serve whoever comes, until the process is ended."""
    with socket.create_server((address, int(port)), backlog=64) as server:
        while True:
            peer, _ = server.accept()
            threading.Thread(target=_serve, args=(peer, how), daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
