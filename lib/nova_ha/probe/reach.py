"""The first half of an SSH login: the TCP connection, and the banner with which the server greets."""

from __future__ import annotations

import asyncio
import errno
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from nova_ha.cluster.node import SSHConfig
from nova_ha.probe.opening import MOST_OPENING
from nova_ha.probe.sighting import SightCause, Sighting, State, graded
from nova_ha.probe.tcp import still_connecting

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

# sshd says these instead of a banner, before it closes. From OpenSSH 9.8 on it says the second one, both where its
# MaxStartups are in use and to a source that PerSourcePenalties shut out for logins that failed, hung or never came.
NOT_NOW = (b"Exceeded MaxStartups", b"Not allowed at this time")
# More than this before the banner is no SSH server.
LONGEST_GREETING = 4096
UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN, errno.ETIMEDOUT)

# A host whose connection took all the time that it had for a banner is not known to be silent.
LEAST_S = 0.2
TOO_SLOW = graded(SightCause.TOO_SLOW)
# The host is alive, and lets nobody in, or not us, for a while.
TURNED_AWAY = graded(SightCause.TURNED_AWAY)
NO_BANNER = graded(SightCause.NO_BANNER)

# What a host may send us in all, before and after the login, which needs under 10 KB; and what it may have us send:
# a login says 4 KB, and each further key exchange costs us as much, and much computing.
MOST_RECEIVED = 512 * 1024
MOST_SENT = 64 * 1024
# What is taken of one host in one turn of the loop, so that the others have theirs: asyncio would take 256 KB.
MOST_A_TURN = 16 * 1024
SENDS_TOO_MUCH = graded(SightCause.TOO_MUCH)

Address = tuple[int, Any]

_resolvers = ThreadPoolExecutor(32, thread_name_prefix="resolve")


class Connection(socket.socket):
    """A connection that has a budget of bytes, and keeps the first ones of each direction, also when it is closed.

    Beyond the budget it fails as one that was lost does, and is `overrun`. `first_sent` are the first bytes that were
    to be sent.
    """

    overrun = False
    first_sent = b""
    _first_received = b""
    _taken = 0
    _sent = 0

    @property
    def first_received(self) -> bytes:
        """The first bytes that have come, taken or not: what could not be sent ends a connection at once."""
        while len(self._first_received) < MOST_OPENING and self.fileno() >= 0:
            try:
                rest = super().recv(MOST_OPENING, socket.MSG_DONTWAIT)
            except OSError:
                break
            if not rest:
                break
            self._first_received += rest
        return self._first_received

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        data = super().recv(min(bufsize, MOST_A_TURN), flags)
        if not flags & socket.MSG_PEEK:
            self._taken += len(data)
            self._first_received += data[: MOST_OPENING - len(self._first_received)]
        self._within_budget()
        return data

    def send(self, data: Buffer, flags: int = 0, /) -> int:
        if len(self.first_sent) < MOST_OPENING:
            self.first_sent += bytes(data)
        sent = super().send(data, flags)
        self._sent += sent
        self._within_budget()
        return sent

    def close(self) -> None:
        _ = self.first_received
        super().close()

    def _within_budget(self) -> None:
        if self._taken > MOST_RECEIVED or self._sent > MOST_SENT:
            self.overrun = True
            raise ConnectionAbortedError(SENDS_TOO_MUCH.why)


async def reach(config: SSHConfig, limit_s: float) -> Connection | Sighting:
    """Return a connection on which the banner waits to be read, or what was seen instead.

    A name with several addresses shares the limit out among them; the last one's sighting counts.
    """
    ends = asyncio.get_running_loop().time() + limit_s
    found = await _addresses(config, limit_s)
    if isinstance(found, Sighting):
        return found
    shown = graded(SightCause.NO_NAME)
    for tried, address in enumerate(found):
        share_s = (ends - asyncio.get_running_loop().time()) / (len(found) - tried)
        last = await _greeted(address, share_s)
        if isinstance(last, Connection):
            return last
        # An address that this machine cannot even try takes nothing back of what another one has shown.
        if not (shown.state is State.FAILING and last.cause is SightCause.THIS_MACHINE):
            shown = last
    return shown


async def _addresses(config: SSHConfig, limit_s: float) -> list[Address] | Sighting:
    try:
        return _resolve(config, socket.AI_NUMERICHOST)
    except (socket.gaierror, UnicodeError):
        pass  # a name: it may take its time
    loop = asyncio.get_running_loop()
    try:
        return await asyncio.wait_for(loop.run_in_executor(_resolvers, _resolve, config), limit_s)
    except TimeoutError:
        return graded(SightCause.NAME_TOO_SLOW)
    except (OSError, UnicodeError):
        return graded(SightCause.NO_NAME)


def _resolve(config: SSHConfig, flags: int = 0) -> list[Address]:
    found = socket.getaddrinfo(config.address, config.port, type=socket.SOCK_STREAM, flags=flags)
    return [(family, address) for family, _, _, _, address in found]


async def _greeted(address: Address, limit_s: float) -> Connection | Sighting:
    """Connect to one address and wait for its banner."""
    ends = asyncio.get_running_loop().time() + limit_s
    try:
        sock = Connection(address[0], socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    except OSError as error:
        return _refusal(error)
    try:
        met = await _connected(sock, address[1], limit_s)
        met = met or await _banner(sock, ends - asyncio.get_running_loop().time())
    except BaseException:
        sock.close()
        raise
    if met:
        sock.close()
    return met or sock


async def _connected(sock: socket.socket, address: Any, limit_s: float) -> Sighting | None:
    try:
        await asyncio.wait_for(asyncio.get_running_loop().sock_connect(sock, address), limit_s)
    except TimeoutError:
        return graded(SightCause.TIMED_OUT) if still_connecting(sock) else TOO_SLOW
    except ConnectionResetError:
        return None  # it was taken, and is over already: what came on it can still be read
    except OSError as error:
        return _refusal(error)
    return None


async def _banner(sock: socket.socket, limit_s: float) -> Sighting | None:
    """Return None once the banner has come. It is left in the socket for whoever logs in."""
    try:
        return await asyncio.wait_for(_greeting(sock), limit_s)
    except TimeoutError:
        return NO_BANNER if _silent(sock, limit_s) else TOO_SLOW
    except OSError:
        return NO_BANNER


async def _greeting(sock: socket.socket) -> Sighting | None:
    while True:
        await _readable(sock)
        text = sock.recv(LONGEST_GREETING, socket.MSG_PEEK)
        if text.startswith(b"SSH-") or b"\nSSH-" in text:
            return None
        if any(words in text for words in NOT_NOW):
            return TURNED_AWAY
        if not text or len(text) >= LONGEST_GREETING:
            return NO_BANNER
        # What was only looked at stays readable: waiting for it again would return at once.
        await asyncio.sleep(0.05)


def _silent(sock: socket.socket, limit_s: float) -> bool:
    """True where no banner has come, though the host had its time for it."""
    if b"SSH-" in _peeked(sock):
        return False
    return limit_s >= LEAST_S


def _peeked(sock: socket.socket) -> bytes:
    try:
        return sock.recv(LONGEST_GREETING, socket.MSG_PEEK)
    except OSError:
        return b""


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(sock, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(sock)


def _refusal(error: OSError) -> Sighting:
    """Say what an error of connecting means; what is this machine's own fault says nothing about the node."""
    if isinstance(error, ConnectionError):
        return graded(SightCause.REFUSED)
    if error.errno in UNREACHABLE:
        return graded(SightCause.UNREACHABLE)
    return graded(SightCause.THIS_MACHINE, error.strerror or error)
