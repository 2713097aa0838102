"""What is read of an answer of a Redfish BMC: so many bytes at most, as it comes and unpacked; and as JSON."""

from __future__ import annotations

import contextlib
import http.client
import json
import zlib
from collections.abc import Mapping
from typing import Any

from nova_ha.power.diagnosis import BMCTrouble, Trouble

# A system is described in some 10 KB.
MOST_BYTES = 1024 * 1024
_AT_ONCE = 64 * 1024
# What stands in the place of a byte that is no text.
MANGLED = "\ufffd"

Document = Mapping[str, Any]


class AnswerTooLong(http.client.HTTPException):
    """Whether the BMC did what it was asked for is not known."""

    def __init__(self) -> None:
        super().__init__(f"answer too long: more than {MOST_BYTES} bytes")


def body_of(answer: Any) -> bytes:
    """Read the body of urllib3's answer to its end, and unpack it.

    Raises AnswerTooLong, and what the network raises.
    """
    length = str(answer.headers.get("Content-Length", ""))
    if length.isdecimal() and int(length[:20]) > MOST_BYTES:
        raise AnswerTooLong
    body = b""
    while len(body) <= MOST_BYTES and (part := answer.read(_AT_ONCE, decode_content=False)):
        body += part
    if answer.headers.get("Content-Encoding") == "gzip" and len(body) <= MOST_BYTES:
        with contextlib.suppress(zlib.error):  # some BMCs say so and do not pack it
            body = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(body, MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        raise AnswerTooLong
    return body


def document_in(body: bytes) -> Document:
    """Return the JSON object in the body. Raises BMCTrouble for anything else."""
    try:
        found = loaded(body)
    except (ValueError, RecursionError):
        raise BMCTrouble(Trouble.ODD_ANSWER, f"no JSON: {body[:40].decode(errors='replace')!r}") from None
    if not isinstance(found, dict):
        raise BMCTrouble(Trouble.ODD_ANSWER, f"JSON without fields: {type(found).__name__}")
    return found


def loaded(body: bytes) -> Any:
    """Read JSON. Raises ValueError or RecursionError.

    A BMC hands on what stands in its FRU, which on some boards is no text: what one field holds costs the others
    nothing, and is MANGLED.
    """
    try:
        return json.loads(body)
    except ValueError:
        return json.loads(body.decode("utf-8-sig", errors="replace"), strict=False)


def inside(document: Any, *names: str) -> Any:
    """Return what stands under these names, one inside the other; None where it does not."""
    for name in names:
        document = document.get(name) if isinstance(document, dict) else None
    return document


def link_in(document: Any, *names: str) -> str:
    """Return the link (`@odata.id`) that stands there, empty where there is none."""
    link = inside(document, *names, "@odata.id")
    return link if isinstance(link, str) else ""


def links_in(document: Any, *names: str) -> tuple[str, ...]:
    """Return the links of a list that stands there."""
    found = inside(document, *names)
    return tuple(filter(None, map(link_in, found if isinstance(found, list) else ())))


def words_in(document: Any, *names: str) -> tuple[str, ...] | None:
    """Return a list of words that stands there, None where there is none."""
    found = inside(document, *names)
    return tuple(word for word in found if isinstance(word, str)) if isinstance(found, list) else None
