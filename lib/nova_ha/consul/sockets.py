"""HTTP through a unix socket, by requests-unixsocket2; and what it leaves to be said by its callers."""

from __future__ import annotations

import errno
import os
from typing import Any
from urllib.parse import urlsplit

import requests
from requests_unixsocket.adapters import UnixAdapter


class SocketAdapter(UnixAdapter):  # type: ignore[misc]
    """The library's adapter, with one pool of connections for a socket: it has one for each URL."""

    def get_connection(self, url: str, proxies: Any = None) -> Any:
        parts = urlsplit(url)
        return super().get_connection(f"{parts.scheme}://{parts.netloc}", proxies)

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        try:
            return super().send(request, *args, **options)  # type: ignore[no-any-return]
        except AttributeError as error:
            if error.obj is not None:
                raise
            # A socket for datagrams refuses with EPROTOTYPE, which urllib3 passes over: then it has no connection.
            refused = OSError(errno.EPROTOTYPE, os.strerror(errno.EPROTOTYPE))
            raise requests.ConnectionError(refused, request=request) from error
