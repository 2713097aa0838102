"""A simulated OpenStack: enough of Keystone, Nova, Placement and Glance for python-novaclient to work unchanged.

It holds state and does nothing by halves: services report and fall silent, evacuations take their time and go
wrong as the real ones do (measured, see tests/nova), guests run on hosts and can be seen to run twice. Nothing
is kept on disk. User `admin`, password `secret`, project `admin`; user `member` is no administrator.

    python -m nova_ha.sandbox.nova --address 127.0.0.1 --port 0 --hosts compute-1,compute-2,ha-1

prints its URL (`OS_AUTH_URL` is that + `/identity/v3`), and ends with its standard input or on SIGTERM.

Endpoints for a rehearsal and its auditor, without a token:

    GET    /sandbox/hosts      each host: its service as Nova shows it, `powered`, `alive` (its nova-compute works)
    POST   /sandbox/hosts      {name, inventory: {VCPU: 64, ...}, reports_itself: true}
    POST   /sandbox/heartbeat  {host, boot}: a report of the host's own process, every second. From the first one on,
                               the host lives by its heartbeats only; a new `boot` is a restart of its nova-compute,
                               which cleans evacuated servers before it reports. 409 while powered off
    POST   /sandbox/power      {host, on}: off ends nova-compute and guests; on starts nova-compute again where
                               the host reports by itself
    POST   /sandbox/compute    {host, running}: kill nova-compute (guests run on), or start it
    POST   /sandbox/servers    {host, name, flavor, vm_state, task_state, metadata, tags, image_id, ...} -> {id}
    PUT    /sandbox/servers/ID {vm_state, task_state, ...}: change fields of a server in Nova's database
    DELETE /sandbox/servers/ID forget a server with its guests and its evacuations, at once
    POST   /sandbox/flavors    {name, extra_specs, size: {VCPU: 1, ...}} -> {id}
    POST   /sandbox/images     {name, properties, tags, id} -> {id}
    GET    /sandbox/guests     {guests: {server: {host: runs there}}, overlaps: [{server, hosts, since}]}
    GET    /sandbox/requests   every request: {at, client, method, path, query, action, body, status}; `client` is the
                               address that it came from; status 0: not answered
    GET    /sandbox/history    {runs: [{server, host, began, ended}], evacuations: [{id, server, source, destination,
                               began, status, ended}]}, all that there ever were; `ended` null: not yet
    DELETE /sandbox/history    forget the requests until now, and what of the history is over: for runs of hours
    POST   /sandbox/faults     {errors: FAULT or [FAULT...], fail_spawn: [server or host...],
                               slow_spawn: {server or host: seconds}, forget_tokens: true}, added to those in force
    DELETE /sandbox/faults     end all of them

A FAULT is {match, status, lost, acts, delay_s, times}, see `faults.Fault`: {"match": "evacuate", "status": 500,
"times": 3} refuses three evacuations, {"match": "evacuate", "lost": true, "acts": true} does them and never answers.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from nova_ha.clock import Clock, SystemClock, to_stamp
from nova_ha.sandbox.nova.api import ComputeAPI, Version
from nova_ha.sandbox.nova.endpoints import PREFIX, Control
from nova_ha.sandbox.nova.faults import Fault, Faults
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
        fault = self.faults.strike(request.line) or Fault()
        entry = self._record(request)
        answer = self._dispatch(self._routes, request) if fault.carried_out else Response()
        if fault.lost:
            threading.Event().wait(fault.delay_s)
            raise Lost
        if fault.status is not None:
            answer = Refusal(fault.status, "This is a fault of the simulator's.").answer()
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
