"""What every value in Consul's store has in common: how it is read and written, and Consul's own numbers."""

from __future__ import annotations

import enum
import json
import re
from dataclasses import dataclass
from typing import Any, NewType

SessionID = NewType("SessionID", str)

# What `consul lock` puts on its keys, and refuses to touch a key without: so our locks exclude it, and it us.
LOCK_FLAGS = 0x2DDCCBC058A50C18
SEMAPHORE_FLAGS = 0xE0F69A2BAA414DE0

# The names that every Consul takes: 1.21.5 answers 500 to other letters, 1.22 refuses two dots side by side.
GOOD_KEY = re.compile(r"[a-zA-Z0-9,_./\-?&=]+")
# One line: an SSH key of 16,384 bits has 2.8 KB.
MOST_LINE = 4096
# 64 operations in Consul before 1.14, 128 since; some room is left for what a caller adds.
MAX_OPERATIONS = 60


class Fault(enum.Enum):
    """What is wrong with a key, where another mending depends on it than on the key's name."""

    MISPLACED = "misplaced"  # it lies below a key that has a value of its own


@dataclass(frozen=True)
class Problem:
    """Why a key's value cannot be used."""

    key: str
    what: str
    fault: Fault | None = None

    def __str__(self) -> str:
        return f"{self.key} {self.what}"


class BadValue(ValueError):
    """A value that cannot be read; its text says what is expected and what was found."""


def text_from(raw: bytes) -> str:
    """Read a value as text. Raises BadValue."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise BadValue("is not UTF-8 text") from None


def shown(value: str, most: int = 40) -> str:
    """Return the value as an error may show it: quoted, cut."""
    return repr(value if len(value) <= most else value[:most] + "...")


def flag_from(raw: bytes) -> bool:
    """Read a boolean: True/False, any case, also 1/0 and yes/no. Raises BadValue."""
    word = text_from(raw).strip().lower()
    if word in ("true", "1", "yes"):
        return True
    if word in ("false", "0", "no"):
        return False
    raise BadValue(f"is {shown(word)}, expected True or False")


def flag_to(value: bool) -> bytes:
    """Write a boolean."""
    return b"True" if value else b"False"


def count_from(raw: bytes) -> int:
    """Read a decimal integer of at least 0. Raises BadValue."""
    word = text_from(raw).strip()
    if not (word.isascii() and word.isdigit() and len(word) <= 9):
        raise BadValue(f"is {shown(word)}, expected a whole number")
    return int(word)


def port_from(raw: bytes) -> int:
    """Read a port number. Raises BadValue."""
    word = text_from(raw).strip()
    if not (word.isascii() and word.isdigit() and len(word) <= 5 and 0 < int(word) < 65536):
        raise BadValue(f"is {shown(word)}, expected a port from 1 to 65535")
    return int(word)


def line_from(raw: bytes) -> str:
    """Read one line of printable text, stripped. Raises BadValue: empty, too long, or with control characters."""
    word = text_from(raw).strip()
    if not word:
        raise BadValue("is empty")
    if len(word) > MOST_LINE:
        raise BadValue(f"has {len(word)} characters, expected at most {MOST_LINE}")
    if not word.isprintable():
        raise BadValue("has control characters or line breaks")
    return word


def secret_from(raw: bytes) -> str:
    """Read a secret: any text, a final line break dropped. Raises BadValue, never showing the value."""
    word = text_from(raw).removesuffix("\n").removesuffix("\r")
    if not word:
        raise BadValue("is empty")
    if len(word) > MOST_LINE:
        raise BadValue(f"has {len(word)} characters, expected at most {MOST_LINE}")
    return word


def object_from(raw: bytes) -> dict[str, Any]:
    """Read a JSON object. Raises BadValue; also for text that UTF-8 cannot write again (half a surrogate pair)."""
    text = text_from(raw)
    try:
        value = json.loads(text)
        if "\\ud" in text.lower():
            json.dumps(value, ensure_ascii=False).encode()
    # A ValueError is what bad JSON, a number of 5000 digits, and half a surrogate pair have in common.
    except (ValueError, RecursionError):
        raise BadValue("is not JSON") from None
    if not isinstance(value, dict):
        raise BadValue("is JSON, but not an object")
    return value


def object_to(value: dict[str, Any]) -> bytes:
    """Write a JSON object: one line, keys in the given order."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def is_key(name: str) -> bool:
    """True where every Consul takes it as a key's name."""
    return GOOD_KEY.fullmatch(name) is not None and ".." not in name
