"""Consul's KV store, checks and sessions, through py-consul: reads, and transactions whose outcome is a value."""

from __future__ import annotations

import base64
import builtins
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from nova_ha.consul.connection import HANDLER_TIMEOUT_S, client_for
from nova_ha.consul.transaction import (
    Committed,
    Entry,
    Failure,
    Operation,
    Rejected,
    refuse_bad_names,
)
from nova_ha.consul.trouble import forbidden, garbled, reading, writing
from nova_ha.consul.values import SessionID, is_key
from nova_ha.consul.variables import settings_from
from nova_ha.errors import ConsulError, OutcomeUnknown

T = TypeVar("T")

# Consul answers each of these with the key and its new ModifyIndex.
WRITING = ("set", "cas", "lock", "unlock")


class Store:
    """One agent's view of Consul. All reads are `consistent`; no write is repeated.

    Raises ConsulError when Consul does not answer or refuses, OutcomeUnknown when a write's answer was lost.
    """

    def __init__(self, client: Any, call_timeout_s: float, make_client: Callable[[], Any] | None = None) -> None:
        from consul.base import Response  # noqa: F401  (fails early where another package is called consul)

        self.client = client
        self.call_timeout_s = call_timeout_s
        self._make_client = make_client

    def again(self) -> Store:
        """Return a store of the same agent with a connection of its own: one is not for two threads."""
        if self._make_client is None:
            raise TypeError("this store was not made by connect()")
        return Store(self._make_client(), self.call_timeout_s, self._make_client)

    # --- reads ---

    def get(self, key: str) -> Entry | None:
        """Return the key, or None where it does not exist."""
        found = self._kv(key, []) if is_key(key) else self._named_in_a_body(key)
        if found is None:
            return None
        if len(found) != 1 or found[0].get("Key") != key:
            raise garbled(f"key {key}")
        return _entry(found[0])

    def list(self, prefix: str) -> list[Entry]:
        """Return every key under the prefix, in order."""
        return [_entry(item) for item in self._kv(prefix, [("recurse", "1")]) or []]

    def whole(self, folder: str) -> builtins.list[Entry]:
        """Return what `list` does. Raises NotAllowed where the token must not read in this folder.

        Consul leaves what a token must not read out of a list, without a word; where a missing key is a default, that
        would be another value than the key's. Of a single name it says so, whether there is such a key or not.
        """
        self.get(folder)
        return self.list(folder)

    def keys(self, prefix: str) -> Sequence[str]:
        """Return the names of the keys under the prefix."""
        what = f"the list of keys under {prefix}"
        found = self.fetch(f"/v1/kv/{prefix}", consistent=True, params=[("keys", "true")], what=what)
        if found is not None and not _is_list_of(str, found):
            raise garbled(what)
        return found or []

    def _kv(self, key: str, params: Sequence[tuple[str, str]]) -> builtins.list[dict[str, Any]] | None:
        """Return the records that Consul has, None where there are none."""
        what = f"the list of keys under {key}" if params else f"key {key}"
        found: Any = self.fetch(f"/v1/kv/{key}", consistent=True, params=params, what=what)
        if found is not None and not (found and _is_list_of(dict, found)):
            raise garbled(what)
        return found

    def _named_in_a_body(self, key: str) -> builtins.list[dict[str, Any]] | None:
        """As `_kv`, for a name that some Consul take in no address: 1.21.5 answers 500 to a colon in one."""
        get = Operation("get", key)
        with reading(f"key {key}"):
            answer = self.client.http.put(
                _transaction_answer, "/v1/txn", params=[("consistent", "1")], data=json.dumps([get.to_json()])
            )
        try:
            failures = [Failure(get, _typed(str, failure["What"])) for failure in answer.get("Errors") or []]
            found = [result["KV"] for result in answer.get("Results") or []]
        except (TypeError, LookupError, AttributeError):
            raise garbled(f"key {key}") from None
        if not failures:
            return found
        _refuse_all_but_absence(key, failures[0])
        return None

    def fetch(
        self, path: str, *, consistent: bool = False, params: Sequence[tuple[str, str]] = (), what: str = ""
    ) -> Any:
        """Return what Consul answers to a GET, parsed and never null; None where it answers 404.

        `what` is how an error calls it, the path where nothing else is said.
        """
        asked = [*params, *([("consistent", "1")] if consistent else [])]
        with reading(what or path):
            response, found = self.client.http.get(_answer, path, params=asked)
        if found is None and not (response.code == 404 and "X-Consul-Index" in response.headers):
            # A 404 of Consul's about what is not there has an index; a proxy's about a path has none.
            raise garbled(path)
        return found

    def node_name(self) -> str:
        """Return the name of the local agent's node."""
        # /v1/agent/self needs agent:read; the checks of the agent name its node as well and need less.
        checks = self.fetch("/v1/agent/checks")
        if not isinstance(checks, dict) or not _is_list_of(dict, list(checks.values())):
            raise garbled("the agent's checks")
        for check in checks.values():
            if isinstance(check.get("Node"), str) and check["Node"]:
                return str(check["Node"])
        try:
            return str(self.fetch("/v1/agent/self")["Config"]["NodeName"])
        except (TypeError, LookupError):
            raise garbled("the agent itself") from None

    # --- writes ---

    def commit(self, operations: Sequence[Operation]) -> Committed | Rejected:
        """Carry out all operations, or none. Raises ConfigError for a new key that some Consul would refuse."""
        refuse_bad_names(operations)
        with writing("the transaction"):
            answer = self.client.http.put(
                _transaction_answer, "/v1/txn", data=json.dumps([o.to_json() for o in operations])
            )
        try:
            outcome = _outcome(answer, operations)
        except (TypeError, LookupError, AttributeError, ValueError):
            raise OutcomeUnknown("Consul took the transaction, and its answer is garbled") from None
        failures = outcome.failures if isinstance(outcome, Rejected) else ()
        if denied := [failure.operation.key for failure in failures if failure.forbidden]:
            raise forbidden(f"writing {', '.join(denied)}")
        return outcome

    def create_session(self, name: str, ttl_s: int, lock_delay_s: int) -> SessionID:
        """Create a session of this agent's node: behaviour delete, ended by serfHealth or by its TTL."""
        # The clients still write the field `Checks`, which Consul calls by other names since 1.7.
        wanted = {
            "Name": name,
            "Behavior": "delete",
            "TTL": f"{ttl_s}s",
            "LockDelay": f"{lock_delay_s}s",
            "NodeChecks": ["serfHealth"],
        }
        with writing("creating a session"):
            made = self.client.http.put(_json, "/v1/session/create", data=json.dumps(wanted))
        if not isinstance(made, dict) or not isinstance(made.get("ID"), str) or not made["ID"]:
            raise OutcomeUnknown("Consul made a session, and its answer is garbled")
        return SessionID(made["ID"])

    def renew_session(self, session: SessionID) -> bool:
        """Renew the session's TTL; False when Consul does not know it any more."""
        with writing("renewing a session"):
            return bool(self.client.http.put(_known, f"/v1/session/renew/{session}", data=""))

    def destroy_session(self, session: SessionID) -> None:
        """End the session. A lock it still holds is then under its lock delay: unlock first."""
        with writing("destroying a session"):
            self.client.session.destroy(session)


