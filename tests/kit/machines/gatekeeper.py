"""A reverse proxy before an agent, as an operator may have one: it demands an account, and strips a path."""

from __future__ import annotations

import base64
import http.client
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from nova_ha.sandbox.certificates import Certificate
from nova_ha.sandbox.consul import Agent
from nova_ha.sandbox.network import CONSUL_HTTP

PREFIX = "/some/consul"


class Gatekeeper:
    """Hands on what comes with `user:password` and below PREFIX; 401 and 404 for the rest. `passed` counts."""

    def __init__(self, agent: Agent, address: str, account: str, certificate: Certificate | None = None) -> None:
        self.agent = agent
        self.expected = "Basic " + base64.b64encode(account.encode()).decode()
        self.passed = self.turned_away = 0
        self._server = ThreadingHTTPServer((address, 0), type("Handler", (_Handler,), {"gatekeeper": self}))
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.cert, certificate.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if certificate else "http"
        self.http_address = f"{scheme}://{address}:{self._server.server_address[1]}{PREFIX}"
        self._worker = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> Gatekeeper:
        self._worker.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._server.shutdown()
        self._worker.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    gatekeeper: Gatekeeper

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != self.gatekeeper.expected:
            self.gatekeeper.turned_away += 1
            self._answer(401, {"WWW-Authenticate": "Basic"}, b"<h1>401 Authorization Required</h1>")
        elif not self.path.startswith(PREFIX + "/v1/"):
            self._answer(404, {}, b"<h1>404 Not Found</h1>")
        else:
            self.gatekeeper.passed += 1
            self._answer(*self._asked_of_the_agent(body))

    do_PUT = do_POST = do_GET

    def _asked_of_the_agent(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self.gatekeeper.agent.address, CONSUL_HTTP, timeout=30)
        try:
            kept = {name: value for name, value in self.headers.items() if name.startswith("X-Consul-")}
            connection.request(self.command, self.path.removeprefix(PREFIX), body, kept)
            answer = connection.getresponse()
            return answer.status, {n: v for n, v in answer.getheaders() if n.startswith("X-Consul-")}, answer.read()
        finally:
            connection.close()

    def _answer(self, code: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass
