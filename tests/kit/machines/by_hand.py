"""What others do to keys: `consul kv put`, with names that the product never has; `consul lock`."""

from __future__ import annotations

import json

from nova_ha.consul.store import Store
from nova_ha.consul.transaction import Operation
from nova_ha.consul.values import LOCK_FLAGS, SessionID


def write_by_hand(store: Store, *operations: Operation) -> None:
    """Carry the operations out as they are, in one transaction."""
    sent = json.dumps([operation.to_json() for operation in operations])
    assert store.client.http.put(lambda answer: answer.code, "/v1/txn", data=sent) == 200


def unlock(key: str, session: SessionID, value: bytes = b"", flags: int = LOCK_FLAGS) -> Operation:
    """Release the key, which the session must hold; costs no lock delay."""
    # An unlock writes the flags too, and `consul lock` refuses a key that has lost them.
    return Operation("unlock", key, value, session=session, flags=flags)
