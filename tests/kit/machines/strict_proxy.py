"""An agent's HTTP API behind the rules that came later than Consul 1.8: what breaks one is refused, and noted.

with StrictProxy(agent.http_address, "127.0.0.1") as proxy:
    store = connect({"CONSUL_HTTP_ADDR": proxy.address})
    ...
assert proxy.violations == []

Unlike a real server of one version it has the rules of several; what it lets pass, all of them take.
"""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

KV, TRANSACTION = "/v1/kv/", "/v1/txn"
# Today's defaults: `kv_max_value_size` and `txn_max_req_len`, and how many operations one transaction may have.
MOST_BYTES = 512 * 1024
MOST_OPERATIONS = 128
UPSTREAM_TIMEOUT_S = 600.0
# These are about one connection, not about what is sent over it.
HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length", "host")


@dataclass(frozen=True)
class Request:
    """What a client has sent."""

    method: str
    target: str
    headers: Any
    body: bytes

    @property
    def path(self) -> str:
        """The path as it was meant, `%3A` read as a colon."""
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, str]:
        """The parameters."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def writes(self) -> bool:
        """True where it has, or may have, a body for the KV store."""
        return self.method in ("PUT", "POST") and self.path.startswith((KV, TRANSACTION))

    @property
    def operations(self) -> Sequence[Any]:
        """A transaction's operations on the KV store."""
        return [one["KV"] for one in json.loads(self.body)] if self.path == TRANSACTION else []


@dataclass(frozen=True)
class Refusal:
    """How a server answers what it does not take."""

    status: int
    words: str


Rule = Callable[[Request], Refusal | None]


def letters_of_1_21_5(request: Request) -> Refusal | None:
    """Take no other characters than these in a key's name in an address."""
    name = request.path.removeprefix(KV)
    bad = request.path.startswith(KV) and not re.fullmatch(r"[a-zA-Z0-9,_./\-?&=]*", name)
    return Refusal(500, f"Invalid key name {name!r}") if bad else None


def ends_of_1_22(request: Request) -> Refusal | None:
    """Take no way up, and no blanks at either end of a key's name in an address."""
    name = request.path.removeprefix(KV)
    bad = request.path.startswith(KV) and (".." in name or name != name.strip())
    return Refusal(400, f"Invalid key name {name!r}") if bad else None


def bounded(request: Request) -> Refusal | None:
    """Take no write to the KV store that does not say its length, is too long, or has too many operations."""
    if not request.writes:
        return None
    length = request.headers.get("Content-Length")
    if length is None:
        return Refusal(411, "Content-Length is missing")
    if int(length) > MOST_BYTES:
        return Refusal(413, f"Request body too large: {length} bytes")
    many = len(request.operations)
    return Refusal(413, f"Transaction has {many} operations") if many > MOST_OPERATIONS else None


def token_in_the_header(request: Request) -> Refusal | None:
    """Take no token in an address, where every log has it."""
    return Refusal(403, "token in the address") if "token" in request.query else None


EVERY_RULE: Sequence[Rule] = (token_in_the_header, letters_of_1_21_5, ends_of_1_22, bounded)


class StrictProxy:
    """It serves on a port of its own while it is entered. `host` is the address that it listens on.

    `violations` has what was refused, `written` every key that was written or deleted, `limited` how many requests
    were answered 429.
    """

    def __init__(self, agent: str, host: str, rules: Sequence[Rule] = EVERY_RULE) -> None:
        self.rules = rules
        self.violations: list[str] = []
        self.written: set[str] = set()
        self.limited = 0
        self._agent = agent
        self._to_limit = 0
        self._alone = threading.Lock()
        self._server = ThreadingHTTPServer((host, 0), self._handler(), bind_and_activate=True)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> StrictProxy:
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def address(self) -> str:
        """Where it listens, as CONSUL_HTTP_ADDR takes it."""
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    def limit_rate(self, count: int) -> None:
        """Answer the next `count` requests with 429; 0 ends it."""
        with self._alone:
            self._to_limit = count

    def refusal(self, request: Request) -> Refusal | None:
        """Return why the request is not handed on, and note it."""
        with self._alone:
            if self._to_limit:
                self._to_limit -= 1
                self.limited += 1
                return Refusal(429, "rate limit exceeded, try again later or against a different server")
            for rule in self.rules:
                if refused := rule(request):
                    self.violations.append(f"{request.method} {request.target}: {refused.words}")
                    return refused
            self.written.update(_written_by(request))
        return None

    def ask_agent(self, request: Request) -> tuple[int, Any, bytes]:
        """Hand the request on, and return the answer."""
        connection = http.client.HTTPConnection(self._agent, timeout=UPSTREAM_TIMEOUT_S)
        try:
            headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
            connection.request(request.method, request.target, request.body, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Headers and body are two packets: without it the second waits for the first one's receipt.
            disable_nagle_algorithm = True

            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                request = Request(self.command, self.path, self.headers, self.rfile.read(length))
                if refused := proxy.refusal(request):
                    again = {"Retry-After": "1"} if refused.status == 429 else {}
                    return self._answer(refused.status, again, refused.words.encode())
                try:
                    return self._answer(*proxy.ask_agent(request))
                except (OSError, http.client.HTTPException):
                    # As where the agent itself has gone: the connection ends without a word.
                    self.close_connection = True
                    return None

            def _answer(self, status: int, headers: Any, body: bytes) -> None:
                self.send_response_only(status)
                for name, value in headers.items():
                    if name.lower() not in HOP_BY_HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_PUT = do_POST = do_DELETE = _serve

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing: the agent has a log."""

        return Handler


def _written_by(request: Request) -> set[str]:
    if request.path == TRANSACTION:
        return {one["Key"] for one in request.operations if not one["Verb"].startswith(("check-", "get"))}
    return {request.path.removeprefix(KV)} if request.path.startswith(KV) and request.method != "GET" else set()
