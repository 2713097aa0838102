"""What sshd 9.2 and 10.0 were recorded to send where they let nobody in, or not us: the host is alive."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest
from nova_ha.cluster.node import SSHConfig
from nova_ha.probe.reach import TURNED_AWAY
from nova_ha.probe.sighting import Sighting, State, failing
from nova_ha.probe.ssh_sweep import ANSWER_S, HOST_S, sight, sweep

BANNER = b"SSH-2.0-OpenSSH_10.0p2 Debian-7+deb13u4\r\n"
CIPHERS = b"chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr"
MACS = b"umac-64-etm@openssh.com,umac-128-etm@openssh.com,hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com"
# Each as the server of OpenSSH 10.0 offers it with `KexAlgorithms sntrup761x25519-sha512@openssh.com`.
OFFERS = (
    b"sntrup761x25519-sha512@openssh.com,ext-info-s,kex-strict-s-v00@openssh.com",
    b"ssh-ed25519",
    *(CIPHERS, CIPHERS),
    *(MACS, MACS),
    *(b"none,zlib@openssh.com", b"none,zlib@openssh.com"),
    *(b"", b""),
)

Talk = Callable[[socket.socket], None]


def login(config: SSHConfig) -> Sighting:
    """Log in to one node and run a command that does nothing."""
    return sweep({"": config}, max(HOST_S, ANSWER_S) + 0.5, HOST_S)[""]


def key_exchange() -> bytes:
    """The first packet of that server."""
    lists = b"".join(struct.pack(">I", len(names)) + names for names in OFFERS)
    payload = b"\x14" + bytes(16) + lists + bytes(5)
    padding = 8 - (5 + len(payload)) % 8 + 8
    return struct.pack(">IB", 1 + len(payload) + padding, padding) + payload + bytes(padding)


@pytest.fixture
def server() -> Iterator[Callable[[Talk], SSHConfig]]:
    """Return what starts a server that talks so on each connection, and then closes it."""
    listeners: list[socket.socket] = []

    def serve(listener: socket.socket, talk: Talk) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                talk(connection)

    def start(talk: Talk) -> SSHConfig:
        listeners.append(socket.create_server(("127.0.0.1", 0)))
        threading.Thread(target=serve, args=(listeners[-1], talk), daemon=True).start()
        return SSHConfig(*listeners[-1].getsockname(), user="u", password="p")

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def reset(connection: socket.socket) -> None:
    """Let its end be a reset, as that of a server which did not read all."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("ending", [lambda connection: None, reset])
@pytest.mark.parametrize("words", [b"Not allowed at this time\r\n", b"Exceeded MaxStartups\r\n"])
def test_who_is_turned_away_in_words_sees_a_host_that_is_alive(
    server: Callable[[Talk], SSHConfig], words: bytes, ending: Talk
) -> None:
    def turn_away(connection: socket.socket) -> None:
        connection.sendall(words)
        ending(connection)

    config = server(turn_away)
    assert login(config) == TURNED_AWAY
    assert sight(config, 2.0) == TURNED_AWAY
    assert sweep({"c1": config}, 4.0, banner_only={"c1": failing("login hangs", hung=True)}) == {"c1": TURNED_AWAY}


def test_who_is_turned_away_is_told_what_to_set() -> None:
    assert TURNED_AWAY.state is State.UNKNOWN
    assert "PerSourcePenaltyExemptList" in TURNED_AWAY.why


@pytest.mark.parametrize("ending", [lambda connection: None, reset])
def test_a_server_without_an_algorithm_in_common_is_alive(server: Callable[[Talk], SSHConfig], ending: Talk) -> None:
    def negotiate(connection: socket.socket) -> None:
        connection.sendall(BANNER)
        connection.recv(4096)
        connection.sendall(key_exchange())
        ending(connection)

    config = server(negotiate)
    # asyncssh sees the one or the other first: that there is none in common, or that the server is gone.
    for _ in range(20):
        seen = login(config)
        assert (seen.state, seen.refused) == (State.UNKNOWN, True), seen


@pytest.mark.parametrize("sent", [b"", BANNER])
def test_a_server_that_closes_before_it_offers_anything_fails(
    server: Callable[[Talk], SSHConfig], sent: bytes
) -> None:
    """As one does whose disk is gone: before its banner up to OpenSSH 9.7, after it in 10."""

    def close(connection: socket.socket) -> None:
        connection.sendall(sent)
        if sent:
            connection.recv(4096)

    seen: Sighting = login(server(close))
    assert seen.state is State.FAILING, seen
