"""Identities have one form in both byte orders, and what vendors leave in place of one is none."""

from __future__ import annotations

import random
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nova_ha.power.identity import Match, compared, from_guid_bytes, from_uuid_text, known, of_system

SPELLINGS = [
    "4c4c4544-0042-3510-8052-b4c04f4d3132",
    "4C4C4544-0042-3510-8052-B4C04F4D3132",
    " {4C4C4544-0042-3510-8052-B4C04F4D3132} ",
    "4C4C4544004235108052B4C04F4D3132",
    "urn:uuid:4c4c4544-0042-3510-8052-b4c04f4d3132",
]
# Of one board each: as its SMBIOS, Redfish or one firmware has it, and as another one sends it over IPMI.
BOTH_ORDERS = [
    ("005cb4e7-0989-eb11-8000-7cc255106afe", "e7b45c00-8909-11eb-8000-7cc255106afe"),
    ("44454c4c-4200-1035-8052-b4c04f4d3132", "4c4c4544-0042-3510-8052-b4c04f4d3132"),
]
REAL = [
    *(one for pair in BOTH_ORDERS for one in pair),
    "00000000-0000-0000-0000-ac1f6b7d2e3c",  # Supermicro: nothing but the address of its network card
    "00000000-0000-0000-0000-002590123456",
    "03d502e0-045e-0575-b106-d20700080009",  # AMI's default with the address of the network card between
    "30373237-3132-4d32-3235-313230335839",  # HP: product and serial number in letters
    *("CZJ12345", "7GQ3X22", "BCDFGHJ", "2M2551203X9", "A2611234567", "SGH128X3YJ", "0a", "guid-c1"),
]
PLACEHOLDERS = [
    *("03000200-0400-0500-0006-000700080009", "00020003-0004-0005-0006-000700080009"),
    *("02000100-0300-0400-0005-000600070008", "07090201-0103-0301-0807-060504030201"),
    *("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
    *("00000000-0000-0000-0000-000000000001", "ffffff00-ffff-ffff-ffff-ffffffffffff"),
    *("fefefefe-fefe-fefe-fefe-fefefefefefe", "58585858-5858-5858-5858-585858585858"),
    *("56f49712-ffff-ffff-ffff-ffffffffffff", "10000000-0000-0000-0000-000000000000"),
    *("00112233-4455-6677-8899-aabbccddeeff", "33221100-5544-7766-8899-AABBCCDDEEFF"),
    *("12345678-1234-5678-90ab-cddeefaabbcc", "78563412-3412-7856-90ab-cddeefaabbcc"),
    *("01234567-89ab-cdef-0123-456789abcdef", "fedcba98-7654-3210-fedc-ba9876543210"),
    *("01234567-8910-1112-1314-151617181920", "01020304-0506-0708-090a-0b0c0d0e0f10"),
    *("deadbeef-dead-beef-dead-beefdeadbeef", "11111111-2222-3333-4444-555555555555"),
    *("4c4c4544-0020-2010-8020-a0c04f202020", "4c4c4544-0000-2010-8020-80c04f202020"),
    *("30373237-3132-2020-2020-202020202020", "6ab5b300-538d-1014-9fb5-b0684d007b53"),
    *(
        "Default string",
        "DEFAULT",
        "$(DEFAULT_STRING)",
        "To be filled by O.E.M.",
        "To Be Filled By OEM",
        "Filled By OEM",
    ),
    *(
        "Not Specified",
        "not available",
        "N/A",
        "NA",
        "None",
        "none",
        "NULL",
        "Unknown",
        "Undefined",
        "INVALID",
        "OEM",
    ),
    *("System Serial Number", "SystemSerialNumb", "Chassis Serial Number", "Base Board Serial Number", "Serial"),
    *("0123456789", "1234567890", "123456789", "12345678", "SN123456789", "MB-1234567890", "0123456789ABCDEF"),
    *(
        "OEM_Serial",
        "OEM not specify",
        "t.b.d",
        "System manufacturer",
        "No Asset Information",
        "empty",
        "unavailable",
    ),
    *("", " ", "-", "........", "0", "00000000", "xxxxxxxx", "XX-XX-XX", "FFFFFFFF", "11111111"),
]


@pytest.mark.parametrize("text", SPELLINGS)
def test_every_spelling_of_a_uuid_is_the_same_identity(text: str) -> None:
    assert from_uuid_text(text) == "4c4c4544-0042-3510-8052-b4c04f4d3132"
    assert compared(SPELLINGS[0], text) is Match.EQUAL


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


@pytest.mark.fault(46)
@pytest.mark.parametrize("text", PLACEHOLDERS)
def test_a_placeholder_is_no_identity_and_equals_nothing(text: str) -> None:
    assert known(text) is None
    for other in (text, text.upper(), f" {text} ", REAL[0], None):
        assert compared(text, other) is compared(other, text) is Match.NOTHING_TO_COMPARE
    assert of_system(text, "") is of_system("", text) is of_system(text, text) is None
    assert of_system(text, "CZJ12345") == "CZJ12345"


@pytest.mark.parametrize("text", REAL)
def test_what_only_looks_like_one_is_an_identity(text: str) -> None:
    assert known(text) is not None
    assert compared(text, text.upper()) is Match.EQUAL
    assert of_system(text, "CZJ54321" if "-" in text else text) == (text if known(text) else None) or "-" in text


def test_hardly_any_made_up_identity_is_taken_for_a_placeholder() -> None:
    draw = random.Random(46)
    uuids = [str(uuid.UUID(int=draw.getrandbits(128))) for _ in range(2000)]
    cards = [f"00000000-0000-0000-0000-002590{draw.getrandbits(24):06x}" for _ in range(2000)]
    tags = ["".join(draw.choices("0123456789BCDFGHJKLMNPQRSTVWXYZ", k=7)) for _ in range(2000)]
    assert [text for text in (*uuids, *cards, *tags) if known(text) is None] == []


@pytest.mark.fault(20)
@pytest.mark.parametrize(("one", "other"), BOTH_ORDERS)
def test_a_uuid_in_the_other_byte_order_is_the_same_system(one: str, other: str) -> None:
    assert compared(one, other) is compared(other.upper(), one) is Match.EQUAL
    assert known(one) == known(other)


@given(st.uuids(version=4), st.uuids(version=4))
def test_two_systems_are_equal_in_one_of_the_two_orders_or_not_at_all(one: uuid.UUID, other: uuid.UUID) -> None:
    same = other in (one, uuid.UUID(bytes=one.bytes_le))
    assert (compared(str(one), str(other)) is Match.EQUAL) is same
    assert compared(str(one), str(uuid.UUID(bytes=one.bytes_le))) is Match.EQUAL


@given(st.uuids(version=4), st.integers(0, 127))
def test_a_single_bit_makes_another_system(one: uuid.UUID, bit: int) -> None:
    other = uuid.UUID(int=one.int ^ (1 << bit))
    assert compared(str(one), str(other)) is Match.DIFFERS or other.bytes_le == one.bytes


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16))
def test_different_guids_are_different_identities(one: bytes, other: bytes) -> None:
    set_ones = from_guid_bytes(one), from_guid_bytes(other)
    assert (set_ones[0] == set_ones[1]) == (one == other) or None in set_ones


@pytest.mark.parametrize(
    ("recorded", "shown", "match"),
    [
        ("0A-0b", "0a0B", Match.EQUAL),
        ("0a", "0b", Match.DIFFERS),
        ("CZJ12345", "CZJ12346", Match.DIFFERS),
        ("CZJ12345", "4c4c4544-0042-3510-8052-b4c04f4d3132", Match.NOTHING_TO_COMPARE),
        ("0a", None, Match.NOTHING_TO_COMPARE),
        ("0a", "", Match.NOTHING_TO_COMPARE),
        (None, "0a", Match.NOTHING_TO_COMPARE),
        (None, None, Match.NOTHING_TO_COMPARE),
    ],
)
def test_an_identity_is_compared_with_the_recorded_one(recorded: str | None, shown: str | None, match: Match) -> None:
    assert compared(recorded, shown) is match
