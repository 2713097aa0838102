"""Redfish BMCs for the tests: OpenStack's `sushy-emulator`, which is not ours, and a small one that can misbehave.

sushy-emulator knows neither sessions nor refusals; what it does know, it judges independently. The small one
keeps sessions as real BMCs do, and does on request what vendors were seen to do.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import gzip
import hashlib
import http.client
import ipaddress
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import bcrypt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from nova_ha.power.device import FenceDevice

from kit.machines.processes import unmarked_environment

USER = "ADMIN"
PASSWORD = "s3cret-of-the-bmc"
_BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate for one address, with its key, in files."""

    chain: Path
    key: Path
    fingerprint: str


def make_certificate(folder: Path, host: str) -> Certificate:
    """Write a certificate that is good for the address for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    chain, secret = folder / "bmc.crt", folder / "bmc.key"
    chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pem, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, pem, plain))
    der = certificate.public_bytes(serialization.Encoding.DER)
    return Certificate(chain, secret, hashlib.sha256(der).hexdigest())


@dataclass(frozen=True)
class SushyBMC:
    """A running sushy-emulator with one system."""

    host: str
    port: int
    system: str
    certificate: Certificate

    @property
    def device(self) -> FenceDevice:
        """Where and how to log in to it; its certificate is pinned."""
        tls = f"sha256:{self.certificate.fingerprint}"
        return FenceDevice("redfish", self.host, self.port, USER, PASSWORD, tls)


@contextlib.contextmanager
def start_sushy(folder: Path, host: str, port: int = 443, *, power: str = "On") -> Iterator[SushyBMC]:
    """Run a sushy-emulator at the address while the block lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    bmc = SushyBMC(host, port, str(uuid.uuid4()), make_certificate(folder, host))
    systems = [{"uuid": bmc.system, "name": "host", "power_state": power, "external_notifier": False, "nics": []}]
    digest = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(rounds=4)).decode()
    (folder / "users").write_text(f"{USER}:{digest}\n")
    settings = {
        "SUSHY_EMULATOR_FAKE_DRIVER": True,
        "SUSHY_EMULATOR_FAKE_SYSTEMS": systems,
        "SUSHY_EMULATOR_STATE_DIR": str(folder),
        "SUSHY_EMULATOR_AUTH_FILE": str(folder / "users"),
    }
    (folder / "sushy.conf").write_text("".join(f"{name} = {value!r}\n" for name, value in settings.items()))
    command = [sys.executable, "-m", "sushy_tools.emulator.main", "--config", str(folder / "sushy.conf")]
    command += ["-i", host, "-p", str(port), "--fake"]
    command += ["--ssl-certificate", str(bmc.certificate.chain), "--ssl-key", str(bmc.certificate.key)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=unmarked_environment()
        )
    try:
        _wait_until_it_answers(process, bmc, folder / "log")
        yield bmc
    finally:
        process.kill()
        process.wait(timeout=10)


