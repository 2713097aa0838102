"""The semaphore that bounds how many incidents are worked on at once, in the layout of `consul lock -n`.

Under the prefix, one record `.lock` names the limit and the holders, and each contender has a key named for its
session, acquired by it (Consul's api/semaphore.go). A holder whose contender key is gone is dead.

`consul lock` without `-n`, or with `-n 1`, is no semaphore but a plain lock on the same `.lock`: while it is held it
takes every place, and while a semaphore is there Consul refuses it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from nova_ha.consul.store import Store
from nova_ha.consul.transaction import Entry, Operation, cas, delete, delete_cas, lock
from nova_ha.consul.values import LOCK_FLAGS, SEMAPHORE_FLAGS, BadValue, Problem, SessionID, object_from
from nova_ha.errors import ConfigError


@dataclass(frozen=True)
class Full:
    """Every place is taken by a live holder."""

    holders: frozenset[SessionID]


@dataclass(frozen=True)
class LimitConflict:
    """Only the recorded limit is in the way: the policy's is larger, and is written when no live holder is left."""

    recorded: int


@dataclass(frozen=True)
class Semaphore:
    """The semaphore as it was read. `limit` is the recorded one, None where there is no record.

    `live` are the holders whose session has a key under the prefix, as contenders do; the others died without giving
    their place up. `index` is the record's ModifyIndex, 0 where there is none.
    """

    prefix: str
    limit: int | None = None
    holders: frozenset[SessionID] = frozenset()
    live: frozenset[SessionID] = frozenset()
    index: int = 0
    problem: Problem | None = None

    @classmethod
    def read(cls, store: Store, prefix: str) -> Semaphore:
        """Read it. Raises ConsulError."""
        return cls.from_entries(prefix, store.list(prefix + "/"))

    @classmethod
    def from_entries(cls, prefix: str, entries: Sequence[Entry]) -> Semaphore:
        """Read it from the keys under the prefix; a record that is not a semaphore's becomes `problem`."""
        contenders = {SessionID(entry.session) for entry in entries if entry.session}
        record = next((entry for entry in entries if entry.key == f"{prefix}/.lock"), None)
        if record is None:
            return cls(prefix)
        if record.flags == LOCK_FLAGS:
            holder = frozenset({SessionID(record.session)} if record.session else ())
            return cls(prefix, 1 if holder else None, holder, holder, record.index)
        try:
            limit, holders = _record_from(record)
        except BadValue as bad:
            return cls(prefix, index=record.index, problem=Problem(record.key, str(bad)))
        return cls(prefix, limit, holders, holders & contenders, record.index)

    @property
    def record_key(self) -> str:
        """The key of the record."""
        return f"{self.prefix}/.lock"

    def contender_key(self, session: SessionID) -> str:
        """Return the key that says that the session lives."""
        return f"{self.prefix}/{session}"

    def take(self, session: SessionID, limit: int) -> list[Operation] | Full | LimitConflict:
        """Return the operations that take a place for the session, for the claim's one transaction.

        Dead holders are pruned by them. Where the recorded limit is not the wanted one it is replaced while no
        live holder is left; before that the smaller of the two counts. Raises ConfigError where the record cannot be
        read: who works, and how many may, is then unknown.
        """
        if self.problem:
            raise ConfigError(
                str(self.problem), remedy=f"when no recovery runs, `consul kv delete {self.problem.key}`"
            )
        others = self.live - {session}
        recorded = self.limit if self.limit is not None and others else limit
        if len(others) >= min(recorded, limit):
            return LimitConflict(recorded) if len(others) < limit else Full(others)
        return [
            lock(self.contender_key(session), session, flags=SEMAPHORE_FLAGS),
            self._write(recorded, others | {session}),
        ]

    def give_up(self, session: SessionID) -> list[Operation]:
        """Return the operations that give the session's place to the next one, waking those that wait.

        The last holder removes the record, as `consul lock` does, so that it stands in no later limit's way. A record
        that cannot be read is left for the operator.
        """
        others = self.live - {session}
        operations = [delete(self.contender_key(session))]
        if session in self.holders:
            operations.append(
                self._write(self.limit or 1, others) if others else delete_cas(self.record_key, self.index)
            )
        return operations

    def _write(self, limit: int, holders: Iterable[SessionID]) -> Operation:
        record = {"Limit": limit, "Holders": dict.fromkeys(sorted(holders), True)}
        return cas(self.record_key, json.dumps(record).encode(), self.index, SEMAPHORE_FLAGS)


def _record_from(entry: Entry) -> tuple[int | None, frozenset[SessionID]]:
    """Return the limit and the holders. Raises BadValue."""
    if entry.flags != SEMAPHORE_FLAGS:
        raise BadValue(f"has the flags {entry.flags:#x}, expected a semaphore's ({SEMAPHORE_FLAGS:#x})")
    if not entry.value:
        return None, frozenset()
    value = object_from(entry.value)
    limit: Any = value.get("Limit")
    holders: Any = value.get("Holders") or {}
    if type(limit) is not int or limit < 1 or not isinstance(holders, dict):
        raise BadValue("is no semaphore's record")
    return limit, frozenset(SessionID(holder) for holder, holds in holders.items() if holds is True)
