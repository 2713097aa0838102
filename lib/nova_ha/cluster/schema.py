"""The keys under `ha_cluster/`, and how their plain values are read and written."""

from __future__ import annotations

import enum
import json
import re
from dataclasses import dataclass
from typing import Any, NewType

HostName = NewType("HostName", str)
SessionID = NewType("SessionID", str)

ROOT = "ha_cluster/"
COMPUTE_NODES = ROOT + "compute_nodes/"
HA_NODES = ROOT + "ha_nodes/"
CONFIG = ROOT + "config/"
INCIDENTS_OPEN = ROOT + "incidents/open/"
INCIDENTS_CLOSED = ROOT + "incidents/closed/"
PAUSED = ROOT + "paused"
WAKE = ROOT + "wake"
RECOVERY_SEMAPHORE = ROOT + "locks/recovery"

# The service that carries the observers' checks, and the checks' ids, as in consul.d/ha-node.hcl.
SERVICE = "nova-ha"
SSH_CHECK = "nova-ha-ssh"
BMC_CHECK = "nova-ha-bmc"
CLUSTER_CHECK = "nova-ha-cluster"

# The leaf of a compute node that says that its Consul agent had left on purpose when it began to fail.
LEFT = "internal/left"
# Leaves of a node: the lock of whoever works on it, what the operator lets pass, and until when it is left alone.
LOCK = "internal/.lock"
APPROVAL = "config/approval"
MAINTENANCE = "config/maintenance"
# Leaves of a compute node: what the monitor counts and sets, and what the claim of a recovery sets.
NUMBER_FAILS = "internal/number_fails"
FAILED = "status/failed"
RECOVERED = "status/recovered"
# The leaf of an HA node that a driver there works, or that it is reserved by hand.
IN_USE = "status/in_use"

# What Nova's disabled_reason begins with where it is ours.
OUR_REASON = "nova-ha:"
# That of an HA node that is kept free; only a service disabled with exactly this is enabled.
RESERVE_REASON = f"{OUR_REASON} reserve"

# What `consul lock` puts on its keys, and refuses to touch a key without: so our locks exclude it, and it us.
LOCK_FLAGS = 0x2DDCCBC058A50C18
SEMAPHORE_FLAGS = 0xE0F69A2BAA414DE0

# The names that every Consul takes: 1.21.5 answers 500 to other letters, 1.22 refuses two dots side by side.
GOOD_KEY = re.compile(r"[a-zA-Z0-9,_./\-?&=]+")
# One line: an SSH key of 16,384 bits has 2.8 KB.
MOST_LINE = 4096
# 64 operations in Consul before 1.14, 128 since; some room is left for what a caller adds.
MAX_OPERATIONS = 60


def compute_node(node: str, leaf: str = "") -> str:
    """Return the key of a compute node: `compute_node("c1", "status/failed")`."""
    return f"{COMPUTE_NODES}{node}/{leaf}"


def ha_node(node: str, leaf: str = "") -> str:
    """Return the key of an HA node."""
    return f"{HA_NODES}{node}/{leaf}"


def open_incident(node: str) -> str:
    """Return the key of the node's open incident."""
    return INCIDENTS_OPEN + node


def closed_incident(node: str, started: str) -> str:
    """Return the key of one of the node's past incidents; `started` as `to_key` writes it."""
    return f"{INCIDENTS_CLOSED}{node}/{started}"


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


def is_name(name: str) -> bool:
    """True where the name can be a node's: one path segment that Consul takes."""
    good = name.isascii() and all(c.isalnum() or c in "-_." for c in name) and ".." not in name
    return good and bool(name) and name[0].isalnum() and len(name) <= 253


def check_name(name: str) -> HostName:
    """Return the name if it can be a node's: one path segment that Consul takes. Raises BadValue."""
    if not is_name(name):
        raise BadValue(
            f"name {shown(name)} is not a node's name: letters, digits, '-', '_' and '.', no slash, no space, no '..'"
        )
    return HostName(name)
