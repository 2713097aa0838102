"""The HTTP under the simulated OpenStack: requests and answers as values, routes, the log, and the server itself."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

NAMES = {400: "badRequest", 401: "unauthorized", 403: "forbidden", 404: "itemNotFound", 409: "conflictingRequest"}


@dataclass(frozen=True)
class Request:
    """One request. `base` is the URL of the simulator; `client` the address that it came from; `action` the key of an
    action's body.
    """

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    headers: Mapping[str, str]
    base: str
    client: str = ""

    @property
    def action(self) -> str:
        named = self.path.endswith("/action") and isinstance(self.body, dict) and self.body
        return str(next(iter(self.body))) if named else ""

    @property
    def line(self) -> str:
        return f"{self.method} {self.path} {self.action}".rstrip()


@dataclass(frozen=True)
class Response:
    """One answer; a body of None is empty. `delay_s` comes before it, with no lock held."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0


class Refusal(Exception):
    """An error as the API answers it."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        self.message = message
        super().__init__(message)

    def answer(self) -> Response:
        name = NAMES.get(self.status, "computeFault")
        return Response(self.status, {name: {"code": self.status, "message": self.message}})


class Lost(Exception):
    """The connection is to be closed without an answer."""


Respond = Callable[..., Response]


@dataclass(frozen=True)
class Route:
    """A method and a path pattern; its named groups become keyword arguments of `respond`."""

    method: str
    pattern: re.Pattern[str]
    respond: Respond


def route(method: str, pattern: str, respond: Respond) -> Route:
    """Make a route: `{name}` stands for one segment of the path."""
    return Route(method, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern) + "/?"), respond)


def dispatch(routes: Sequence[Route], request: Request) -> Response:
    """Answer by the first route that fits. Raises Refusal 404 where none does."""
    for candidate in routes:
        match = candidate.pattern.fullmatch(request.path)
        if match and candidate.method == request.method:
            return candidate.respond(request, **match.groupdict())
    raise Refusal(404, f"The resource could not be found: {request.line}")


class Handler(BaseHTTPRequestHandler):
    """Reads a request, hands it on, writes the answer in one piece. Keeps connections open, as real APIs do."""

    protocol_version = "HTTP/1.1"
    server: SimulatorServer

    def _handle(self) -> None:
        request = self._read()
        try:
            answer = self.server.respond(request)
        except Lost:
            self.close_connection = True
            return
        if answer.delay_s:
            time.sleep(answer.delay_s)
        with suppress(ConnectionError):
            self._write(answer)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _handle

    def _read(self) -> Request:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        host = self.headers.get("Host", "")
        body = json.loads(raw) if raw else None
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Request(self.command, url.path, query, body, headers, f"http://{host}", self.client_address[0])

    def _write(self, answer: Response) -> None:
        payload = b"" if answer.body is None else json.dumps(answer.body).encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        request_id = f"req-{uuid.uuid4()}"
        ids = {"x-compute-request-id": request_id, "x-openstack-request-id": request_id}
        for name, value in {**ids, **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(payload if self.command != "HEAD" else b"")

    def date_time_string(self, timestamp: float | None = None) -> str:
        return format_datetime(self.server.now(), usegmt=True)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the simulator has a log of its own."""


class SimulatorServer(ThreadingHTTPServer):
    """A server that answers by one function, with the simulator's own clock in its `Date`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, address: tuple[str, int], respond: Callable[[Request], Response], now: Callable[[], datetime]
    ) -> None:
        super().__init__(address, Handler)
        self.respond = respond
        self.now = now
