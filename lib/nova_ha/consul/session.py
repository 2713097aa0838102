"""A driver's Consul session, renewed by a thread of its own for as long as the driver lives."""

from __future__ import annotations

import logging
import threading
from types import TracebackType

from nova_ha.clock import Clock, SystemClock
from nova_ha.consul.store import Store
from nova_ha.consul.values import SessionID
from nova_ha.errors import ConsulError, HAError, OutcomeUnknown, TryAgain

log = logging.getLogger(__name__)

# Consul ends a session between one and two TTLs after its last renewal (its docs: the TTL is a lower bound).
TTLS_UNTIL_LOST = 2
RETRY_S = 1.0
# Far more than any one thing that a driver does between two signs of progress: it hangs, somebody else must go on.
STALLED_AFTER_S = 600.0


class LockLost(TryAgain):
    """The session or its lock is gone, or cannot be proved: nothing with an effect may be sent any more."""


class Session:
    """A session of the local agent's node: behaviour delete, ended by serfHealth, by its TTL or by `end`.

    As a context manager it keeps itself alive inside and ends when it is left. What it still holds then is
    under the lock delay: unlock first. It is renewed only for an owner that shows progress: a process whose
    work hangs would else keep its locks for as long as its renewals go on.
    """

    def __init__(self, store: Store, session: SessionID, ttl_s: float, clock: Clock | None = None) -> None:
        self.id = session
        self.ttl_s = ttl_s
        self._store = store
        self._clock = clock or SystemClock()
        self._renewed_at = self._clock.monotonic()
        self._progress_at = self._renewed_at
        self._lost = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    @classmethod
    def create(cls, store: Store, name: str, ttl_s: int, lock_delay_s: int) -> Session:
        """Create it. Its TTL runs from now; `keep_alive` renews it. Raises ConsulError."""
        try:
            return cls(store, store.create_session(name, ttl_s, lock_delay_s), ttl_s)
        except OutcomeUnknown as error:
            # Nobody knows its id, it holds nothing, and its TTL ends it: as good as never made.
            raise ConsulError(str(error)) from error

    @property
    def lost(self) -> bool:
        """True once Consul does not know it, or must have ended it, or after `end`. False proves nothing."""
        return self._lost.is_set() or self._ended.is_set()

    def progress(self) -> None:
        """Take note that its owner is at work: to be called more often than every STALLED_AFTER_S."""
        self._progress_at = self._clock.monotonic()

    def keep_alive(self) -> None:
        """Renew it every third of its TTL from now on, on a connection and in a daemon thread of its own."""
        if self._thread is None and not self.lost:
            store = self._store.again()
            self._thread = threading.Thread(
                target=self._renew_on, args=(store,), name=f"session {self.id}", daemon=True
            )
            self._thread.start()

    def end(self) -> None:
        """Stop renewing and destroy it. Never raises: one that cannot be destroyed ends by its TTL."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(self._store.call_timeout_s)
        try:
            self._store.destroy_session(self.id)
        except HAError as error:
            log.warning("session=%s not destroyed, its TTL of %s s ends it: %s", self.id, self.ttl_s, error)

    def __enter__(self) -> Session:
        self.keep_alive()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def _renew_on(self, store: Store) -> None:
        pause = self.ttl_s / 3
        while not (self._ended.wait(pause) or self._lost.is_set()):
            if self._clock.monotonic() - self._progress_at > STALLED_AFTER_S:
                return self._lose(f"its owner has shown no progress for {STALLED_AFTER_S:g} s: renewed no more")
            pause = self.ttl_s / 3 if self._renew(store) else min(RETRY_S, self.ttl_s / 3)
        return None

    def _renew(self, store: Store) -> bool:
        """Renew once; True when it lives. Marks it lost when Consul says so, or must have ended it."""
        before = self._clock.monotonic()
        try:
            if store.renew_session(self.id):
                self._renewed_at = before
                return True
            self._lose("Consul does not know it any more")
        except HAError as error:
            log.warning("session=%s not renewed: %s", self.id, error)
            if self._clock.monotonic() - self._renewed_at > TTLS_UNTIL_LOST * self.ttl_s:
                self._lose(f"not renewed for {TTLS_UNTIL_LOST} TTLs of {self.ttl_s} s")
        return False

    def _lose(self, why: str) -> None:
        if not self._ended.is_set():
            log.error("session=%s lost: %s", self.id, why)
        self._lost.set()
