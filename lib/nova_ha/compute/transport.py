"""The HTTP transport under every call to Nova: one deadline per call, and what is known of a request that failed.

A call of ours may be several requests (a token, the call, a new token, the call again). All of them share one
deadline, and none is sent after it: the lock of whoever asks is proved for so long and no longer. Loaded lazily, with
`requests`: see `nova.connect`.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

# The share of what is left of a call that its TCP connection may take: a host that is gone is noticed, and an answer
# that is merely slow still has most of the time.
CONNECT_SHARE = 0.25


@dataclass
class Call:
    """One call of ours while it runs. `maybe_done` is True once a write may have reached the service.

    `answer` is what came last; None where no request was answered.
    """

    deadline: float
    maybe_done: bool = False
    answer: requests.Response | None = None

    def left_s(self) -> float:
        return self.deadline - time.monotonic()


_current: ContextVar[Call | None] = ContextVar("nova_call", default=None)


@contextmanager
def call_within(seconds: float) -> Iterator[Call]:
    """Bound all requests that this thread sends inside to so many seconds in all."""
    call = Call(time.monotonic() + seconds)
    token = _current.set(call)
    try:
        yield call
    finally:
        _current.reset(token)


def last_answer() -> requests.Response | None:
    """Return what came last within the current call: the clients' own errors keep no more than its status."""
    call = _current.get()
    return call.answer if call else None


class _InTime:
    """A connection over which nothing is sent where it was made only after the deadline of the current call.

    No time-out bounds the look-up of a name, which takes 20 s where two of three name servers are away; and each of
    a name's addresses is given the time-out anew.
    """

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        call = _current.get()
        if call is not None and call.left_s() <= 0:
            self.close()  # type: ignore[attr-defined]
            raise urllib3.exceptions.ConnectTimeoutError("it took until after the end of the call; nothing was sent")


class _HTTPConnection(_InTime, urllib3.connection.HTTPConnection):
    pass


class _HTTPSConnection(_InTime, urllib3.connection.HTTPSConnection):
    pass


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


_POOLS = {"http": _HTTPPool, "https": _HTTPSPool}


class BoundedAdapter(HTTPAdapter):
    """Sends requests within the deadline of the current call, and never a second time."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.lower().startswith("socks"):  # they connect in a way of their own
            manager.pool_classes_by_scheme = _POOLS
        return manager

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        call = _current.get()
        if call is None:
            return super().send(request, *args, **kwargs)
        if call.left_s() <= 0:
            raise requests.exceptions.ConnectTimeout("no time was left to send it", request=request)
        connect_s = call.left_s() * CONNECT_SHARE
        read_s = call.left_s() - connect_s
        # The total takes from the answer what a look-up of the name took: it counts from before that.
        kwargs["timeout"] = urllib3.Timeout(total=call.left_s(), connect=connect_s, read=read_s)
        return self._observed(call, request, *args, **kwargs)

    def _observed(
        self, call: Call, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> requests.Response:
        call.maybe_done = call.maybe_done or has_effect(request)
        try:
            response = super().send(request, *args, **kwargs)
        except requests.exceptions.RequestException as error:
            if never_connected(error):
                call.maybe_done = False
            raise
        call.answer = response
        if 300 <= response.status_code < 500:
            call.maybe_done = False
        return response


def has_effect(request: requests.PreparedRequest) -> bool:
    """Return True for a request that changes something in Nova. Fetching a token is a POST without effect."""
    path = (request.url or "").partition("?")[0]
    return request.method not in ("GET", "HEAD", "OPTIONS") and not path.endswith("/auth/tokens")


def never_connected(error: requests.exceptions.RequestException) -> bool:
    """Return True when no connection was made, so that nothing can have been sent."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    reason = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(reason, urllib3.exceptions.ProxyError):
        reason = reason.original_error
    if isinstance(reason, urllib3.exceptions.SSLError):
        # Other TLS errors also come while an answer is read; a bad certificate ends the handshake.
        return bool(reason.args) and isinstance(reason.args[0], ssl.SSLCertVerificationError)
    return isinstance(reason, (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError))


def requests_session() -> requests.Session:
    """Return a session whose every request goes through the BoundedAdapter."""
    session = requests.Session()
    session.mount("http://", BoundedAdapter())
    session.mount("https://", BoundedAdapter())
    return session
