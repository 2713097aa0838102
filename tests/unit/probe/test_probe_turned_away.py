"""What sshd 9.2 and 10.0 were recorded to send where they let nobody in, or not us: the host is alive."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest
from nova_ha.cluster.node import SSHConfig
from nova_ha.probe.opening import farewell_in, nothing_in_common, offer_in
from nova_ha.probe.reach import TURNED_AWAY
from nova_ha.probe.sighting import SightCause, Sighting, State, failing
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

# As OpenSSH 9.2 offers it by default, shortened.
USUAL = (b"sntrup761x25519-sha512@openssh.com,curve25519-sha256,kex-strict-s-v00@openssh.com", *OFFERS[1:])

Talk = Callable[[socket.socket], None]


def login(config: SSHConfig) -> Sighting:
    """Log in to one node and run a command that does nothing."""
    return sweep({"": config}, max(HOST_S, ANSWER_S) + 0.5, HOST_S)[""]


def key_exchange(offers: Sequence[bytes] = OFFERS) -> bytes:
    """The first packet of a server that offers this."""
    lists = b"".join(struct.pack(">I", len(names)) + names for names in offers)
    return packet(b"\x14" + bytes(16) + lists + bytes(5))


def packet(payload: bytes) -> bytes:
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


@pytest.mark.fault(41)
@pytest.mark.parametrize("ending", [lambda connection: None, reset])
@pytest.mark.parametrize("hears_us", [True, False])
def test_a_server_that_dies_in_the_key_exchange_fails(
    server: Callable[[Talk], SSHConfig], ending: Talk, hears_us: bool
) -> None:
    """Its process is ended there where memory or disk fails: `SSH2_MSG_KEXINIT sent`, then a closed connection."""

    def die(connection: socket.socket) -> None:
        connection.sendall(BANNER)
        connection.recv(4096)
        connection.sendall(key_exchange(USUAL))
        if hears_us:
            connection.recv(4096)
        ending(connection)

    config = server(die)
    for _ in range(10):
        seen = login(config)
        assert (seen.state, seen.refused, seen.cause) == (State.FAILING, False, SightCause.CLOSED_EARLY), seen


AES = b"aes128-ctr,aes256-gcm@openssh.com"
AN_OFFER = [
    b"curve25519-sha256",
    b"ssh-ed25519",
    AES,
    AES,
    b"hmac-sha2-256",
    b"hmac-sha2-256",
    b"none",
    b"none",
    b"",
    b"",
]
OTHERS = {0: b"ecdh-sha2-nistp256", 1: b"ssh-rsa", 2: b"3des-cbc", 3: b"3des-cbc", 4: b"hmac-md5", 5: b"hmac-md5"}


@pytest.mark.parametrize("which", OTHERS)
def test_each_list_of_an_offer_needs_one_name_in_common(which: int) -> None:
    theirs = [OTHERS[which] if number == which else names for number, names in enumerate(AN_OFFER)]
    ours, alike = (b"SSH-2.0-we\r\n" + key_exchange(offer) for offer in (AN_OFFER, AN_OFFER))
    assert not nothing_in_common(ours, alike)
    assert nothing_in_common(ours, b"Welcome\nSSH-2.0-they\n" + key_exchange(theirs))


def test_a_cipher_that_authenticates_by_itself_needs_no_mac_in_common() -> None:
    ours = [AES.split(b",")[1] if names == AES else names for names in AN_OFFER]
    theirs = [OTHERS[number] if number in (4, 5) else names for number, names in enumerate(AN_OFFER)]
    assert not nothing_in_common(BANNER + key_exchange(ours), BANNER + key_exchange(theirs))


def test_what_is_no_whole_offer_says_nothing() -> None:
    whole = BANNER + key_exchange()
    assert nothing_in_common(BANNER + key_exchange(USUAL), whole.replace(OFFERS[0], b"x" * len(OFFERS[0])))
    for cut in range(len(whole) - 20):
        assert offer_in(whole[:cut]) is None, cut
    assert offer_in(BANNER + packet(b"\x02" + bytes(40))) is None
    assert offer_in(b"no banner at all") is None
    assert farewell_in(whole + disconnect(2, b"enough")[:-1]) is None
    assert farewell_in(whole + packet(b"\x15") + disconnect(2, b"not in the clear")) is None


def disconnect(code: int, words: bytes) -> bytes:
    return packet(b"\x01" + struct.pack(">II", code, len(words)) + words + struct.pack(">I", 0))


@pytest.mark.fault(41)
@pytest.mark.parametrize("exchanging", [True, False])
@pytest.mark.parametrize(
    ("code", "words"),
    [(2, b"Packet corrupt"), (7, b"Service not available"), (11, b"Shutting down"), (12, b"Too many")],
)
def test_who_is_sent_away_in_words_of_the_protocol_asks_again(
    server: Callable[[Talk], SSHConfig], code: int, words: bytes, exchanging: bool
) -> None:
    """Remembered as a refusal it was not logged in to for ten minutes, in which it might have begun to hang."""

    def send_away(connection: socket.socket) -> None:
        connection.sendall(BANNER)
        connection.recv(4096)
        connection.sendall((key_exchange(USUAL) if exchanging else b"") + disconnect(code, words))
        connection.recv(4096)

    config = server(send_away)
    # asyncssh sees the one or the other first: the words, or that the server is gone.
    for _ in range(10):
        seen = login(config)
        assert (seen.state, seen.refused, seen.cause) == (State.UNKNOWN, False, SightCause.CANNOT_LOG_IN), seen
        assert words.decode() in seen.why


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
