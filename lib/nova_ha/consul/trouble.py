"""What went wrong with Consul, in one line for the operator, and whether a write may have been carried out."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote, urlsplit

from nova_ha.errors import ConsulError, NotAllowed, OutcomeUnknown

# Said by an agent before it has handed the request to a leader: nothing was written.
_NO_LEADER = ("No cluster leader", "No known Consul servers")
# What an agent or a server answers that takes no more for now: nothing of the request was begun.
_TOO_MANY = "429"
# What OpenSSL calls an answer that is no TLS: from a port of plain HTTP, or of something else.
_NO_TLS = ("WRONG_VERSION_NUMBER", "wrong version number", "RECORD_LAYER_FAILURE", "record layer failure")
# What OpenSSL, by its version, calls an end of the connection without a word.
_BROKEN_OFF = ("EOF occurred", "UNEXPECTED_EOF")
# What urllib3 calls it where the peer has reset the connection: so it may look when a certificate is refused.
_ABORTED = "Connection aborted"
_SOCKET = "http+unix"
# How a unix socket refuses a connection, in words with their remedy. A connection that was made ends otherwise.
_START = "start the agent with this socket in its `addresses`, or set CONSUL_HTTP_ADDR"
_RIGHTS = "use another user, or set `unix_sockets` in the agent's configuration"
_REFUSALS = {
    errno.ENOENT: ("there is no socket {}", _START),
    errno.ENOTDIR: ("there is no socket {}", _START),
    errno.ECONNREFUSED: ("no Consul agent listens at the socket {}", _START),
    errno.EACCES: ("this user may not use the socket {}", _RIGHTS),
    errno.EPERM: ("this user may not use the socket {}", _RIGHTS),
    errno.EAGAIN: ("the agent takes no more connections at the socket {}", "see its log"),
    errno.EPROTOTYPE: ("another kind of socket is {}", "set CONSUL_HTTP_ADDR"),
}


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn what the client raises in a read into ConsulError."""
    import consul
    import requests

    try:
        yield
    except (requests.RequestException, consul.ConsulException, json.JSONDecodeError, RecursionError) as error:
        raise _explained(what, error) from error


@contextmanager
def writing(what: str) -> Iterator[None]:
    """Turn what the client raises in a write into ConsulError, or OutcomeUnknown where it may have happened."""
    import consul
    import requests

    try:
        yield
    except (requests.RequestException, json.JSONDecodeError, RecursionError) as error:
        if _never_sent(error):
            raise _explained(what, error) from error
        raise OutcomeUnknown(f"Consul took {what} but did not answer ({_short(error)})") from error
    except consul.ConsulException as error:
        # Also a proxy's 502 to 504: what it has handed on may have been carried out.
        if str(error).startswith("5") and not _without_leader(error):
            raise OutcomeUnknown(f"Consul failed during {what} ({_short(error)})") from error
        raise _explained(what, error) from error


def garbled(what: str) -> ConsulError:
    """Return the error where an answer is none of Consul's: cut off, a proxy's page, of the wrong types."""
    return ConsulError(f"Consul's answer about {what} is garbled", remedy="see what answers at CONSUL_HTTP_ADDR")


def forbidden(what: str) -> NotAllowed:
    """Return the refusal of what the token has not the right to."""
    return NotAllowed(
        f"Consul refuses {what}: the token has not the right",
        remedy="give the agent or CONSUL_HTTP_TOKEN the policy of consul.d/acl/",
    )


def _never_sent(error: Exception) -> bool:
    import requests

    if _of_tls(error):
        # Refused in the handshake, unless the connection broke off: then the request may have been carried out.
        return not any(sign in repr(error) for sign in _BROKEN_OFF)
    no_connection = (requests.exceptions.ConnectTimeout, requests.exceptions.InvalidURL)
    return (_refused_at_socket(error) is not None or isinstance(error, no_connection)) or any(
        sign in repr(error) for sign in ("NewConnectionError", "NameResolutionError", "Connection refused")
    )


def _refused_at_socket(error: Exception) -> int | None:
    """Return the errno with which a unix socket refused the connection; None for everything else."""
    url = urlsplit(str(getattr(getattr(error, "request", None), "url", "")))
    inner = _innermost(error)
    if url.scheme == _SOCKET and isinstance(inner, OSError) and inner.errno in _REFUSALS:
        return inner.errno
    return None


