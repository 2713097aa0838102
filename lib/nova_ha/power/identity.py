"""Identities of systems: what counts as one, and how two compare, whoever read them and in which byte order.

An identity is the UUID of a system, else its serial number. What vendors leave in place of one, a placeholder, is the
same on many machines: it is none.
"""

from __future__ import annotations

import enum
import functools
import itertools
import re
import uuid

# What an operator records where there is none to compare: by itself it lets nothing pass.
NONE_RECORDED = "none"

# Met on more than one machine, and nothing about them tells.
_SHARED = frozenset(
    {
        "6ab5b300538d10149fb5b0684d007b53",
        "890e2d14cacd45d1ae66bc80e8bfeb0f",
        "8e275844178f44a8aceba7d7e5178c63",
        "dc698397fa544cf282c8b1b5307a6a7f",
    }
)
# How a Dell's UUID begins; it ends with letters of its service tag, blank on a board that was exchanged.
_DELL, _BLANK = b"LLED", (b"\x20\x20\x20", b"\x00\x00\x00", b"\xff\xff\xff")
# Of 31 steps from digit to digit; by chance it is 4.
_COUNTED = 22
_UP = frozenset(itertools.pairwise("112233445566778899aabbccddeeff0")) | {("0", "1"), ("9", "0")}
_COUNT = "".join(map(str, range(100)))

# Letters and digits alone, in lower case: anywhere in a serial number, or all of it.
_WORDS = re.compile(
    "default|filledby|byoem|oems|oemnot|serialn|systemserial|systemmanufacturer|chassisserial|boardserial|productserial"
    "|unknown|invalid|placeholder|template|example"
    "|^un(avail|assigned|defined|initialized|programmed|set|spec|supported)"
    "|^not?(a(vailable|pplicable|ssigned)|s(et|pecif|upported)|p(resent|rovided)|defined|initialized|programmed|filled)"
)
_WORD = frozenset(
    {"", "none", "null", "nil", "na", "no", "oem", "odm", "tbd", "tba", "unset", "blank", "empty", "standard"}
    | {"system", "serial", "chassis", "board", "product", "number", "sn", "test", "sample", "dummy", "todo", "unknow"}
)
_FILLERS = "0123456789fnxz"
_BEFORE_A_NUMBER = re.compile("^(sn|mb|serial|no|number)+")


def from_guid_bytes(guid: bytes) -> str | None:
    """Return 16 bytes, in the order in which they came, as a lower-case UUID; None where they are a placeholder.

    Vendors disagree on the byte order of an IPMI GUID, and firmware updates turn it: `compared` knows both. Raises
    ValueError.
    """
    return from_uuid_text(str(uuid.UUID(bytes=guid)))


def from_uuid_text(text: str) -> str | None:
    """Return a UUID in any usual spelling as a lower-case one; None where it is none, or a placeholder."""
    found = _uuid(text)
    return None if found is None or _is_placeholder(found) else str(found)


def of_system(uuid_text: str, serial: str) -> str | None:
    """Return the identity of a system: its UUID, else its serial number, None where it shows neither."""
    return from_uuid_text(uuid_text) or (serial.strip() if known(serial) else None)


class Match(enum.Enum):
    """How the identity that a BMC shows compares with the recorded one."""

    EQUAL = "equal"
    DIFFERS = "differs"
    NOTHING_TO_COMPARE = "nothing to compare"


def compared(recorded: str | None, shown: str | None) -> Match:
    """Compare two identities. Case, dashes and the byte order of a UUID do not count.

    Where one is missing, or a placeholder, there is nothing to compare; nor a UUID with a serial number, which is
    what a BMC shows of the same machine while it has no UUID.
    """
    one, other = known(recorded), known(shown)
    if one is None or other is None or _is_uuid(recorded) is not _is_uuid(shown):
        return Match.NOTHING_TO_COMPARE
    return Match.EQUAL if one == other else Match.DIFFERS


@functools.lru_cache(4096)
def known(identity: str | None) -> str | None:
    """Return the one form that all spellings of this identity have; None where it is missing, or a placeholder."""
    if identity is None:
        return None
    found = _uuid(identity)
    if found is not None:
        return None if _is_placeholder(found) else min(_both_orders(found)).hex()
    serial = re.sub(r"[\s-]", "", identity).casefold()
    return None if _says_nothing(identity) else serial


def _is_uuid(identity: str | None) -> bool:
    return identity is not None and _uuid(identity) is not None


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text.strip())
    except ValueError:
        return None


def _both_orders(identity: uuid.UUID) -> tuple[bytes, bytes]:
    """Return the bytes as they stand, and with the first three fields turned around."""
    return identity.bytes, identity.bytes_le


def _is_placeholder(identity: uuid.UUID) -> bool:
    """True for a UUID that no machine has for itself, in either byte order."""
    return any(map(_is_filled_in, _both_orders(identity)))


def _is_filled_in(raw: bytes) -> bool:
    digits = raw.hex()
    return (
        len(set(raw)) <= 3
        or len(set(raw[8:])) == 1
        or raw[:8] == raw[8:]
        or max(raw) < 0x10  # 03000200-0400-0500-0006-000700080009, AMI's default, and its like
        or len({(b - a) % 256 for a, b in itertools.pairwise(raw)}) == 1
        or max(_steps_up(digits), _steps_up(digits[::-1])) >= _COUNTED
        or digits in _COUNT
        or digits in _SHARED
        or (raw[:4] in (_DELL, _DELL[::-1]) and raw[-3:] in _BLANK)
    )


def _steps_up(digits: str) -> int:
    """Return how often a digit counts on from the one before, or stands twice; zeros that fill do not count."""
    return sum(map(_UP.__contains__, itertools.pairwise(digits)))


def _says_nothing(serial: str) -> bool:
    """True for a serial number that is words, is filled up with one character, or is a count: 0123456789."""
    plain = "".join(filter(str.isalnum, serial.casefold()))
    sentence = len(serial.split()) > 1 and not any(map(str.isdigit, plain))
    if plain in _WORD or any(plain == filler * len(plain) for filler in _FILLERS) or _WORDS.search(plain) or sentence:
        return True
    number = _BEFORE_A_NUMBER.sub("", plain)
    pairs = list(itertools.pairwise(map(ord, number)))
    return len(pairs) >= 3 and all(b == a + 1 or (a, b) in ((57, 48), (57, 97)) for a, b in pairs)
