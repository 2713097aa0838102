"""Identities of systems in one canonical form, so that they can be compared as text."""

from __future__ import annotations

import enum
import uuid


def from_guid_bytes(guid: bytes) -> str | None:
    """Return 16 bytes, in the order in which they came, as a lower-case UUID; None where they mean "not set".

    Vendors disagree on the byte order of an IPMI GUID. The order on the wire (`rfc4122` in ipmitool) is kept:
    an identity is only ever compared with one that was read in the same way. Raises ValueError.
    """
    return _unless_unset(uuid.UUID(bytes=guid))


def from_uuid_text(text: str) -> str | None:
    """Return a UUID in any usual spelling as a lower-case one; None where it is none, or "not set"."""
    try:
        return _unless_unset(uuid.UUID(text.strip()))
    except ValueError:
        return None


def _unless_unset(identity: uuid.UUID) -> str | None:
    unset = identity.bytes in (b"\x00" * 16, b"\xff" * 16)
    return None if unset else str(identity)


class Match(enum.Enum):
    """How the identity that a BMC shows compares with the recorded one."""

    EQUAL = "equal"
    DIFFERS = "differs"
    NOTHING_TO_COMPARE = "nothing to compare"


def compared(recorded: str | None, shown: str | None) -> Match:
    """Compare two identities: case and dashes do not count. Where one is missing there is nothing to compare."""
    if not recorded or not shown:
        return Match.NOTHING_TO_COMPARE
    return Match.EQUAL if _canonical(recorded) == _canonical(shown) else Match.DIFFERS


def _canonical(identity: str) -> str:
    return identity.replace("-", "").casefold()
