"""A Consul agent over HTTP whose answers are old, unless `consistent` is asked for: as after a new leader."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from nova_ha.consul.store import Store, connect
from nova_ha.consul.transaction import Committed, Entry, Operation

from kit.fakes.store import FakeStore


class LaggingAgent:
    """Answers from `now` where the question is consistent, and from `then` where it is not; writes go to `now`.

    Where `refusal` is set, every answer is that: an HTTP status with its text.
    """

    def __init__(self, now: FakeStore, then: FakeStore) -> None:
        self.now = now
        self.then = then
        self.refusal: tuple[int, str] | None = None
        self.asked: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> LaggingAgent:
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def store(self) -> Store:
        """The product's own store, as connected to this agent."""
        return connect({"CONSUL_HTTP_ADDR": f"127.0.0.1:{self._server.server_address[1]}"})

    def answer(self, path: str, asked: Mapping[str, Any]) -> tuple[int, str]:
        """Return the status and the body for a GET."""
        self.asked.append(path)
        if self.refusal:
            return self.refusal
        source = self.now if "consistent" in asked else self.then
        if path.startswith("/v1/kv/"):
            return _keys(source, unquote(path.removeprefix("/v1/kv/")), asked)
        if path == "/v1/agent/checks":
            return 200, json.dumps({"serfHealth": {"Node": source.node}})
        return 200, json.dumps(source.answers.get(path))

    def carry_out(self, operations: Any) -> tuple[int, str]:
        """Return the status and the body for a transaction."""
        if self.refusal:
            return self.refusal
        outcome = self.now.commit([_operation(**o["KV"]) for o in operations])
        if isinstance(outcome, Committed):
            results = [{"KV": {"Key": key, "ModifyIndex": index}} for key, index in outcome.indexes.items()]
            return 200, json.dumps({"Results": results, "Errors": None})
        places = {(o["KV"]["Verb"], o["KV"]["Key"]): at for at, o in enumerate(operations)}
        errors = [{"OpIndex": places[f.operation.verb, f.operation.key], "What": f.what} for f in outcome.failures]
        return 409, json.dumps({"Results": None, "Errors": errors})

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        agent = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                self._tell(*agent.answer(parts.path, parse_qs(parts.query, keep_blank_values=True)))

            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self._tell(*agent.carry_out(json.loads(body)))

            def _tell(self, status: int, body: str) -> None:
                self.send_response(status)
                self.send_header("X-Consul-Index", "1")
                self.send_header("Content-Length", str(len(body.encode())))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def _keys(source: FakeStore, path: str, asked: Mapping[str, Any]) -> tuple[int, str]:
    if "keys" in asked:
        return 200, json.dumps(list(source.keys(path)))
    found = source.list(path) if "recurse" in asked else [e for e in [source.get(path)] if e]
    return (200, json.dumps([_row(entry) for entry in found])) if found else (404, "")


def _row(entry: Entry) -> Mapping[str, Any]:
    return {
        "Key": entry.key,
        "Value": base64.b64encode(entry.value).decode() if entry.value else None,
        "ModifyIndex": entry.index,
        "LockIndex": entry.lock_index,
        "Flags": entry.flags,
        **({"Session": entry.session} if entry.session else {}),
    }


def _operation(Verb: str, Key: str, Value: str | None = None, **others: Any) -> Operation:
    value = None if Value is None else base64.b64decode(Value)
    return Operation(Verb, Key, value, **{name.lower(): other for name, other in others.items()})
