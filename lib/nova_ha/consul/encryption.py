"""TLS as Consul's own clients do it, where requests does it otherwise: the server's name, and a folder of CAs."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from requests.adapters import HTTPAdapter


class ConsulTLS(HTTPAdapter):
    """Connects as CONSUL_TLS_SERVER_NAME and CONSUL_CAPATH say.

    `server_name` is the name that the agent's certificate must have, whatever the address; `ca_folder` has CAs in
    PEM files of any names (OpenSSL itself would look for names of its own making).
    """

    def __init__(self, server_name: str = "", ca_folder: str = "") -> None:
        self._server_name = server_name
        self._ca_folder = ca_folder
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        if self._server_name:
            options |= {"server_hostname": self._server_name, "assert_hostname": self._server_name}
        if self._ca_folder:
            options["ssl_context"] = _trusting(self._ca_folder)
        super().init_poolmanager(*args, **options)

    def cert_verify(self, conn: Any, url: str, verify: bool | str, cert: Any) -> None:
        super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]
        if self._ca_folder:
            # These CAs alone: not those that a machine trusts in the web.
            conn.ca_certs = conn.ca_cert_dir = None


def _trusting(folder: str) -> ssl.SSLContext:
    """Return a context with every CA of the folder. What is no CA's certificate is passed over."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for file in sorted(Path(folder).iterdir()):
        try:
            context.load_verify_locations(cafile=str(file))
        except OSError:  # ssl.SSLError is one
            continue
    return context
