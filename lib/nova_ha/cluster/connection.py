"""How the local Consul agent is reached: Consul's own `CONSUL_*` variables, and a client made of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from nova_ha.errors import ConfigError

HANDLER_TIMEOUT_S = 5.0
CHECK_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class Settings:
    """What the variables say. `verify` is a CA's file, or whether a certificate is verified at all.

    `server_name` is the name that the agent's certificate must have, where it is not that of its address.
    """

    scheme: str = "http"
    host: str = "127.0.0.1"
    port: int = 8500
    verify: bool | str = True
    ca_folder: str = ""
    server_name: str = ""
    cert: tuple[str, str] | None = None
    token: str = field(default="", repr=False)


def settings_from(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the variables. Raises ConfigError naming the one that cannot be used."""
    env = os.environ if environ is None else environ
    scheme, host, port = _address(env)
    verify, name = _verification(env), env.get("CONSUL_TLS_SERVER_NAME", "").strip()
    return Settings(scheme, host, port, verify, _ca_folder(env), name, _client_certificate(env), _token(env))


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
    # The agent is this machine's: as for Consul's own commands, no proxy stands between.
    client.http.session.trust_env = False
    if settings.scheme == "https":
        _encrypt(client.http.session, settings)
    # Both clients forget the token on some calls, and python-consul puts it into the URL: so neither gets it.
    client.token = None
    if settings.token:
        client.http.session.headers["X-Consul-Token"] = settings.token
    return client


def _encrypt(session: Any, settings: Settings) -> None:
    import logging
    import warnings

    from nova_ha.cluster.encryption import ConsulTLS

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


def _address(env: Mapping[str, str]) -> tuple[str, str, int]:
    address = env.get("CONSUL_HTTP_ADDR", "").strip() or "127.0.0.1:8500"
    secure = env.get("CONSUL_HTTP_SSL", "").lower() in ("1", "true")
    try:
        parts = urlsplit(address if "//" in address else f"{'https' if secure else 'http'}://{address}")
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        scheme, host, port = "", None, None
    if not host or scheme not in ("http", "https") or any(c.isspace() for c in address):
        raise ConfigError(f"CONSUL_HTTP_ADDR is {address!r}", remedy="expected host:port, or http(s)://host:port")
    return ("https" if secure else scheme), f"[{host}]" if ":" in host else host, port or 8500


def _verification(env: Mapping[str, str]) -> bool | str:
    if env.get("CONSUL_HTTP_SSL_VERIFY", "").lower() in ("0", "false"):
        return False
    path = env.get("CONSUL_CACERT")
    return _existing("CONSUL_CACERT", path) if path else True


def _ca_folder(env: Mapping[str, str]) -> str:
    path = env.get("CONSUL_CAPATH")
    return _existing("CONSUL_CAPATH", path) if path and _verification(env) is True else ""


def _client_certificate(env: Mapping[str, str]) -> tuple[str, str] | None:
    cert, key = env.get("CONSUL_CLIENT_CERT"), env.get("CONSUL_CLIENT_KEY")
    if bool(cert) != bool(key):
        raise ConfigError("only one of CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY is set", remedy="set both")
    if not cert or not key:
        return None
    return _existing("CONSUL_CLIENT_CERT", cert), _existing("CONSUL_CLIENT_KEY", key)


def _existing(name: str, path: str) -> str:
    if not os.path.exists(path):
        raise ConfigError(f"{name} is {path!r}, which does not exist", remedy="mend the path")
    return path


def _token(env: Mapping[str, str]) -> str:
    if token := env.get("CONSUL_HTTP_TOKEN", "").strip():
        return _sendable("CONSUL_HTTP_TOKEN", token)
    path = env.get("CONSUL_HTTP_TOKEN_FILE")
    if not path:
        return ""
    try:
        with open(path, encoding="utf-8") as file:
            return _sendable("CONSUL_HTTP_TOKEN_FILE", file.read().strip())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"CONSUL_HTTP_TOKEN_FILE cannot be read ({error})") from error


def _sendable(name: str, token: str) -> str:
    if not (token.isascii() and token.isprintable()):
        raise ConfigError(f"{name} has no token: other characters than a header can carry", remedy="mend it")
    return token