def _without_leader(error: Exception) -> bool:
    return any(words in str(error) for words in _NO_LEADER)


def _explained(what: str, error: Exception) -> ConsulError:
    import consul
    import requests

    # First: a "permission denied" of the file system is none of Consul's.
    if (refusal := _refused_at_socket(error)) is not None:
        words, remedy = _REFUSALS[refusal]
        return ConsulError(words.format(_where(error)), remedy=remedy)
    text = str(error)
    if "ACL not found" in text:
        return ConsulError(f"Consul refuses {what}: it does not know the token", remedy="see CONSUL_HTTP_TOKEN")
    if isinstance(error, consul.ACLPermissionDenied) or "ermission denied" in text:
        return forbidden(what)
    if isinstance(error, consul.ACLDisabled) and "ACL support disabled" not in text:
        return ConsulError("a proxy before Consul refuses our account (401)", remedy="see CONSUL_HTTP_AUTH")
    if _of_tls(error) or (_ABORTED in text and _is_encrypted(error)):
        return _tls_explained(error)
    if isinstance(error, requests.exceptions.Timeout):
        return ConsulError(f"Consul did not answer in time ({what})", remedy="see `consul members` and its log")
    if _never_sent(error):
        return ConsulError(f"no Consul agent answers at {_where(error)}", remedy="start it, or set CONSUL_HTTP_ADDR")
    if "HTTP request to an HTTPS server" in text:
        remedy = "set CONSUL_HTTP_ADDR=https://..., or CONSUL_HTTP_SSL=true"
        return ConsulError("Consul expects TLS there, and was asked by plain HTTP", remedy=remedy)
    if text.startswith(_TOO_MANY) or "rate limit exceeded" in text:
        remedy = "see `limits` in the configuration of its agents and servers (request_limits, rpc_rate)"
        return ConsulError(f"Consul's rate limit is reached ({what})", remedy=remedy)
    if _without_leader(error):
        return ConsulError("Consul has no leader", remedy="see `consul operator raft list-peers`")
    return ConsulError(f"Consul cannot give {what} ({_short(error)})")


def _of_tls(error: Exception) -> bool:
    """True for what went wrong with certificates, also where it shows only when the answer is read (TLS 1.3)."""
    import requests

    return isinstance(error, requests.exceptions.SSLError) or "[SSL" in repr(error) or "[X509" in repr(error)


def _is_encrypted(error: Exception) -> bool:
    request = getattr(error, "request", None)
    return request is not None and str(request.url).startswith("https:")


def _tls_explained(error: Exception) -> ConsulError:
    text, short = repr(error), _tls_words(error)
    if "ALERT" in text.upper():
        remedy = "set CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY to a valid one of its CA"
        return ConsulError(f"Consul refuses our certificate ({short})", remedy=remedy)
    if any(sign in text for sign in _NO_TLS):
        remedy = "set CONSUL_HTTP_ADDR to the agent's port for HTTPS, or to http://..."
        return ConsulError(f"{_where(error)} speaks no TLS", remedy=remedy)
    if any(sign in text for sign in (*_BROKEN_OFF, _ABORTED)):
        remedy = "see its log; where it asks clients for certificates, set CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY"
        return ConsulError(f"Consul broke off the encrypted connection ({short})", remedy=remedy)
    if "CERTIFICATE_VERIFY_FAILED" in text or "doesn't match" in short:
        remedy = "set CONSUL_CACERT to its CA, and CONSUL_TLS_SERVER_NAME to its name"
        return ConsulError(f"Consul's certificate is not trusted ({short})", remedy=remedy)
    remedy = "mend the files of CONSUL_CACERT, CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY"
    return ConsulError(f"TLS cannot be begun ({short})", remedy=remedy)


def _tls_words(error: Exception) -> str:
    """Return what OpenSSL says, without the two libraries that pass it on."""
    return _short(Exception(str(_innermost(error))))


def _innermost(error: BaseException) -> BaseException:
    """Return what went wrong first, of the exceptions that stand in each other."""
    reason = getattr(error, "reason", None)
    found = next((one for one in (reason, *error.args) if isinstance(one, BaseException)), None)
    return error if found is None else _innermost(found)


def _where(error: Exception) -> str:
    request = getattr(error, "request", None)
    return unquote(urlsplit(request.url or "").netloc) if request is not None else "its address"


def _short(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else text[:157] + "..."
