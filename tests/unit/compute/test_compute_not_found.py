"""A 404 says that something is gone only where the service itself says so, not what stands in front of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from keystoneauth1 import adapter, session, token_endpoint
from kit.fakes.listening_agent import Answer, listening
from nova_ha.compute import ServerID
from nova_ha.compute.nova import Nova
from nova_ha.compute.resources import Resources
from nova_ha.compute.transport import requests_session
from nova_ha.errors import EvacuationRefused, NoSuchHost, NoSuchServer, NovaError
from novaclient import client

SERVER = ServerID("8c9d6f0e-0000-0000-0000-000000000001")
JSON = {"Content-Type": "application/json"}
REQUEST_ID = {"x-openstack-request-id": "req-1f0c3a52-0000-0000-0000-000000000001"}


def said(body: object, **headers: str) -> Answer:
    return 404, {**JSON, **headers}, json.dumps(body).encode()


# How Nova's API says it, for a server and for a host.
NOVAS = said({"itemNotFound": {"code": 404, "message": f"Instance {SERVER} could not be found."}})
# As a proxy without a backend, a web server, a gateway, and Nova's own paste pipeline say it of an unknown path.
OTHERS = {
    "text": (404, {"Content-Type": "text/plain"}, b"default backend - 404"),
    "page": (404, {"Content-Type": "text/html"}, b"<html><h1>Not Found</h1></html>"),
    "nothing": (404, {}, b""),
    "json": said({"message": "no Route matched with those values"}),
    "list": said(["itemNotFound"]),
    "unknown-path": said(
        {"code": "404 Not Found", "title": "Not Found", "message": "The resource could not be found."}
    ),
    "nested": said({"error": {"code": 404, "message": "no such backend"}}),
    "broken": (404, JSON, b'{"itemNotFound": {'),
}
foreign = pytest.mark.parametrize("answer", OTHERS.values(), ids=list(OTHERS))


@contextmanager
def a_nova(answer: Callable[[str], Answer | None]) -> Iterator[Nova]:
    with listening(answer=answer) as api:
        who = session.Session(auth=token_endpoint.Token(f"{api.address}/v2.1", "token"), session=requests_session())
        nova = client.Client("2.94", session=who, connect_retries=0, status_code_retries=0)
        images = adapter.Adapter(who, service_type="image", connect_retries=0, status_code_retries=0)
        yield Nova(nova, Resources(nova, images, None), (2, 94), 5.0)


def test_a_server_that_nova_says_it_does_not_have_is_gone() -> None:
    with a_nova(lambda path: NOVAS) as nova:
        assert nova.server(SERVER) is None
        with pytest.raises(NoSuchServer):
            nova.evacuate(SERVER, None)
        with pytest.raises(NoSuchServer):
            nova.stop(SERVER)
        with pytest.raises(NoSuchHost):
            nova.disable("s1", "why")


@pytest.mark.fault(29)
@foreign
def test_a_404_that_is_not_novas_own_says_nothing_of_a_server(answer: Answer) -> None:
    with a_nova(lambda path: answer) as nova:
        with pytest.raises(NovaError, match="not the service's own answer") as unread:
            nova.server(SERVER)
        assert not isinstance(unread.value, NoSuchServer)
        assert "proxy" in unread.value.remedy


@pytest.mark.fault(29)
@foreign
@pytest.mark.parametrize("target", [None, "ha-1"])
def test_an_evacuation_that_meets_one_is_looked_after_and_not_over(answer: Answer, target: str | None) -> None:
    with a_nova(lambda path: answer) as nova, pytest.raises(NovaError) as unknown:
        nova.evacuate(SERVER, target)
    assert not isinstance(unknown.value, (NoSuchServer, NoSuchHost, EvacuationRefused))


@pytest.mark.fault(29)
@foreign
def test_an_image_whose_404_is_not_the_image_services_own_is_not_taken_for_one_without_marks(answer: Answer) -> None:
    with a_nova(lambda path: answer) as nova, pytest.raises(NovaError, match="not the service's own answer"):
        nova.image_marks("an-image")


def test_an_image_that_the_image_service_says_it_does_not_have_has_no_marks() -> None:
    body = {"message": "No image found with ID an-image", "code": "404 Not Found", "title": "Not Found"}
    with a_nova(lambda path: said(body, **REQUEST_ID)) as nova:
        assert nova.image_marks("an-image") == ({}, ())


@pytest.mark.fault(29)
@foreign
def test_a_flavor_whose_404_is_not_novas_own_is_not_looked_for_by_name(answer: Answer) -> None:
    """By its id it has the marks; a list that answers again a moment later has it under another name."""
    flavors = (200, JSON, json.dumps({"flavors": []}).encode())
    answers = {True: answer, False: flavors}
    with a_nova(lambda path: answers["/flavors/f1" in path]) as nova, pytest.raises(NovaError, match="404"):
        nova.flavor_marks("f1")


def test_a_flavor_of_which_nova_knows_no_such_id_is_looked_for_by_name() -> None:
    flavors = (200, JSON, json.dumps({"flavors": []}).encode())
    with a_nova(lambda path: NOVAS if "/flavors/f1" in path else flavors) as nova:
        assert nova.flavor_marks("f1") == {}
