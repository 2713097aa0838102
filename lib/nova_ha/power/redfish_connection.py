"""What is said to a Redfish BMC and heard from it, through sushy's connector.

Of sushy its connector alone: its resources refuse a document in which a field is missing that they want and we do
not, and its sessions are not ended where the BMC names no Location.
"""

from __future__ import annotations

import http.client
import io
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
import requests.adapters
import sushy.connector
import sushy.exceptions
import urllib3.exceptions

from nova_ha.errors import ConfigError
from nova_ha.power.device import FenceDevice
from nova_ha.power.diagnosis import BMCTrouble
from nova_ha.power.redfish_answer import Document, body_of, document_in
from nova_ha.power.redfish_refusal import RedfishRefusal

# What asking can raise: the BMC's own troubles, and the network's.
FAILURES = (BMCTrouble, OSError, http.client.HTTPException, urllib3.exceptions.HTTPError)
# Longer than any call lasts: the process is ended before.
_FOR_EVER_S = 3600.0
_MOST_REDIRECTS = 3
_MOVED = {"GET": (301, 302, 303, 307, 308), "POST": (307, 308), "DELETE": (307, 308)}


@dataclass(frozen=True)
class RedfishSuccess:
    """A success of the BMC. The header's names are in lower case."""

    headers: Mapping[str, str]
    body: bytes


class RedfishConnection:
    """One connection, kept while the login lasts. What it raises is for `diagnosis.diagnose`."""

    def __init__(self, device: FenceDevice) -> None:
        host = f"[{device.host}]" if ":" in device.host else device.host
        self._connector = _Connector(f"https://{host}:{device.port}", CertificateRule.read(device.tls))
        self._headers = {"Connection": "keep-alive", "Accept": "application/json"}
        self._login: dict[str, Any] = {}

    def use_token(self, token: str) -> None:
        """Show this session's token from now on."""
        self._login = _login_by(token)

    def use_password(self, user: str, password: str) -> None:
        """Show name and password with each request from now on."""
        self._login = {"auth": (user.encode(), password.encode())}

    def get(self, path: str, timeout_s: float = _FOR_EVER_S) -> Document:
        """Return the document at the path. Raises RedfishRefusal, BMCTrouble, and what the network raises."""
        return document_in(self._ask("GET", path, timeout_s=timeout_s).body)

    def post(self, path: str, values: Mapping[str, str]) -> RedfishSuccess:
        """Send the values. Raises as `get`."""
        return self._ask("POST", path, data=dict(values))

    def delete(self, path: str, token: str = "") -> None:
        """Delete what is there: as whoever holds this token, where one is given. Raises as `get`."""
        self._ask("DELETE", path, login=_login_by(token) if token else None)

    def _ask(
        self,
        method: str,
        path: str,
        *,
        data: dict[str, str] | None = None,
        timeout_s: float = _FOR_EVER_S,
        login: dict[str, Any] | None = None,
    ) -> RedfishSuccess:
        """Ask, and follow the BMC where it says that this has another path now. It never leads to another machine."""
        shown = dict(self._login if login is None else login)
        headers = {**self._headers, **shown.pop("headers", {})}
        for _ in range(_MOST_REDIRECTS):
            where = own_path(path)
            answer = self._connector.ask(method, where, data=data, headers=headers, timeout=timeout_s, **shown)
            if answer.status_code < 300:
                return RedfishSuccess({name.lower(): value for name, value in answer.headers.items()}, answer.content)
            path = answer.headers.get("Location", "")
            if answer.status_code not in _MOVED[method] or not path:
                break
        raise RedfishRefusal(answer.status_code, answer.content)


def _login_by(token: str) -> dict[str, Any]:
    return {"headers": {"X-Auth-Token": token}}


def own_path(link: str) -> str:
    """Return a link's path at the BMC that gave it: what else may stand in it is the path to another machine."""
    parts = urlsplit(link)
    path = "/" + parts.path.lstrip("/")
    return f"{path}?{parts.query}" if parts.query else path


@dataclass(frozen=True)
class CertificateRule:
    """What a BMC's certificate must be: good by this machine's store of authorities, or this one, or any."""

    by_store: bool = False
    pin: str | None = None

    @classmethod
    def read(cls, tls: str) -> CertificateRule:
        """Read the setting.

        Raises ConfigError for anything but `verify`, `insecure` and `sha256:` with 64 hexadecimal digits (colons and
        capitals are fine).
        """
        if tls in ("verify", "insecure"):
            return cls(by_store=tls == "verify")
        algorithm, _, fingerprint = tls.partition(":")
        pin = fingerprint.replace(":", "").strip().lower()
        if algorithm != "sha256" or len(pin) != 64 or set(pin) - set("0123456789abcdef"):
            raise ConfigError(f"tls {tls!r} is not one of verify, sha256:<64 hexadecimal digits>, insecure")
        return cls(pin=pin)

    def of_pools(self) -> dict[str, Any]:
        """Return it as urllib3 takes it. A pinned certificate may be for any name, and past its end."""
        if self.by_store:
            return {"ssl_context": ssl.create_default_context(), "cert_reqs": "CERT_REQUIRED"}
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        pools = {"ssl_context": context, "cert_reqs": "CERT_NONE", "assert_hostname": False}
        return {**pools, "assert_fingerprint": self.pin} if self.pin else pools


class _Connector(sushy.connector.Connector):  # type: ignore[misc]
    """sushy's, but: a request is sent once, its answer is bounded, and our certificate rule holds.

    No proxy, .netrc or bundle of authorities of the environment is used: a BMC's password is for the BMC.
    """

    def __init__(self, url: str, rule: CertificateRule) -> None:
        # One try: sushy 5.14 repeats a POST whose answer was lost. Its callback comes before its own judgement,
        # which crashes on some vendors' bodies, and sleeps.
        super().__init__(url, verify=rule.by_store, response_callback=_refuse, server_side_retries=1)
        self._session.trust_env = False
        self._session.mount("https://", _Adapter(rule))

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send one request; a redirect is an answer. Raises RedfishRefusal, or what the network raised."""
        try:
            answer: requests.Response = self._op(method, path, allow_redirects=False, **options)
        except sushy.exceptions.ConnectionError as error:
            raise _innermost(error) from None
        return answer


def _refuse(answer: requests.Response) -> None:
    if answer.status_code >= 400:
        raise RedfishRefusal(answer.status_code, answer.content)


def _innermost(error: BaseException) -> BaseException:
    """Return what the network said: sushy, requests and urllib3 each wrap it once more."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return error


class _Adapter(requests.adapters.HTTPAdapter):
    """What requests sends with: bounded answers, and our rule in place of its own bundle of authorities."""

    def __init__(self, rule: CertificateRule) -> None:
        self._rule = rule
        super().__init__()

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, **options, **self._rule.of_pools())

    def cert_verify(self, *args: Any) -> None:
        """Leave the pool as it was made."""

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        answer = super().send(request, **{**options, "stream": True})
        raw = answer.raw
        try:
            answer.raw = io.BytesIO(body_of(raw))
        finally:
            raw.release_conn()
        return answer
