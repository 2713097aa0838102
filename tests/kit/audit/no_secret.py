"""I9: no secret in logs, output, process arguments, or any KV key but the two that are for it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

from kit.audit.trace import Trace
from kit.audit.violation import Violation

THEIR_KEYS = re.compile(r"ha_cluster/compute_nodes/[^/]+/config/(bmc|ssh)/password")
# What is encoded in fewer characters is found by chance.
SHORTEST = 6


def no_secret(trace: Trace) -> list[Violation]:
    """Return every place where a secret was seen, plain or encoded. The sentence names the form, not the secret."""
    found = []
    for number, secret in enumerate(dict.fromkeys(trace.cluster.secrets), start=1):
        for form, pattern in forms(secret):
            for name, text in _places(trace):
                if pattern in text:
                    words = f"secret {number} ({form}) is in {name}"
                    found.append(Violation("I9", trace.ended, "", words))
    return list(dict.fromkeys(found))


def forms(secret: str) -> list[tuple[str, str]]:
    """Return the forms in which a secret can be seen, those that look alike once."""
    found = {"plain": secret, "urlencoded": quote(secret, safe=""), "of a form": quote_plus(secret)}
    found["in JSON"] = json.dumps(secret)[1:-1]
    found["in hexadecimal"] = secret.encode().hex()
    for shift, name in enumerate(("base64", "base64 after one byte", "base64 after two bytes")):
        found[name] = _within_base64(secret.encode(), shift)
        found[f"{name}, for URLs"] = _within_base64(secret.encode(), shift).translate(str.maketrans("+/", "-_"))
    seen = {text: (name, text) for name, text in reversed(found.items()) if len(text) >= SHORTEST or name == "plain"}
    return list(seen.values())


def _within_base64(secret: bytes, shift: int) -> str:
    """Return the characters that do not depend on what is before and after the secret."""
    text = base64.b64encode(b"\0" * shift + secret).decode().rstrip("=")
    whole = (shift + len(secret)) // 3 * 4
    return text[0 if shift == 0 else shift + 1 : whole]


def _places(trace: Trace) -> Iterator[tuple[str, str]]:
    for output in trace.outputs:
        yield output.name, output.text
    for change in trace.kv:
        if change.value is not None and not THEIR_KEYS.fullmatch(change.key):
            yield change.key, change.value.decode("utf-8", errors="replace")
        yield f"the name of {change.key}", change.key
    for session in trace.sessions:
        yield "the name of a session", session.name
