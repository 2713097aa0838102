"""Values that do not belong in a key: a table of them, and hypothesis strategies that make more."""

from __future__ import annotations

import json
from collections.abc import Mapping

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

ESCAPES = "\x1b[2J\x1b]0;owned\x07\r\nsecond line\x9b31m\u2028\u202e\x7f"
HUGE = 512 * 1024

# The same examples in every run, however slow the machine is.
QUIET = settings(deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))

# No leaf of the schema takes any of these.
NEVER: Mapping[str, bytes] = {
    "empty": b"",
    "spaces": b" \n\t ",
    "nul": b"\x00",
    "nul-in-the-middle": b"Tr\x00ue",
    "not-utf-8": b"\xff\xfe\xfa\x00",
    "half-a-letter": "Tru\u00e9".encode()[:-1],
    "escapes": f"perhaps{ESCAPES}".encode(),
    "512-kb": b"x" * HUGE,
    "512-kb-of-digits": b"9" * HUGE,
    "deeply-nested": b'{"a":' * 50_000,
}
# Nor does a boolean, a number, a port or a word of a list take these; each is text.
NO_WORD: Mapping[str, bytes] = {
    **NEVER,
    "null": b"null",
    "nan": b"NaN",
    "json": b'{"value": true}',
    "list": b"[]",
    "quoted": b'"True"',
    "half": b"Tru",
    "negative": b"-1",
    "fraction": b"3.5",
    "exponent": b"1e3",
    "hexadecimal": b"0x10",
    "unicode-digits": "\u0663".encode(),
    "superscript": "\u00b2".encode(),
    "too-many-digits": b"1" * 5000,
    "a-one-and-5000-zeros": b"0001" + b"0" * 5000,
    "two-lines": b"True\nTrue",
    "byte-order-mark": b"\xef\xbb\xbfTrue",
}
# Nor a record of JSON these.
NO_RECORD: Mapping[str, bytes] = {
    **NEVER,
    "null": b"null",
    "nan": b"NaN",
    "number": b"7",
    "huge-number": b"1" * 5000,
    "text": b'"text"',
    "list": b"[]",
    "empty-object": b"{}",
    "half-a-surrogate": b'{"version": 1, "by": "\\ud800", "nova_host": "\\udc00"}',
    "nested-900-deep": b'{"version":' + b"[" * 900 + b"]" * 900 + b"}",
    "nested-in-every-field": json.dumps(
        {name: [[[[]]]] for name in ("version", "node", "started", "state", "until", "by", "gates", "nova_host")}
    ).encode(),
    "version-of-tomorrow": b'{"version": 2, "nova_host": "c1", "by": 1}',
    "version-nan": b'{"version": NaN, "nova_host": "c1", "by": NaN}',
    "version-true": b'{"version": true, "nova_host": "c1", "by": true}',
    "version-twice": b'{"version": 1, "nova_host": "c1", "by": "x", "version": 9, "by": null}',
    "two-objects": b'{"version": 1}{"version": 1}',
    "escapes-in-a-field": json.dumps({"version": ESCAPES, "state": ESCAPES, "node": ESCAPES}).encode(),
}


def cut(whole: bytes) -> st.SearchStrategy[bytes]:
    """A value that was cut off somewhere: never the whole of it."""
    return st.integers(0, len(whole) - 1).map(lambda end: whole[:end])


def mangled(whole: bytes) -> st.SearchStrategy[bytes]:
    """A value with some of its bytes replaced, doubled or taken out."""
    place = st.integers(0, len(whole))

    def mangle(start: int, end: int, filling: bytes) -> bytes:
        return whole[: min(start, end)] + filling + whole[max(start, end) :]

    return st.builds(mangle, place, place, st.binary(max_size=8))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["1", "True", "answers", "2030-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "bmc"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def warped(record: Mapping[str, object]) -> st.SearchStrategy[bytes]:
    """A record of which some fields have another value, or are missing; also deep inside."""
    names = st.sampled_from(sorted(record))

    def warp(changes: dict[str, object], missing: set[str]) -> bytes:
        found = {name: value for name, value in {**record, **changes}.items() if name not in missing}
        return json.dumps(found).encode()

    return st.builds(
        warp, st.dictionaries(names, JSON | st.sampled_from(_torn(record)), max_size=3), st.sets(names, max_size=1)
    )


def _torn(record: Mapping[str, object]) -> list[object]:
    """The record's own values, each of which is at home in another field."""
    return [value for value in record.values() if value is not None] or [None]


ANYTHING = st.binary(max_size=60) | st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass"))
