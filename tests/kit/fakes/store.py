"""A Store without Consul: FakeStore(clock), with the whole state in `data`."""

from __future__ import annotations

import builtins
import threading
from collections.abc import Callable, Sequence
from typing import Any

from nova_ha.clock import Clock
from nova_ha.consul.store import Store
from nova_ha.consul.transaction import Committed, Entry, Operation, Rejected, refuse_bad_names
from nova_ha.consul.values import SessionID
from nova_ha.errors import ConsulError, OutcomeUnknown

from kit.fakes.clock import FakeClock
from kit.fakes.consul import FakeConsul


class FakeStore(Store):
    """One agent's view of a FakeConsul.

    `data`      every Entry by key; `put` and `drop` change it as an operator's `consul kv` does
    `at(node)`  another agent's store on the same state
    `answers`   what `fetch` returns by path, e.g. of `/v1/health/...`
    `before`    called with the operations before each commit: change the data there to lose a CAS, raise to crash
    `silent`    while true, every call raises ConsulError
    `mute`      while true, a commit is carried out and its answer lost (OutcomeUnknown)
    `commits`   every transaction that was asked for, oldest first
    """

    def __init__(self, clock: Clock | None = None, *, node: str = "ha-1", consul: FakeConsul | None = None) -> None:
        self.consul = consul or FakeConsul(clock or FakeClock())
        self.call_timeout_s = 5.0
        self.node = node
        self.answers: dict[str, Any] = {}
        self.before: Callable[[Sequence[Operation]], None] | None = None
        self.silent = False
        self.mute = False
        self.commits: builtins.list[tuple[Operation, ...]] = []
        self._alone = threading.RLock()

    @property
    def data(self) -> dict[str, Entry]:
        """Every key."""
        return self.consul.data

    def at(self, node: str) -> FakeStore:
        """Return the store of another agent."""
        other = FakeStore(node=node, consul=self.consul)
        other.answers, other._alone = self.answers, self._alone
        return other

    def again(self) -> FakeStore:
        """Return a store of the same agent with a connection of its own."""
        return self.at(self.node)

    def put(self, key: str, value: bytes | str) -> None:
        """Write a key as an operator would."""
        self.consul.put(key, value)

    def drop(self, prefix: str) -> None:
        """Delete keys as an operator would."""
        self.consul.drop(prefix)

    def value(self, key: str) -> str | None:
        """Return the key's value as text, None where it does not exist."""
        entry = self.data.get(key)
        return entry.value.decode() if entry else None

    def expire_session(self, session: str) -> None:
        """Let Consul end the session now, as when its holder's agent died."""
        self.consul.end_session(session)

    # --- what Store offers ---

    def get(self, key: str) -> Entry | None:
        with self._calling():
            return self.data.get(key)

    def list(self, prefix: str) -> builtins.list[Entry]:
        with self._calling():
            return [self.data[key] for key in sorted(self.data) if key.startswith(prefix)]

    def keys(self, prefix: str) -> Sequence[str]:
        with self._calling():
            return [key for key in sorted(self.data) if key.startswith(prefix)]

    def fetch(self, path: str, *, consistent: bool = False, **asked: Any) -> Any:
        with self._calling():
            if path == "/v1/session/list":
                return [{"ID": session} for session in self.consul.sessions]
            return self.answers.get(path)

    def node_name(self) -> str:
        with self._calling():
            return self.node

    def commit(self, operations: Sequence[Operation]) -> Committed | Rejected:
        refuse_bad_names(operations)
        with self._calling():
            self.commits.append(tuple(operations))
            if self.before:
                self.before(operations)
            outcome = self.consul.commit(operations)
        if self.mute:
            raise OutcomeUnknown("Consul took the transaction but did not answer (fake)")
        return outcome

    def create_session(self, name: str, ttl_s: int, lock_delay_s: int) -> SessionID:
        with self._calling():
            return self.consul.create_session(self.node, name, ttl_s, lock_delay_s)

    def renew_session(self, session: SessionID) -> bool:
        with self._calling():
            return self.consul.renew_session(session)

    def destroy_session(self, session: SessionID) -> None:
        with self._calling():
            self.consul.end_session(session)

    def _calling(self) -> threading.RLock:
        if self.silent:
            raise ConsulError("no Consul agent answers on this machine", remedy="start it, or set CONSUL_HTTP_ADDR")
        self.consul.end_overdue_sessions()
        return self._alone
