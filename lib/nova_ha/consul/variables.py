"""Consul's own `CONSUL_*` variables: which of them count here (in words: docs/consul.md), and what they say."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from urllib.parse import SplitResult, quote, urlsplit

from nova_ha.errors import ConfigError


class Use(Enum):
    """What a variable of Consul's commands is to us."""

    HONOURED = "honoured"
    REFUSED = "refused"
    NO_CONCERN = "of no concern"


# All that Consul's commands read or set (api/api.go and the strings of 1.8.7 and 1.16.4). What would lead to other
# data or another agent is honoured or refused; what is not named here is left alone.
VARIABLES: Mapping[str, Use] = {
    "CONSUL_HTTP_ADDR": Use.HONOURED,
    "CONSUL_HTTP_SSL": Use.HONOURED,
    "CONSUL_HTTP_SSL_VERIFY": Use.HONOURED,
    "CONSUL_CACERT": Use.HONOURED,
    "CONSUL_CAPATH": Use.HONOURED,
    "CONSUL_TLS_SERVER_NAME": Use.HONOURED,
    "CONSUL_CLIENT_CERT": Use.HONOURED,
    "CONSUL_CLIENT_KEY": Use.HONOURED,
    "CONSUL_HTTP_TOKEN": Use.HONOURED,
    "CONSUL_HTTP_TOKEN_FILE": Use.HONOURED,
    "CONSUL_HTTP_AUTH": Use.HONOURED,
    "CONSUL_NAMESPACE": Use.REFUSED,
    "CONSUL_PARTITION": Use.REFUSED,
    "CONSUL_GRPC_ADDR": Use.NO_CONCERN,
    "CONSUL_GRPC_CACERT": Use.NO_CONCERN,
    "CONSUL_GRPC_CAPATH": Use.NO_CONCERN,
    "CONSUL_INTRO_TOKEN": Use.NO_CONCERN,
    "CONSUL_INDEX": Use.NO_CONCERN,
    "CONSUL_LOCK_HELD": Use.NO_CONCERN,
}

UNIX = "unix://"
EXPECTED = "expected host:port, http(s)://host:port/prefix, or unix:///path/to/socket"
# As Consul's commands do, which is not 8500: that is the port of the default address alone.
PORTS = {"http": 80, "https": 443}
# What fits into a struct sockaddr_un of Linux, beside the zero at its end.
LONGEST_SOCKET = 107
# The words of Go's strconv.ParseBool.
YES = ("1", "t", "T", "TRUE", "true", "True")
NO = ("0", "f", "F", "FALSE", "false", "False")


@dataclass(frozen=True)
class Settings:
    """What the variables say. `verify` is a CA's file, or whether a certificate is verified at all.

    `socket` is the path of a unix socket, and then scheme, host and port say nothing. `prefix` is what a proxy
    wants before Consul's own paths. `server_name` is the name that the agent's certificate must have, where it is
    not that of its address. `auth` is the account, user and password, of a proxy before Consul.
    """

    scheme: str = "http"
    host: str = "127.0.0.1"
    port: int = 8500
    prefix: str = ""
    socket: str = ""
    verify: bool | str = True
    ca_folder: str = ""
    server_name: str = ""
    cert: tuple[str, str] | None = None
    token: str = field(default="", repr=False)
    auth: tuple[str, str] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """What stands before Consul's own paths."""
        if self.socket:
            return f"http+unix://{quote(self.socket, safe='')}"
        return f"{self.scheme}://{self.host}:{self.port}{quote(self.prefix)}"


