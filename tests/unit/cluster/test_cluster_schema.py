"""How single values are read: everything is either its meaning or a BadValue that says what is wrong."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nova_ha.cluster import schema
from nova_ha.consul import values
from nova_ha.consul.values import BadValue

PARSERS = (
    values.text_from,
    values.flag_from,
    values.count_from,
    values.port_from,
    values.line_from,
    values.secret_from,
    values.object_from,
)


@pytest.mark.parametrize(
    ("raw", "meaning"),
    [
        (b"True", True),
        (b"true\n", True),
        (b"TRUE", True),
        (b"1", True),
        (b"yes", True),
        (b"False", False),
        (b"false", False),
        (b" 0 ", False),
        (b"No", False),
    ],
)
def test_a_boolean_is_read_in_any_case(raw: bytes, meaning: bool) -> None:
    assert values.flag_from(raw) is meaning


@pytest.mark.parametrize("raw", [b"", b"on", b"2", b"None", b"Tru", b"\xff", b"true false"])
def test_anything_else_is_no_boolean(raw: bytes) -> None:
    with pytest.raises(BadValue):
        values.flag_from(raw)


@pytest.mark.parametrize("value", [True, False])
def test_a_boolean_is_written_as_the_user_wants_it(value: bool) -> None:
    assert values.flag_to(value) == str(value).encode()
    assert values.flag_from(values.flag_to(value)) is value


@pytest.mark.parametrize(("raw", "number"), [(b"0", 0), (b"17\n", 17), (b"007", 7), (b"999999999", 999999999)])
def test_a_count_is_a_decimal_integer(raw: bytes, number: int) -> None:
    assert values.count_from(raw) == number


@pytest.mark.parametrize("raw", [b"", b"-1", b"1.0", b"1e3", b"0x1", "²".encode(), "٣".encode(), b"1" * 10, b"1_0"])
def test_anything_else_is_no_count(raw: bytes) -> None:
    with pytest.raises(BadValue):
        values.count_from(raw)


@pytest.mark.parametrize("raw", [b"", b"0", b"65536", b"-22", b"ssh", b"000022"])
def test_a_port_is_from_1_to_65535(raw: bytes) -> None:
    assert values.port_from(b"65535") == 65535
    with pytest.raises(BadValue):
        values.port_from(raw)


@pytest.mark.parametrize("raw", [b"", b" \n", b"a\nb", b"a\x00b", b"a\x1b[31m", b"\xc3"])
def test_a_line_is_printable(raw: bytes) -> None:
    assert values.line_from(b" bmc-1.example \n") == "bmc-1.example"
    with pytest.raises(BadValue):
        values.line_from(raw)


@pytest.mark.parametrize(
    ("raw", "secret"), [(b"pass word\n", "pass word"), (b" x\r\n", " x"), (b"a\n\n", "a\n"), ("ß".encode(), "ß")]
)
def test_of_a_secret_only_the_final_line_break_is_dropped(raw: bytes, secret: str) -> None:
    assert values.secret_from(raw) == secret


@pytest.mark.parametrize("raw", [b"hunter2\xff", b"\n", b""])
def test_a_bad_secret_is_not_shown(raw: bytes) -> None:
    with pytest.raises(BadValue) as caught:
        values.secret_from(raw)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"3",
        b'"x"',
        b"{",
        b"{}x",
        b'{"a":' * 5000,
        b'{"a":' + b"9" * 5000 + b"}",
        rb'{"a":"\ud800"}',
        rb'{"\uDFFF":1}',
        b"\xff\xfe{}",
    ],
    ids=lambda raw: raw[:12].decode(errors="replace"),
)
def test_what_is_no_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(BadValue):
        values.object_from(raw)


def test_json_may_have_any_character_that_can_be_written_again() -> None:
    raw = json.dumps({"a": "ß \U0001f600 \\ud800"}).encode()
    assert values.object_from(values.object_to(values.object_from(raw))) == {"a": "ß \U0001f600 \\ud800"}


@given(st.binary(max_size=80) | st.text(max_size=40).map(str.encode))
def test_no_bytes_raise_anything_but_bad_value(raw: bytes) -> None:
    for parse in PARSERS:
        with suppress(BadValue):
            parse(raw)


@pytest.mark.parametrize("name", ["compute-1", "c1.example.org", "7", "A_b", "x" * 253])
def test_a_node_may_be_called(name: str) -> None:
    assert schema.check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "a/b", "a b", ".", "..", "-x", "_x", "é", "a\n", "x" * 254, "a*", "a..b", "a.."]
)
def test_a_node_may_not_be_called(name: str) -> None:
    with pytest.raises(BadValue):
        schema.check_name(name)


@pytest.mark.parametrize("key", ["ha_cluster/compute_nodes/c1/general/", "a,b", "a=b&c?", "locks/recovery/.lock"])
def test_a_key_may_be_called(key: str) -> None:
    assert values.is_key(key)


@pytest.mark.parametrize("key", ["", "a:b", "a b", " a", "a\n", "a..b", "a/../b", "ü", "a%b", "a#b", "a+b"])
def test_a_key_may_not_be_called(key: str) -> None:
    assert not values.is_key(key)


def test_an_error_shows_only_the_start_of_a_long_value() -> None:
    with pytest.raises(BadValue) as caught:
        values.count_from(b"x" * 5000)
    assert len(str(caught.value)) < 120


def test_keys_are_those_of_the_requirements() -> None:
    assert schema.compute_node("c1", "status/failed") == "ha_cluster/compute_nodes/c1/status/failed"
    assert schema.ha_node("h1", "status/in_use") == "ha_cluster/ha_nodes/h1/status/in_use"
    assert schema.open_incident("c1") == "ha_cluster/incidents/open/c1"
    assert schema.closed_incident("c1", "T") == "ha_cluster/incidents/closed/c1/T"
