"""Identities have one form, and "not set" is none."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nova_ha.power.identity import Match, compared, from_guid_bytes, from_uuid_text

SPELLINGS = [
    "4c4c4544-0042-3510-8052-b4c04f4d3132",
    "4C4C4544-0042-3510-8052-B4C04F4D3132",
    " {4C4C4544-0042-3510-8052-B4C04F4D3132} ",
    "4C4C4544004235108052B4C04F4D3132",
    "urn:uuid:4c4c4544-0042-3510-8052-b4c04f4d3132",
]


@pytest.mark.parametrize("text", SPELLINGS)
def test_every_spelling_of_a_uuid_is_the_same_identity(text: str) -> None:
    assert from_uuid_text(text) == "4c4c4544-0042-3510-8052-b4c04f4d3132"


def test_a_guid_keeps_the_order_in_which_its_bytes_came() -> None:
    guid = bytes.fromhex("33996fbcb244d8c92ce5c5970fa9a301")

    assert from_guid_bytes(guid) == "33996fbc-b244-d8c9-2ce5-c5970fa9a301"


@pytest.mark.parametrize("byte", [0x00, 0xFF])
def test_a_guid_that_was_never_set_is_no_identity(byte: int) -> None:
    guid = bytes([byte]) * 16

    assert from_guid_bytes(guid) is None
    assert from_uuid_text(str(uuid.UUID(bytes=guid))) is None


@pytest.mark.parametrize("text", ["", "none", "CZJ12345", "4c4c4544"])
def test_what_is_no_uuid_is_no_identity(text: str) -> None:
    assert from_uuid_text(text) is None


@pytest.mark.parametrize("length", [0, 3, 15, 17])
def test_a_guid_of_another_length_is_an_error(length: int) -> None:
    with pytest.raises(ValueError, match="16"):
        from_guid_bytes(b"\x01" * length)


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16))
def test_different_guids_are_different_identities(one: bytes, other: bytes) -> None:
    set_ones = from_guid_bytes(one), from_guid_bytes(other)
    assert (set_ones[0] == set_ones[1]) == (one == other) or set_ones == (None, None)


@pytest.mark.parametrize(
    ("recorded", "shown", "match"),
    [
        ("0A-0b", "0a0B", Match.EQUAL),
        ("0a", "0b", Match.DIFFERS),
        ("0a", None, Match.NOTHING_TO_COMPARE),
        ("0a", "", Match.NOTHING_TO_COMPARE),
        (None, "0a", Match.NOTHING_TO_COMPARE),
        (None, None, Match.NOTHING_TO_COMPARE),
    ],
)
def test_an_identity_is_compared_with_the_recorded_one(recorded: str | None, shown: str | None, match: Match) -> None:
    assert compared(recorded, shown) is match
