"""The server of the simulated OpenStack: its state and its life put together. See `nova_ha.sandbox.nova`."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from nova_ha.clock import Clock, SystemClock, to_stamp
from nova_ha.sandbox.nova.api import ComputeAPI, Version
from nova_ha.sandbox.nova.endpoints import PREFIX, Control
from nova_ha.sandbox.nova.faults import Faults, NovaFault
from nova_ha.sandbox.nova.history import History
from nova_ha.sandbox.nova.http import Lost, Refusal, Request, Response, SimulatorServer, dispatch
from nova_ha.sandbox.nova.keystone import PREFIX as IDENTITY
from nova_ha.sandbox.nova.keystone import Identity
from nova_ha.sandbox.nova.life import advance
from nova_ha.sandbox.nova.neighbours import Neighbours
from nova_ha.sandbox.nova.state import Cloud, SimulatedServer, Timing

TICK_S = 0.05


class NovaSimulator:
    """The simulated cloud and its server. `control` does what the `/sandbox/` endpoints do, under `cloud.lock`."""

    def __init__(self, timing: Timing | None = None, clock: Clock | None = None, highest: Version = (2, 104)) -> None:
        self.cloud = Cloud(timing or Timing(), clock or SystemClock())
        self.identity = Identity()
        self.faults = Faults()
        self.control = Control(self.cloud, self.identity, self.faults)
        self.history = History(self.cloud)
        self.requests: list[Mapping[str, Any]] = []
        compute = ComputeAPI(self.cloud, self.identity, highest)
        self._routes = [
            *self.identity.routes(),
            *compute.routes(),
            *Neighbours(self.cloud, self.identity).routes(),
        ]
        self._server: SimulatorServer | None = None
        self._stopping = threading.Event()

    def start(self, address: str, port: int = 0) -> str:
        """Serve in threads of this process; return the URL, without a path."""
        self._server = SimulatorServer((address, port), self.respond, self.cloud.now)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        threading.Thread(target=self._tick, daemon=True).start()
        return f"http://{address}:{self._server.server_address[1]}"

    def stop(self) -> None:
        """Close the server's socket; requests under way are not waited for."""
        self._stopping.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def add_host(self, name: str, **fields: Any) -> None:
        """As `POST /sandbox/hosts`."""
        with self.cloud.lock:
            self.control.add_host(name, **fields)

    def add_server(self, host: str, name: str, **fields: Any) -> SimulatedServer:
        """As `POST /sandbox/servers`; the returned record is the live one."""
        with self.cloud.lock:
            return self.control.add_server(host, name, **fields)

    def _tick(self) -> None:
        while not self._stopping.wait(TICK_S):
            with self.cloud.lock:
                advance(self.cloud)
                self.history.look()

    # --- answering

    def respond(self, request: Request) -> Response:
        """Answer one request: faults first, then the API. Raises Lost where no answer is to be given."""
        if request.path.startswith(PREFIX):
            return self._control(request)
        fault = self.faults.strike(request.line) or NovaFault()
        entry = self._record(request)
        answer = self._dispatch(self._routes, request) if fault.carried_out else Response()
        if fault.lost:
            threading.Event().wait(fault.delay_s)
            raise Lost
        if fault.status is not None:
            answer = Refusal(fault.status, "This is a fault of the simulator's.").answer()
            if fault.retry_after_s is not None:
                answer = replace(answer, headers={**answer.headers, "Retry-After": str(fault.retry_after_s)})
        entry["status"] = answer.status
        return Response(answer.status, answer.body, answer.headers, answer.delay_s + fault.delay_s)

    def _control(self, request: Request) -> Response:
        if request.line == f"GET {PREFIX}/requests":
            return Response(200, {"requests": list(self.requests)})
        if request.line == f"GET {PREFIX}/history":
            with self.cloud.lock:
                return Response(200, self.history.to_json())
        if request.line == f"DELETE {PREFIX}/history":
            with self.cloud.lock:
                self.requests.clear()
                self.history.forget()
            return Response(204)
        return self._dispatch(self.control.routes(), request)

    def _dispatch(self, routes: Sequence[Any], request: Request) -> Response:
        with self.cloud.lock:
            advance(self.cloud)
            self.history.look()
            try:
                answer = dispatch(routes, request)
            except Refusal as refused:
                answer = refused.answer()
            self.history.look()
        version = request.headers.get("openstack-api-version")
        return Response(
            answer.status,
            answer.body,
            {**answer.headers, **({"OpenStack-API-Version": version} if version else {})},
            answer.delay_s,
        )

    def _record(self, request: Request) -> dict[str, Any]:
        secret = request.path.startswith(IDENTITY)
        entry = {
            "at": to_stamp(self.cloud.now()),
            "client": request.client,
            "method": request.method,
            "path": request.path,
            "query": dict(request.query),
            "action": request.action,
            "body": None if secret else request.body,
            "status": 0,
        }
        self.requests.append(entry)
        return entry


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until standard input ends or SIGTERM comes, so that no simulator outlives the one that started it."""
    parser = argparse.ArgumentParser(prog="python -m nova_ha.sandbox.nova", description="A simulated OpenStack")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--hosts", default="", help="comma-separated names")
    parser.add_argument("--service-down-time", type=float, default=Timing.service_down_time_s)
    parser.add_argument("--rebuild", type=float, default=Timing.rebuild_s, help="seconds that one rebuild takes")
    parser.add_argument("--by-heartbeat", action="store_true", help="hosts are down until their first heartbeat")
    options = parser.parse_args(argv)
    timing = Timing(service_down_time_s=options.service_down_time, rebuild_s=options.rebuild)
    simulator = NovaSimulator(timing)
    for name in filter(None, options.hosts.split(",")):
        simulator.add_host(name, reports_itself=not options.by_heartbeat)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(simulator.start(options.address, options.port), flush=True)
    sys.stdin.read()
    simulator.stop()
    return 0
