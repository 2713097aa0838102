"""Consul's transactions as values: operations, and what became of them."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nova_ha.consul.values import LOCK_FLAGS, SessionID, is_key
from nova_ha.errors import ConfigError


@dataclass(frozen=True)
class Entry:
    """A key as it was read. `index` is its ModifyIndex, for CAS; `session` holds it as a lock, or is empty."""

    key: str
    value: bytes
    index: int
    session: str = ""
    lock_index: int = 0
    flags: int = 0


@dataclass(frozen=True)
class Operation:
    """One operation of a transaction; made by the functions below."""

    verb: str
    key: str
    value: bytes | None = None
    index: int | None = None
    session: str | None = None
    flags: int | None = None

    @property
    def creates(self) -> bool:
        """True where the key may be a new one afterwards."""
        return self.verb in ("set", "lock") or (self.verb == "cas" and not self.index)

    def to_json(self) -> dict[str, Any]:
        """Return it as Consul's transaction endpoint takes it."""
        kv: dict[str, Any] = {"Verb": self.verb, "Key": self.key}
        if self.value is not None:
            kv["Value"] = base64.b64encode(self.value).decode()
        named = {"Index": self.index, "Session": self.session, "Flags": self.flags}
        kv.update({name: value for name, value in named.items() if value is not None})
        return {"KV": kv}


def cas(key: str, value: bytes, index: int, flags: int | None = None) -> Operation:
    """Write the key if its ModifyIndex is still `index`; 0 means that it must not exist."""
    return Operation("cas", key, value, index, flags=flags)


def delete_cas(key: str, index: int) -> Operation:
    """Delete the key if its ModifyIndex is still `index`."""
    return Operation("delete-cas", key, index=index)


def put(key: str, value: bytes) -> Operation:
    """Write the key, whatever it was. For values that nobody decides on (`wake`)."""
    return Operation("set", key, value)


def unchanged(key: str, index: int) -> Operation:
    """Let the transaction pass only if the key is as read: ModifyIndex `index`, or still absent where it is 0."""
    if index == 0:
        return Operation("check-not-exists", key)
    return Operation("check-index", key, index=index)


def lock(key: str, session: SessionID, value: bytes = b"", flags: int = LOCK_FLAGS) -> Operation:
    """Acquire the key for the session; refused while another holds it or its lock delay runs."""
    return Operation("lock", key, value, session=session, flags=flags)


def delete(key: str) -> Operation:
    """Delete the key, whatever it is. Inside a transaction that checks the session which owns it."""
    return Operation("delete", key)


def held(key: str, session: SessionID) -> Operation:
    """Let the transaction pass only if the session holds the key."""
    return Operation("check-session", key, session=session)


def refuse_bad_names(operations: Iterable[Operation]) -> None:
    """Let no key be made whose name some Consul refuse to read. What lies there already can be changed and removed.

    Raises ConfigError.
    """
    for operation in operations:
        if operation.creates and not is_key(operation.key):
            raise ConfigError(
                f"key {operation.key!r} is not written: some Consul refuse such a name",
                remedy="use ASCII letters and digits, and ',', '_', '.', '-', '/', no '..'",
            )


@dataclass(frozen=True)
class Committed:
    """A transaction that went through, with the new ModifyIndex of each key that it wrote or read."""

    indexes: Mapping[str, int]


@dataclass(frozen=True)
class Failure:
    """One operation that made a transaction fail, and Consul's words about it."""

    operation: Operation
    what: str

    @property
    def lock_delayed(self) -> bool:
        """True when the lock is free but its lock delay still runs."""
        return "due to lock delay" in self.what

    @property
    def held_by_another(self) -> bool:
        """True when another session holds the lock."""
        return "lock is already held" in self.what

    @property
    def forbidden(self) -> bool:
        """True when the token has not the right to do it."""
        return "ermission denied" in self.what

    @property
    def absent(self) -> bool:
        """True when there is no such key."""
        return "doesn't exist" in self.what


@dataclass(frozen=True)
class Rejected:
    """A transaction of which nothing was written."""

    failures: tuple[Failure, ...]

    def __str__(self) -> str:
        return "; ".join(f"{f.operation.verb} {f.operation.key}: {f.what}" for f in self.failures)

    @property
    def keys(self) -> frozenset[str]:
        """The keys of the operations that failed."""
        return frozenset(f.operation.key for f in self.failures)
