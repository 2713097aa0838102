"""How an SSH connection opens: what both ends say before their keys are exchanged, in the clear (RFC 4253)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

# So much of each direction is enough: a banner, and an offer of some 1 to 2 KB.
MOST_OPENING = 8 * 1024
_DISCONNECT, _KEXINIT, _NEWKEYS = 1, 20, 21
_COOKIE = 16
# Key exchange, host keys, and twice, once for each direction, ciphers, MACs, compression.
_KEX, _HOST_KEY, _CIPHERS, _MACS, _COMPRESSIONS = 0, 1, (2, 3), (4, 5), (6, 7)
_LISTS = 10
# Ciphers that need no MAC beside them.
_WITH_MAC = (b"chacha20-poly1305@openssh.com", b"-gcm@openssh.com")

Offer = Sequence[Sequence[bytes]]


def nothing_in_common(client: bytes, server: bytes) -> bool:
    """True where both offers are there, and leave no way to exchange keys; False also where one is missing.

    `client` and `server` are what each has sent from its banner on.
    """
    ours, theirs = offer_in(client), offer_in(server)
    if ours is None or theirs is None:
        return False

    def chosen(which: int) -> bytes | None:
        return next((name for name in ours[which] if name in theirs[which]), None)

    if any(chosen(which) is None for which in (_KEX, _HOST_KEY, *_CIPHERS, *_COMPRESSIONS)):
        return True
    needed = (macs for cipher, macs in zip(_CIPHERS, _MACS, strict=True) if not _has_mac(chosen(cipher)))
    return any(chosen(macs) is None for macs in needed)


def offer_in(sent: bytes) -> Offer | None:
    """Return the lists of names that one end offers, None where they have not come whole."""
    for packet in _packets(sent):
        if packet[0] == _KEXINIT:
            try:
                return tuple(_lists(packet[1 + _COOKIE :]))
            except (struct.error, ValueError):
                return None
    return None


def farewell_in(sent: bytes) -> str | None:
    """Return the words with which one end has ended the connection, None where it has said none."""
    for packet in _packets(sent):
        if packet[0] == _DISCONNECT and len(packet) >= 9:
            (length,) = struct.unpack_from(">I", packet, 5)
            return packet[9 : 9 + length].decode(errors="replace")
    return None


def _has_mac(cipher: bytes | None) -> bool:
    return cipher is not None and cipher.endswith(_WITH_MAC)


def _packets(sent: bytes) -> Iterator[bytes]:
    """Yield what the packets after the banner hold, as far as they have come whole, and in the clear."""
    at = _after_the_banner(sent)
    while 0 < at <= len(sent) - 5:
        length, padding = struct.unpack_from(">IB", sent, at)
        payload = sent[at + 5 : at + 4 + length - padding]
        at += 4 + length
        if at > len(sent) or not payload or payload[0] == _NEWKEYS:
            return
        yield payload


def _after_the_banner(sent: bytes) -> int:
    """Return where the packets begin, 0 where there is no whole banner; a server may say other lines before it."""
    start = 0 if sent.startswith(b"SSH-") else sent.find(b"\nSSH-") + 1
    return sent.find(b"\n", start) + 1 if sent.startswith(b"SSH-", start) else 0


def _lists(body: bytes) -> Iterator[Sequence[bytes]]:
    """Yield the lists of the offer. Raises struct.error or ValueError where they are cut off."""
    at = 0
    for _ in range(_LISTS):
        (length,) = struct.unpack_from(">I", body, at)
        names = body[at + 4 : at + 4 + length]
        if len(names) != length:
            raise ValueError("cut off")
        yield names.split(b",") if names else ()
        at += 4 + length