def settings_from(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the variables; an empty one counts as not set. Raises ConfigError naming the one that cannot be used."""
    env = os.environ if environ is None else environ
    for name in VARIABLES:
        if VARIABLES[name] is Use.REFUSED and env.get(name):
            what = f"{name} is {env[name]!r}, and only Consul's default namespace and partition can be used"
            raise ConfigError(what, remedy="unset it")
    return replace(
        _address(env),
        verify=_verification(env),
        ca_folder=_ca_folder(env),
        server_name=_server_name(env),
        cert=_client_certificate(env),
        token=_token(env),
        auth=_account(env),
    )


def _address(env: Mapping[str, str]) -> Settings:
    secure = _flag(env, "CONSUL_HTTP_SSL", default=False)
    address = env.get("CONSUL_HTTP_ADDR", "").strip() or "127.0.0.1:8500"
    if address.startswith(UNIX):
        return _socket(address, secure)
    if "@" in address:
        # Not shown: there may be a password in it.
        what = "CONSUL_HTTP_ADDR has an account in it, which Consul does not take there"
        raise ConfigError(what, remedy="set CONSUL_HTTP_AUTH=user:password")
    complete = "://" in address
    try:
        parts = urlsplit(address if complete else f"http://{address}")
        host, port = parts.hostname, parts.port
        # A name that DNS cannot have would end each call later, with an error that is none of requests'.
        (host or "").encode("idna")
    except ValueError:
        parts, host, port = SplitResult("", "", "", "", ""), None, None
    # An address without a host, `:8500`, is this machine.
    host, prefix = host or ("127.0.0.1" if port else ""), parts.path.rstrip("/")
    odd = any(c.isspace() for c in address) or parts.query or parts.fragment or (prefix and not complete)
    odd = odd or not _is_text(address) or port == 0  # which would become the scheme's own
    if not host or parts.scheme not in PORTS or odd:
        raise ConfigError(f"CONSUL_HTTP_ADDR is {address!r}", remedy=EXPECTED)
    scheme = "https" if secure else parts.scheme
    return Settings(scheme, f"[{host}]" if ":" in host else host, port or PORTS[scheme], prefix)


def _is_text(value: str) -> bool:
    # The bytes of the environment that are not UTF-8 come as halves of surrogate pairs.
    return not any("\ud800" <= letter <= "\udfff" for letter in value)


def _socket(address: str, secure: bool) -> Settings:
    path = address.removeprefix(UNIX)
    if secure:
        what = "CONSUL_HTTP_SSL asks for TLS, which is not spoken through a unix socket (CONSUL_HTTP_ADDR)"
        raise ConfigError(what, remedy="unset it, or set CONSUL_HTTP_ADDR=https://...")
    if not path or not _is_text(path):
        raise ConfigError(f"CONSUL_HTTP_ADDR is {address!r}", remedy=EXPECTED)
    if len(os.fsencode(path)) > LONGEST_SOCKET:
        what = f"CONSUL_HTTP_ADDR is {address!r}, too long for a socket"
        raise ConfigError(what, remedy=f"name a path of at most {LONGEST_SOCKET} bytes")
    return Settings(socket=path)


def _flag(env: Mapping[str, str], name: str, *, default: bool) -> bool:
    word = env.get(name, "")
    if word and word not in (*YES, *NO):
        raise ConfigError(f"{name} is {word!r}", remedy=f"expected {', '.join(YES)}, or {', '.join(NO)}")
    return word in YES if word else default


def _verification(env: Mapping[str, str]) -> bool | str:
    if not _flag(env, "CONSUL_HTTP_SSL_VERIFY", default=True):
        return False
    path = env.get("CONSUL_CACERT")
    return _existing("CONSUL_CACERT", path) if path else True


def _ca_folder(env: Mapping[str, str]) -> str:
    path = env.get("CONSUL_CAPATH")
    return _existing("CONSUL_CAPATH", path, folder=True) if path and _verification(env) is True else ""


def _server_name(env: Mapping[str, str]) -> str:
    """Return the name alone: Consul's commands take a port behind it, and pass it over."""
    given = env.get("CONSUL_TLS_SERVER_NAME", "").strip()
    try:
        name = urlsplit(f"//{given}").hostname or ""
    except ValueError:
        name = ""
    if given and not name:
        raise ConfigError(f"CONSUL_TLS_SERVER_NAME is {given!r}", remedy="expected the name in the certificate")
    return name


def _client_certificate(env: Mapping[str, str]) -> tuple[str, str] | None:
    cert, key = env.get("CONSUL_CLIENT_CERT"), env.get("CONSUL_CLIENT_KEY")
    if bool(cert) != bool(key):
        raise ConfigError("only one of CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY is set", remedy="set both")
    if not cert or not key:
        return None
    return _existing("CONSUL_CLIENT_CERT", cert), _existing("CONSUL_CLIENT_KEY", key)


def _existing(name: str, path: str, *, folder: bool = False) -> str:
    """Return the path of what can be read: each call would fail later, and as if Consul had refused it."""
    if not os.path.exists(path):
        raise ConfigError(f"{name} is {path!r}, which does not exist", remedy="mend the path")
    if os.path.isdir(path) != folder:
        what = "no folder" if folder else "a folder, and no file"
        raise ConfigError(f"{name} is {path!r}, which is {what}", remedy="mend the path")
    if not os.access(path, os.R_OK | os.X_OK if folder else os.R_OK):
        raise ConfigError(f"{name} is {path!r}, which this user may not read", remedy="mend its rights")
    return path


def _token(env: Mapping[str, str]) -> str:
    """Return the file's token, and the variable's where there is no file or nothing in it: so Consul takes them."""
    if path := env.get("CONSUL_HTTP_TOKEN_FILE"):
        try:
            with open(path, encoding="utf-8") as file:
                token = file.read().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"CONSUL_HTTP_TOKEN_FILE cannot be read ({error})") from error
        if token:
            return _sendable("CONSUL_HTTP_TOKEN_FILE", token)
    return _sendable("CONSUL_HTTP_TOKEN", env.get("CONSUL_HTTP_TOKEN", "").strip())


def _sendable(name: str, token: str) -> str:
    if not (token.isascii() and token.isprintable()):
        raise ConfigError(f"{name} has no token: other characters than a header can carry", remedy="mend it")
    return token


def _account(env: Mapping[str, str]) -> tuple[str, str] | None:
    given = env.get("CONSUL_HTTP_AUTH", "")
    user, _, password = given.partition(":")
    return (user, password) if given else None
