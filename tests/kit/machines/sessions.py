"""Consul's sessions, as a test reads them."""

from __future__ import annotations

from nova_ha.consul.store import Store
from nova_ha.consul.transaction import Failure


def session_ids(store: Store) -> frozenset[str]:
    """Return the ids of all live sessions."""
    return frozenset(session["ID"] for session in store.fetch("/v1/session/list", consistent=True))


def session_gone(failure: Failure) -> bool:
    """True when the session that the operation names no longer lives, or never did."""
    return "invalid session" in failure.what or "failed session lookup" in failure.what
