"""A stand-in for an agent's HTTP API, on TCP or a unix socket: it keeps what it is asked, and answers as told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import BaseServer, ThreadingTCPServer, ThreadingUnixStreamServer
from typing import ClassVar

Answer = tuple[int, Mapping[str, str], bytes]
ABSENT: Answer = (404, {"X-Consul-Index": "1"}, b"")


class Listening:
    """An agent that listens; `asked` has path and headers of each request, `address` is for CONSUL_HTTP_ADDR.

    A connection is kept until its client closes it; `connections` counts them.
    """

    def __init__(self, server: BaseServer, address: str) -> None:
        self.server = server
        self.address = address
        self.asked: list[tuple[str, Mapping[str, str]]] = []
        self.connections = 0


@contextmanager
def listening(
    socket: Path | None = None, answer: Callable[[str], Answer | None] = lambda path: ABSENT
) -> Iterator[Listening]:
    """Listen until the end of the block. Where `answer` is None the connection is closed without a word."""

    class Handler(BaseHTTPRequestHandler):
        agent: ClassVar[Listening]
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            self.agent.connections += 1

        def do_GET(self) -> None:
            self.agent.asked.append((self.path, dict(self.headers)))
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if (said := answer(self.path)) is None:
                self.close_connection = True
                return
            code, headers, body = said
            self.send_response(code)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_PUT = do_POST = do_GET

        def log_message(self, *args: object) -> None:
            pass

    server: ThreadingTCPServer | ThreadingUnixStreamServer
    if socket is None:
        server = ThreadingTCPServer(("127.0.0.1", 0), Handler)
        address = f"http://127.0.0.1:{server.server_address[1]}"
    else:
        server, address = ThreadingUnixStreamServer(str(socket), Handler), f"unix://{socket}"
    server.daemon_threads = True
    Handler.agent = Listening(server, address)
    worker = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    worker.start()
    try:
        yield Handler.agent
    finally:
        server.shutdown()
        worker.join()
        server.server_close()
