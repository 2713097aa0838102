"""Whose word a 404 is: the service's own, that there is no such thing, or that of whatever stands in front of it.

A proxy whose rule is being renewed, a gateway without a backend and a wrong path answer 404 too.
"""

from __future__ import annotations

import requests

NOT_ITS_OWN = "this 404 is not the service's own answer"
LOOK_IN_FRONT = "look at the proxy in front of it, and at its endpoint in the catalog"

# How Nova's API names it (nova/api/openstack/wsgi.py, Fault). A path that it does not know is answered without.
_NOVAS = "itemNotFound"
# Every OpenStack service puts it on each of its answers; proxies do not.
_REQUEST_ID = "x-openstack-request-id"


def said_by_nova(answer: requests.Response | None) -> bool:
    """True where Nova itself says that it has no such server, host, service or flavor."""
    if answer is None:
        return False
    try:
        body = answer.json()
    except ValueError:
        return False
    return isinstance(body, dict) and isinstance(body.get(_NOVAS), dict)


def said_by_a_service(answer: requests.Response | None) -> bool:
    """True where an OpenStack service answered, and nothing in front of it: the image service has no name for it."""
    return said_by_nova(answer) or (answer is not None and answer.headers.get(_REQUEST_ID, "").startswith("req-"))
