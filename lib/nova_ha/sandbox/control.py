"""What the sandbox's machines tell its Nova, beside Nova's own API: that they live, and that power was cut."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from nova_ha.errors import NovaError

TIMEOUT_S = 2.0


def tell(nova_url: str, what: str, body: Mapping[str, Any]) -> Any:
    """POST to one of the control endpoints of the Nova simulator, and return its answer. Raises NovaError."""
    return ask(nova_url, what, method="POST", body=body)


def ask(nova_url: str, what: str, *, method: str = "GET", body: Mapping[str, Any] | None = None) -> Any:
    """Ask one of the control endpoints; None for an empty answer. Raises NovaError."""
    address = urlsplit(nova_url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port or 80, timeout=TIMEOUT_S)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, f"/sandbox/{what}", text, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        said = answer.read().decode()
    except (OSError, http.client.HTTPException) as error:
        raise NovaError(f"the sandbox's Nova does not answer /sandbox/{what} ({error})") from error
    finally:
        connection.close()
    if answer.status >= 400:
        raise NovaError(f"the sandbox's Nova answers {answer.status} to /sandbox/{what}: {said[:200]}")
    return json.loads(said) if said else None
