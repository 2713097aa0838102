"""The HTTP transport under every call to Nova: one deadline per call, and what is known of a request that failed.

A call of ours may be several requests (a token, the call, a new token, the call again). All of them share one
deadline. Loaded lazily, with `requests`: see `nova.connect`.
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
    """One call of ours while it runs. `maybe_done` is True once a write may have reached the service."""

    deadline: float
    maybe_done: bool = False

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


class BoundedAdapter(HTTPAdapter):
    """Sends requests within the deadline of the current call, and never a second time."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        call = _current.get()
        if call is None:
            return super().send(request, *args, **kwargs)
        if call.left_s() <= 0:
            raise requests.exceptions.ConnectTimeout("no time was left to send it", request=request)
        connect_s = call.left_s() * CONNECT_SHARE
        kwargs["timeout"] = (connect_s, call.left_s() - connect_s)
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
