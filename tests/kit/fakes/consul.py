"""Consul's KV store, transactions, sessions and lock delays in memory, as 1.8.7 was seen to behave.

tests/integration/monitor/test_fake_store_contract.py runs the same tests on this and on a real one.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from nova_ha.clock import Clock
from nova_ha.consul.transaction import Committed, Entry, Failure, Operation, Rejected
from nova_ha.consul.values import SessionID
from nova_ha.errors import ConsulError

MOST_OPERATIONS = 64
# Consul limits a value to 512 KB; base64 in a transaction's body makes four bytes of three.
MAX_VALUE_BYTES = 512 * 1024


@dataclass
class FakeSession:
    """A live session: behaviour delete."""

    node: str
    name: str
    ttl_s: float
    lock_delay_s: float
    renewed_at: float


class Refusal(Exception):
    """Consul's words about an operation that failed."""


class FakeConsul:
    """The state that all FakeStores of a cluster share. `data` may be read and changed by a test directly."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.data: dict[str, Entry] = {}
        self.index = 10
        self.sessions: dict[str, FakeSession] = {}
        self._delayed_until: dict[str, float] = {}

    def put(self, key: str, value: bytes | str) -> None:
        """Write a key as `consul kv put` does."""
        raw = value.encode() if isinstance(value, str) else value
        self.commit([Operation("set", key, raw)])

    def drop(self, prefix: str) -> None:
        """Delete the key and everything under it as `consul kv delete -recurse` does."""
        self.commit([Operation("delete", key) for key in list(self.data) if key.startswith(prefix)])

    def commit(self, operations: Sequence[Operation]) -> Committed | Rejected:
        """Carry out all operations at one index, or none; every failure is reported."""
        self.end_overdue_sessions()
        _refuse_too_much(operations)
        self.index += 1
        if delayed := tuple(self._delayed(operations)):
            return Rejected(delayed)
        attempt = _Attempt(dict(self.data), self.index, self.sessions)
        failures = tuple(attempt.failures(operations))
        if failures:
            return Rejected(failures)
        self.data = attempt.data
        return Committed(attempt.indexes)

    def create_session(self, node: str, name: str, ttl_s: float, lock_delay_s: float) -> SessionID:
        """Create a session."""
        session = SessionID(str(uuid.uuid4()))
        self.index += 1
        self.sessions[session] = FakeSession(node, name, ttl_s, lock_delay_s, self.clock.monotonic())
        return session

    def renew_session(self, session: str) -> bool:
        """Start its TTL over; False where it does not live."""
        self.end_overdue_sessions()
        if found := self.sessions.get(session):
            found.renewed_at = self.clock.monotonic()
        return found is not None

    def end_session(self, session: str) -> None:
        """Invalidate it: its keys are deleted and under its lock delay."""
        ended = self.sessions.pop(session, None)
        if ended is None:
            return
        self.index += 1
        for key in [key for key, entry in self.data.items() if entry.session == session]:
            del self.data[key]
            self._delayed_until[key] = self.clock.monotonic() + ended.lock_delay_s

    def end_overdue_sessions(self) -> None:
        """End every session that was not renewed for twice its TTL: the latest that Consul's docs allow."""
        now = self.clock.monotonic()
        for session, found in list(self.sessions.items()):
            if now > found.renewed_at + 2 * found.ttl_s:
                self.end_session(session)

    def _delayed(self, operations: Sequence[Operation]) -> list[Failure]:
        now = self.clock.monotonic()
        return [
            Failure(operation, f'failed to lock key "{operation.key}" due to lock delay')
            for operation in operations
            if operation.verb == "lock" and now < self._delayed_until.get(operation.key, now)
        ]