def _wait_until_it_answers(process: subprocess.Popen[bytes], bmc: SushyBMC, log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            trusting = ssl._create_unverified_context()
            client = http.client.HTTPSConnection(bmc.host, bmc.port, timeout=1, context=trusting)
            client.request("GET", "/redfish/v1/")
            client.getresponse().read()
            return
    raise RuntimeError(f"the sushy-emulator at {bmc.host}:{bmc.port} does not answer:\n{log.read_text()}")


@dataclass
class FakeRedfish:
    """The state of the small Redfish BMC. Change a field, and it behaves so from the next request on.

    `refuses` answers a power-off with this HTTP status; `goes_off_first` lets the host go off at that moment.
    `lies` takes a power-off and does nothing; `drops` closes the connection instead of answering it.
    `stalls` never answers anything, `stalls_at` nothing at these paths. `floods` answers each question about the
    system with so many spaces first, which are nothing in JSON, `packs` sends it packed, and `unsized` says no
    length; `drips` sends a byte at a time.

    `pages` are recorded bodies, with their status, that stand in place of its own; `resets` are the ones it offers,
    `role` is the account's, `manager` the state of itself. `location` is how it says where a session is, None not at
    all; its body says so with `body_names_session`. `most_sessions` is how many it has, `basic` says that it takes a
    password with each request, `csrf` that it wants a second
    header beside the token, else answers with this status. `moved` redirects a path.
    """

    host: str
    port: int
    fingerprint: str = ""
    power: str | None = "On"
    uuid: str | None = "4C4C4544-0042-3510-8052-B4C04F4D3132"
    serial: str | None = "CZJ12345"
    refuses: int = 0
    goes_off_first: bool = False
    lies: bool = False
    drops: bool = False
    stalls: bool = False
    stalls_at: set[str] = field(default_factory=set)
    pages: dict[str, tuple[int, Any]] = field(default_factory=dict)
    resets: tuple[str, ...] | None = ("On", "ForceOff", "GracefulShutdown", "ForceRestart")
    role: str = "Administrator"
    manager: str | None = "Enabled"
    location: str | None = "https://bmc.example{path}"
    body_names_session: bool = True
    most_sessions: int = 8
    basic: bool = False
    csrf: int = 0
    moved: dict[str, str] = field(default_factory=dict)
    broken_json: bool = False
    floods: int = 0
    packs: bool = False
    unsized: bool = False
    drips: bool = False
    down: bool = False
    sessions: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    logins: int = 0
    offs: int = 0
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def device(self) -> FenceDevice:
        """Where and how to log in to it; its certificate is pinned."""
        return FenceDevice("redfish", self.host, self.port, USER, PASSWORD, f"sha256:{self.fingerprint}")


@contextlib.contextmanager
def start_fake_redfish(
    folder: Path, host: str, port: int = 443, *, newest_tls: ssl.TLSVersion | None = None
) -> Iterator[FakeRedfish]:
    """Run the small BMC at the address while the block lasts; with `newest_tls` it speaks nothing newer."""
    certificate = make_certificate(folder, host)

    class Handler(_Handler):
        """Of this BMC."""

    server = _QuietServer((host, port), Handler)
    state = Handler.bmc = FakeRedfish(host, server.server_port, certificate.fingerprint)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    if newest_tls:
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, newest_tls
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.closing.set()
        server.shutdown()
        server.server_close()


_ROOT = {
    "RedfishVersion": "1.15.0",
    "Systems": {"@odata.id": "/redfish/v1/Systems"},
    "Managers": {"@odata.id": "/redfish/v1/Managers"},
    "AccountService": {"@odata.id": "/redfish/v1/AccountService"},
    "SessionService": {"@odata.id": "/redfish/v1/SessionService"},
}
SYSTEM = "/redfish/v1/Systems/1"
RESET = f"{SYSTEM}/Actions/ComputerSystem.Reset"
SESSIONS = "/redfish/v1/SessionService/Sessions"
MANAGER = "/redfish/v1/Managers/1"
ACCOUNTS = "/redfish/v1/AccountService/Accounts"
_MEMBERS = {"/redfish/v1/Systems": SYSTEM, "/redfish/v1/Managers": MANAGER, ACCOUNTS: f"{ACCOUNTS}/2"}


def error(name: str, message: str = "") -> dict[str, Any]:
    """Return the body of an error as most BMCs write it."""
    told = [{"MessageId": name, "Message": message or f"{name} says the BMC"}]
    return {"error": {"code": name, "@Message.ExtendedInfo": told}}


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet of clients that were ended in the middle."""


class _Handler(BaseHTTPRequestHandler):
    bmc: FakeRedfish

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        self._note()
        if self._is_elsewhere():
            return None
        if self.path.rstrip("/") == "/redfish/v1" and self.path not in self.bmc.pages:
            return self._answer(503 if self.bmc.down else 200, _ROOT)
        if not self._is_logged_in() and self.path.rstrip("/") != "/redfish/v1":
            return self._refuse(self.bmc.csrf or 401, "Base.1.8.NoValidSession")
        if self.path in self.bmc.pages:
            return self._answer(*self.bmc.pages[self.path])
        if self.path in _MEMBERS:
            return self._answer(200, {"Members": [{"@odata.id": _MEMBERS[self.path]}]})
        pages: dict[str, Callable[[], dict[str, Any]]] = {
            SYSTEM: self._system,
            MANAGER: lambda: {"Id": "1", "Status": {"State": self.bmc.manager}},
            f"{ACCOUNTS}/2": lambda: {"UserName": USER, "RoleId": self.bmc.role},
            "/redfish/v1/AccountService": lambda: {"Accounts": {"@odata.id": ACCOUNTS}},
        }
        page = pages.get(self.path)
        return self._answer(200, page()) if page else self._refuse(404, "Base.1.8.ResourceMissingAtURI")

    def do_POST(self) -> None:
        self._note()
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self._is_elsewhere():
            return None
        if self.path == SESSIONS:
            return self._log_in(body)
        if self.path.endswith("/Actions/ComputerSystem.Reset") and self._is_logged_in():
            return self._reset(body["ResetType"])
        return self._refuse(401, "Base.1.8.NoValidSession")

    def do_DELETE(self) -> None:
        self._note()
        if not self._is_logged_in():
            return self._refuse(401, "Base.1.8.NoValidSession")
        self.bmc.sessions.discard(self.path.rpartition("/")[2])
        return self._answer(204, None)

    def _note(self) -> None:
        self.bmc.asked.append(f"{self.command} {self.path}")
        if self.path in self.bmc.stalls_at:
            self.bmc.closing.wait(60)

    def _is_elsewhere(self) -> bool:
        if self.path not in self.bmc.moved:
            return False
        self._answer(308, None, {"Location": self.bmc.moved[self.path]})
        return True

    def _system(self) -> dict[str, Any]:
        reset: dict[str, Any] = {"target": RESET}
        if self.bmc.resets is not None:
            reset["ResetType@Redfish.AllowableValues"] = self.bmc.resets
        return {
            "PowerState": self.bmc.power,
            "UUID": self.bmc.uuid,
            "SerialNumber": self.bmc.serial,
            "Actions": {"#ComputerSystem.Reset": reset},
        }

    def _log_in(self, body: dict[str, str]) -> None:
        if (body["UserName"], body["Password"]) != (USER, PASSWORD):
            return self._refuse(401, "Base.1.8.NoValidSession")
        if "POST" in self.bmc.pages:
            return self._answer(*self.bmc.pages["POST"])
        if len(self.bmc.sessions) >= self.bmc.most_sessions:
            return self._refuse(503, "Base.1.8.SessionLimitExceeded")
        token = uuid.uuid4().hex
        self.bmc.sessions.add(token)
        self.bmc.logins += 1
        headers = {"X-Auth-Token": token}
        if self.bmc.location is not None:
            headers["Location"] = self.bmc.location.format(path=f"{SESSIONS}/{token}")
        names = {"@odata.id": f"{SESSIONS}/{token}"} if self.bmc.body_names_session else {"Id": token}
        return self._answer(201, names, headers)

    def _is_logged_in(self) -> bool:
        if self.bmc.basic and self.headers.get("Authorization") == _BASIC:
            return True
        return self.headers.get("X-Auth-Token") in self.bmc.sessions and not self.bmc.csrf

    def _reset(self, kind: str) -> None:
        self.bmc.offs += kind == "ForceOff"
        if self.bmc.goes_off_first:
            self.bmc.power = "Off"
        if "reset" in self.bmc.pages:
            return self._answer(*self.bmc.pages["reset"])
        if self.bmc.refuses:
            return self._refuse(self.bmc.refuses, "Base.1.8.ActionNotSupported")
        if not self.bmc.lies:
            self.bmc.power = "Off"
        if self.bmc.drops:
            self.connection.shutdown(socket.SHUT_RDWR)
            return None
        return self._answer(204, None)

    def _refuse(self, status: int, message: str) -> None:
        self._answer(status, error(message))

    def _answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        if self.bmc.stalls:
            self.bmc.closing.wait(60)
        text = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        if self.bmc.broken_json:
            text = text[: len(text) // 2]
        headers = dict(headers or {})
        if self.path == SYSTEM:
            text = b" " * self.bmc.floods + text
        if self.bmc.packs:
            text = gzip.compress(text, 9)
            headers["Content-Encoding"] = "gzip"
        if not self.bmc.unsized:
            headers["Content-Length"] = str(len(text))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.bmc.drips and self.path == SYSTEM:
            self._drip(text)
        else:
            self.wfile.write(text)

    def _drip(self, text: bytes) -> None:
        for byte in text:
            self.wfile.write(bytes([byte]))
            if self.bmc.closing.wait(0.2):
                return
