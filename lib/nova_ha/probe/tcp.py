"""Whose turn it is on a connection, by the kernel's account: what we were too slow to read is no silence.

An observer that stood still, or had no CPU, must not take its own delay for a failing host.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import termios

# The beginning of Linux's struct tcp_info: 8 bytes, then 32-bit numbers; times are milliseconds ago.
TCP_INFO = struct.Struct("8B13I")
RETRANSMITS, DATA_SENT, DATA_RECEIVED = 2, 17, 19
SYN_SENT = 2
# The kernel counts in ticks of up to 10 ms.
TICK_MS = 20


def silent_s(sock: socket.socket) -> float:
    """Return for how many seconds the host has owed us an answer; 0 where it is our turn, or it has answered."""
    try:
        unread = struct.unpack("i", fcntl.ioctl(sock, termios.FIONREAD, b"\0" * 4))[0]
        info = TCP_INFO.unpack(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO.size))
    except (OSError, ValueError):
        return 0.0  # closed meanwhile
    return 0.0 if unread else _owed_ms(info) / 1000


def still_connecting(sock: socket.socket) -> bool:
    """True while no answer to the first packet of the connection has come."""
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) == bytes([SYN_SENT])


def _owed_ms(info: tuple[int, ...]) -> int:
    sent, received = info[DATA_SENT], info[DATA_RECEIVED]
    if info[RETRANSMITS]:
        return received  # what we sent did not even arrive; sending it again has set `sent` anew
    return 0 if sent > received + TICK_MS else min(sent, received)
