"""Keys as somebody writes them with `consul kv put`: whatever their names, which the product's own never have."""

from __future__ import annotations

import json

from nova_ha.consul.store import Store
from nova_ha.consul.transaction import Operation


def write_by_hand(store: Store, *operations: Operation) -> None:
    """Carry the operations out as they are, in one transaction."""
    sent = json.dumps([operation.to_json() for operation in operations])
    assert store.client.http.put(lambda answer: answer.code, "/v1/txn", data=sent) == 200