class _Attempt:
    """A transaction in the making: each operation sees what the ones before it have done."""

    def __init__(self, data: dict[str, Entry], index: int, sessions: dict[str, FakeSession]) -> None:
        self.data = data
        self.index = index
        self.indexes: dict[str, int] = {}
        self._sessions = sessions
        self._verbs: dict[str, Callable[[Operation, Entry | None], Entry | None]] = {
            "set": self._set,
            "cas": self._cas,
            "lock": self._lock,
            "unlock": self._unlock,
            "delete": self._delete,
            "delete-cas": self._delete_cas,
            "check-index": _check_index,
            "check-session": _check_session,
            "check-not-exists": _check_not_exists,
        }

    def failures(self, operations: Sequence[Operation]) -> list[Failure]:
        """Carry them out on `data`, and return those that failed."""
        found = []
        for operation in operations:
            try:
                entry = self._verbs[operation.verb](operation, self.data.get(operation.key))
            except Refusal as refusal:
                found.append(Failure(operation, str(refusal)))
                continue
            if entry:
                self.indexes[entry.key] = entry.index
        return found

    def _set(self, operation: Operation, old: Entry | None) -> Entry:
        # A plain write keeps the session of a held key, but not its LockIndex, and not its flags.
        return self._write(operation, old, session=old.session if old else "", lock_index=0)

    def _cas(self, operation: Operation, old: Entry | None) -> Entry:
        if (old.index if old else 0) != operation.index:
            raise Refusal(f'failed to set key "{operation.key}", index is stale')
        return self._set(operation, old)

    def _lock(self, operation: Operation, old: Entry | None) -> Entry:
        session = operation.session or ""
        if session not in self._sessions:
            raise Refusal(f'invalid session "{session}"')
        if old and old.session and old.session != session:
            raise Refusal(f'failed to lock key "{operation.key}", lock is already held')
        before = old.lock_index if old else 0
        again = old is not None and old.session == session
        return self._write(operation, old, session=session, lock_index=before if again else before + 1)

    def _unlock(self, operation: Operation, old: Entry | None) -> Entry:
        if old is None or old.session != operation.session:
            raise Refusal(f'failed to unlock key "{operation.key}", lock isn\'t held, or is held by another session')
        return self._write(operation, old, session="", lock_index=old.lock_index)

    def _delete(self, operation: Operation, old: Entry | None) -> None:
        self.data.pop(operation.key, None)

    def _delete_cas(self, operation: Operation, old: Entry | None) -> None:
        if old and old.index != operation.index:
            raise Refusal(f'failed to delete key "{operation.key}", index is stale')
        self._delete(operation, old)

    def _write(self, operation: Operation, old: Entry | None, *, session: str, lock_index: int) -> Entry:
        new = Entry(operation.key, operation.value or b"", self.index, session, lock_index, operation.flags or 0)
        if old and replace(old, index=self.index) == new:
            return old
        self.data[operation.key] = new
        return new


def _check_index(operation: Operation, old: Entry | None) -> Entry:
    if old is None:
        raise Refusal(f'failed to check index, key "{operation.key}" doesn\'t exist')
    if old.index != operation.index:
        raise Refusal(
            f'failed index check for key "{operation.key}", current modify index {old.index} != {operation.index}'
        )
    return old


def _check_session(operation: Operation, old: Entry | None) -> Entry:
    if old is None:
        raise Refusal(f'failed to check session, key "{operation.key}" doesn\'t exist')
    if old.session != operation.session:
        raise Refusal(
            f'failed session check for key "{operation.key}", '
            f'current session "{old.session}" != "{operation.session}"'
        )
    return old


def _check_not_exists(operation: Operation, old: Entry | None) -> None:
    if old is not None:
        raise Refusal(f'key "{operation.key}" exists')


def _refuse_too_much(operations: Sequence[Operation]) -> None:
    if len(operations) > MOST_OPERATIONS:
        raise ConsulError(f"Consul cannot give the transaction ({len(operations)} > {MOST_OPERATIONS} operations)")
    if any(len(operation.value or b"") > MAX_VALUE_BYTES for operation in operations):
        raise ConsulError("Consul cannot give the transaction (413 Request body too large)")
