"""The proof of possession: no effect outside Consul without a recent proof that the lock is still ours."""

from __future__ import annotations

from collections.abc import Sequence

from nova_ha.clock import Clock
from nova_ha.consul.session import LockLost, Session
from nova_ha.consul.store import Store
from nova_ha.consul.transaction import Committed, Operation, Rejected, held
from nova_ha.errors import ConfigError, ConsulError
from nova_ha.limits import LOCK_MARGIN_S

RETRY_S = 1.0


class HeldLock:
    """A key that the session holds, with the time of the last proof. For one thread.

    When a session ends, Consul gives its locks to nobody for `lock_delay_s` seconds. So whoever held the
    lock at a time t is alone until t + lock_delay_s at least; t is taken before the proof was asked for.
    """

    def __init__(self, store: Store, clock: Clock, session: Session, key: str, lock_delay_s: float) -> None:
        self.key = key
        self.session = session
        self.lock_delay_s = lock_delay_s
        self._store = store
        self._clock = clock
        self._proven_at = float("-inf")
        self._given_up = False

    def proven(self, before: float) -> None:
        """Take note that a transaction sent at `before` (monotonic) had the lock, as the claim's has."""
        self._proven_at = max(self._proven_at, before)

    def prove(self) -> None:
        """Read the key consistently. Raises LockLost when the session does not hold it.

        While Consul cannot be asked it is asked again, for `lock_delay_s` seconds at most since the last
        proof; then LockLost as well.
        """
        while True:
            try:
                return self._prove_once()
            except ConsulError as error:
                if self._age() + RETRY_S > self.lock_delay_s:
                    raise self._loss(f"cannot be proved ({error})") from error
            self._clock.sleep(RETRY_S)

    def require(self, call_timeout_s: float) -> None:
        """Return when a call of that time-out, sent now, ends before anybody else can have the lock.

        Call it before each call with an effect outside Consul. A proof older than half of what is allowed
        is renewed. Raises LockLost, and ConfigError when no proof could ever be recent enough.
        """
        allowed = self.lock_delay_s - call_timeout_s - LOCK_MARGIN_S
        if allowed <= 0:
            raise ConfigError(
                f"session/lock_delay is {self.lock_delay_s:g} s, too short for a call of {call_timeout_s:g} s",
                remedy="raise it with `nova-ha config set session/lock_delay`",
            )
        self.refuse_if_gone()
        if self._age() > allowed / 2:
            self._prove_again(allowed)
        if self._age() > allowed:
            raise self._loss("took too long to prove")

    def commit(self, operations: Sequence[Operation]) -> Committed | Rejected:
        """Carry out all operations, or none, if the session holds the lock; success is a proof.

        Raises LockLost when it does not, and what Store.commit raises: after OutcomeUnknown, read again.
        """
        self.refuse_if_gone()
        before = self._clock.monotonic()
        outcome = self._store.commit([held(self.key, self.session.id), *operations])
        if isinstance(outcome, Rejected):
            self._refuse_if_not_held(outcome)
        else:
            self.proven(before)
            self._given_up = any(o.key == self.key and o.verb in ("unlock", "delete") for o in operations)
        return outcome

    def _prove_once(self) -> None:
        self.refuse_if_gone()
        before = self._clock.monotonic()
        entry = self._store.get(self.key)
        if entry is None or entry.session != self.session.id:
            holder = entry.session if entry else ""
            raise self._loss(f"is held by session {holder}" if holder else "is not held any more")
        self.proven(before)

    def _prove_again(self, allowed: float) -> None:
        """Prove it; an unreachable Consul is no reason to stop while the last proof is recent enough."""
        try:
            self._prove_once()
        except ConsulError:
            if self._age() > allowed:
                self.prove()

    def _age(self) -> float:
        return self._clock.monotonic() - self._proven_at

    def refuse_if_gone(self) -> None:
        """Raise LockLost where this process knows already that it holds the lock no more."""
        self.session.progress()
        if self._given_up:
            raise self._loss("was released")
        if self.session.lost:
            raise self._loss(f"had session {self.session.id}, which is gone")

    def _refuse_if_not_held(self, outcome: Rejected) -> None:
        for failure in outcome.failures:
            if failure.operation.verb == "check-session" and failure.operation.key == self.key:
                raise self._loss(f"is not held any more ({failure.what})")

    def _loss(self, why: str) -> LockLost:
        return LockLost(f"lock {self.key} {why}", remedy="nothing more is done by this driver; the next one resumes")
