"""What is known of a request that failed."""

from __future__ import annotations

import socket
import ssl
import threading
import time

import pytest
import requests
import urllib3
from kit.fakes.listening_agent import listening
from nova_ha.compute import client as connection
from nova_ha.compute import transport
from nova_ha.errors import ConfigError


def request(method: str, url: str) -> requests.PreparedRequest:
    return requests.Request(method, url).prepare()


def unreached(reason: Exception) -> requests.exceptions.ConnectionError:
    """A ConnectionError of requests, as urllib3 causes it."""
    pool = urllib3.HTTPConnectionPool("127.12.0.9")
    return requests.exceptions.ConnectionError(urllib3.exceptions.MaxRetryError(pool, "/", reason))


@pytest.mark.parametrize(
    ("method", "url", "effect"),
    [
        ("GET", "http://nova/servers", False),
        ("HEAD", "http://nova/servers", False),
        ("POST", "http://keystone/v3/auth/tokens", False),
        ("POST", "http://keystone/v3/auth/tokens?nocatalog", False),
        ("POST", "http://nova/servers/x/action", True),
        ("PUT", "http://nova/os-services/x", True),
        ("DELETE", "http://nova/servers/x", True),
    ],
)
def test_everything_but_reading_and_logging_in_has_an_effect(method: str, url: str, effect: bool) -> None:
    assert transport.has_effect(request(method, url)) is effect


NEVER = [
    requests.exceptions.ConnectTimeout("3 s"),
    unreached(urllib3.exceptions.NewConnectionError(None, "refused")),  # type: ignore[arg-type]
    unreached(urllib3.exceptions.SSLError(ssl.SSLCertVerificationError("self-signed"))),
    unreached(urllib3.exceptions.ProxyError("proxy", urllib3.exceptions.ConnectTimeoutError("3 s"))),
]
PERHAPS = [
    requests.exceptions.ReadTimeout("3 s"),
    requests.exceptions.ConnectionError("reset by peer"),
    requests.exceptions.ConnectionError(urllib3.exceptions.ProtocolError("closed")),
    unreached(urllib3.exceptions.SSLError(ssl.SSLEOFError("EOF"))),
    unreached(urllib3.exceptions.ProxyError("proxy", urllib3.exceptions.ProtocolError("closed"))),
    requests.exceptions.ChunkedEncodingError("cut off"),
]


@pytest.mark.parametrize("error", NEVER)
def test_a_connection_that_was_never_made_carried_nothing(error: requests.exceptions.RequestException) -> None:
    assert transport.never_connected(error)


@pytest.mark.parametrize("error", PERHAPS)
def test_any_other_failure_may_have_come_after_the_request(error: requests.exceptions.RequestException) -> None:
    assert not transport.never_connected(error)


def test_nothing_is_sent_when_the_deadline_of_the_call_has_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    def send(*arguments: object, **options: object) -> requests.Response:
        raise AssertionError("sent")

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    with transport.call_within(0.0) as call, pytest.raises(requests.exceptions.ConnectTimeout):
        transport.BoundedAdapter().send(request("POST", "http://127.12.0.9/servers/x/action"))
    assert not call.maybe_done


class SlowNames:
    """A resolver that takes so much of the current call before it finds this machine for whatever name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.real = socket.getaddrinfo
        self.takes_s = 0.0
        monkeypatch.setattr(socket, "getaddrinfo", self)

    def __call__(self, host: object, *arguments: object, **options: object) -> object:
        time.sleep(self.takes_s)
        return self.real("127.0.0.1", *arguments, **options)  # type: ignore[arg-type]


@pytest.mark.fault(10)
@pytest.mark.parametrize("through_a_proxy", [False, True])
def test_a_name_that_is_found_only_after_the_deadline_is_not_sent_anything(
    monkeypatch: pytest.MonkeyPatch, through_a_proxy: bool
) -> None:
    names = SlowNames(monkeypatch)
    names.takes_s = 0.3
    with listening(answer=lambda path: (202, {}, b"")) as api, transport.call_within(0.2) as call:
        port = api.address.rpartition(":")[2]
        session = transport.requests_session()
        session.trust_env = False
        session.proxies = {"http": f"http://proxy.example:{port}"} if through_a_proxy else {}
        with pytest.raises(requests.exceptions.ConnectionError, match="nothing was sent"):
            session.post(f"http://nova.example:{port}/servers/x/action", json={"evacuate": {}})
    assert api.asked == []
    assert not call.maybe_done


def test_what_the_name_took_is_taken_from_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    names = SlowNames(monkeypatch)
    names.takes_s = 0.5
    hurried = threading.Event()

    def never(path: str) -> None:
        hurried.wait(10)

    with listening(answer=never) as api, transport.call_within(1.0) as call:
        port = api.address.rpartition(":")[2]
        with pytest.raises(requests.exceptions.ReadTimeout):
            transport.requests_session().post(f"http://nova.example:{port}/servers/x/action")
        assert call.left_s() > -0.2
        hurried.set()
    assert call.maybe_done


def test_a_call_within_its_time_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    SlowNames(monkeypatch)
    with listening(answer=lambda path: (202, {}, b"")) as api, transport.call_within(5.0):
        url = f"http://nova.example:{api.address.rpartition(':')[2]}/servers/x/action"
        session = transport.requests_session()
        assert [session.post(url).status_code for _ in range(2)] == [202, 202]
    assert api.connections == 1


@pytest.mark.parametrize(
    ("status", "maybe_done"),
    [(200, True), (202, True), (302, False), (400, False), (404, False), (500, True), (503, True)],
)
def test_only_an_answer_that_refuses_says_that_nothing_was_done(
    status: int, maybe_done: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def send(*arguments: object, **options: object) -> requests.Response:
        response = requests.Response()
        response.status_code = status
        return response

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    with transport.call_within(5.0) as call:
        transport.BoundedAdapter().send(request("POST", "http://127.12.0.9/servers/x/action"))
    assert call.maybe_done is maybe_done


@pytest.mark.parametrize(
    ("lowest", "highest", "client", "agreed"),
    [
        ((2, 1), (2, 104), (2, 96), (2, 94)),
        ((2, 1), (2, 94), (2, 96), (2, 94)),
        ((2, 1), (2, 60), (2, 96), (2, 60)),
        ((2, 1), (2, 53), (2, 96), (2, 53)),
        ((2, 1), (2, 104), (2, 72), (2, 72)),
        ((2, 94), (2, 104), (2, 96), (2, 94)),
    ],
)
def test_the_highest_microversion_up_to_2_94_that_both_sides_speak_is_taken(
    lowest: tuple[int, int], highest: tuple[int, int], client: tuple[int, int], agreed: tuple[int, int]
) -> None:
    assert connection.agree(lowest, highest, client) == agreed


@pytest.mark.parametrize(
    ("lowest", "highest"), [((2, 1), (2, 52)), ((2, 0), (2, 0)), ((2, 95), (2, 104))], ids=["old", "none", "new"]
)
def test_a_nova_that_speaks_none_of_them_is_refused(lowest: tuple[int, int], highest: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match=r"needed is one of 2\.53 to 2\.94"):
        connection.agree(lowest, highest, (2, 96))


@pytest.mark.parametrize(("text", "version"), [("2.94", (2, 94)), ("", (2, 0)), ("2.1", (2, 1))])
def test_an_api_without_microversions_counts_as_the_oldest(text: str, version: tuple[int, int]) -> None:
    assert connection.as_version(text) == version