def connect(environ: Mapping[str, str] | None = None, *, call_timeout_s: float = HANDLER_TIMEOUT_S) -> Store:
    """Return the store of the agent that Consul's own `CONSUL_*` variables name. Sends nothing yet.

    Raises ConfigError naming the variable that cannot be used.
    """
    make_client = partial(client_for, settings_from(environ), call_timeout_s)
    return Store(make_client(), call_timeout_s, make_client)


def _refuse_all_but_absence(key: str, failure: Failure) -> None:
    """Raise ConsulError, unless a transaction gave no key because there is none."""
    if failure.forbidden:
        raise forbidden(f"key {key}")
    if not failure.absent:
        raise ConsulError(f"Consul cannot give key {key} ({failure.what})")


def _entry(item: Mapping[str, Any]) -> Entry:
    """Read a record of the KV store. Raises ConsulError where it is none."""
    try:
        return Entry(
            key=_typed(str, item["Key"]),
            value=base64.b64decode(_typed(str, item["Value"] or ""), validate=True),
            index=_typed(int, item["ModifyIndex"]),
            session=_typed(str, item.get("Session") or ""),
            lock_index=_typed(int, item.get("LockIndex", 0)),
            flags=_typed(int, item.get("Flags", 0)),
        )
    except (LookupError, TypeError, ValueError):
        raise garbled("a key") from None


def _outcome(answer: Mapping[str, Any], operations: Sequence[Operation]) -> Committed | Rejected:
    """Read the answer to a transaction. Raises LookupError, TypeError, AttributeError where it is none."""
    if failures := answer.get("Errors"):
        found = [(operations[_typed(int, f["OpIndex"])], _typed(str, f["What"])) for f in failures]
        return Rejected(tuple(Failure(operation, what) for operation, what in found))
    results = [result["KV"] for result in answer["Results"] or [] if result.get("KV")]
    indexes = {_typed(str, kv["Key"]): _typed(int, kv["ModifyIndex"]) for kv in results}
    if missing := [o.key for o in operations if o.verb in WRITING and o.key not in indexes]:
        raise LookupError(f"no result of {missing}")
    return Committed(indexes)


def _typed(kind: type[T], value: Any) -> T:
    if type(value) is not kind:
        raise TypeError(f"{type(value).__name__} for {kind.__name__}")
    return value


def _is_list_of(kind: type, value: Any) -> bool:
    return isinstance(value, builtins.list) and all(isinstance(item, kind) for item in value)


def _json(response: Any) -> Any:
    try:
        from consul.callback import CB
    except ImportError:  # python-consul has it elsewhere
        from consul.base import CB
    return CB.json()(response)


def _found(response: Any) -> Any:
    # For a 404 python-consul answers with a pair.
    return None if response.code == 404 else _json(response)


def _answer(response: Any) -> Any:
    return response, _found(response)


def _transaction_answer(response: Any) -> dict[str, Any]:
    # The client raises on 409 and drops which operation failed, which is what a refusal is about.
    if response.code in (200, 409):
        return json.loads(response.body)  # type: ignore[no-any-return]
    return _json(response)  # type: ignore[no-any-return]


def _known(response: Any) -> bool:
    return _found(response) is not None
