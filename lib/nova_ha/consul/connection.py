"""How the local Consul agent is reached: a client made of what Consul's own variables say."""

from __future__ import annotations

import os
from typing import Any

from nova_ha.consul.variables import Settings

HANDLER_TIMEOUT_S = 5.0
CHECK_TIMEOUT_S = 2.0


def client_for(settings: Settings, call_timeout_s: float) -> Any:
    """Return a client with a connection of its own, which is for one thread. Sends nothing yet."""
    import consul

    client = consul.Consul(
        host=settings.host,
        port=settings.port,
        scheme=settings.scheme,
        verify=settings.verify,
        cert=settings.cert,
        **_time_out(consul.Consul, call_timeout_s),
    )
    # Neither client knows of a prefix, or of a socket.
    client.http.base_uri = settings.url
    session = client.http.session
    # The agent is this machine's: no proxy of the environment stands between.
    session.trust_env = False
    if settings.socket:
        _through_a_socket(session)
    elif settings.scheme == "https":
        _encrypt(session, settings)
    # Both clients forget the token on some calls, and python-consul puts it into the URL: so neither gets it.
    client.token = None
    if settings.token:
        session.headers["X-Consul-Token"] = settings.token
    if settings.auth:
        # In the bytes that the environment has; requests would make Latin-1 of it.
        session.auth = tuple(os.fsencode(part) for part in settings.auth)
    return client


def _through_a_socket(session: Any) -> None:
    # A library does it: it is kept (1.0.1 of September 2025, for requests 2.32 and urllib3 2) and brings nothing else
    # along. It speaks no TLS, which is therefore refused by name (variables).
    from nova_ha.consul.sockets import SocketAdapter

    session.mount("http+unix://", SocketAdapter())


def _encrypt(session: Any, settings: Settings) -> None:
    import logging
    import warnings

    from nova_ha.consul.encryption import ConsulTLS

    # What it warns of is an error of ours, in one line.
    logging.getLogger("urllib3.connection").setLevel(logging.ERROR)

    if settings.verify is False:
        # The operator has said so; once for each call would fill every log.
        warnings.filterwarnings("ignore", message="Unverified HTTPS request")
    session.mount("https://", ConsulTLS(settings.server_name, settings.ca_folder))


def _time_out(client: Any, seconds: float) -> dict[str, float]:
    # python-consul 1.1.0, which the tests also run against, knows no time-out.
    import inspect

    known = "connections_timeout" in inspect.signature(client.__init__).parameters
    return {"connections_timeout": seconds} if known else {}
