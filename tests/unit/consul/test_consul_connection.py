"""The client that the settings make: where it asks, with which headers, and how it fails through a unix socket."""

from __future__ import annotations

import base64
import logging
import os
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from kit.fakes.listening_agent import ABSENT, Answer, listening
from nova_ha.consul.connection import client_for
from nova_ha.consul.store import connect
from nova_ha.consul.transaction import put
from nova_ha.consul.trouble import reading, writing
from nova_ha.consul.variables import Settings
from nova_ha.errors import ConsulError, OutcomeUnknown
from urllib3.exceptions import ProtocolError

TOKEN = "6e6d3f60-7b0c-4e05-8f27-5f1a7a2f1b11"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a socket may stand, with what a URL would read as something else in its name."""
    return tmp_path / "consul %41?#.sock"


def test_the_token_is_a_header_and_never_an_argument_of_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", "from-the-environment")
    client = client_for(Settings(token=TOKEN), 5)
    assert client.token is None
    assert client.http.session.headers["X-Consul-Token"] == TOKEN
    assert TOKEN not in repr(Settings(token=TOKEN))


def test_every_call_has_a_time_out() -> None:
    assert connect({}, call_timeout_s=1.5).client.http.connections_timeout == 1.5


@pytest.mark.parametrize("account", ["ha:s3:cr3t", "ha", "hä:pässwörd€"])
def test_a_proxys_account_goes_along_with_the_token_in_a_header_of_its_own(account: str, path: Path) -> None:
    for place in (None, path):
        with listening(place) as agent:
            own = {"CONSUL_HTTP_ADDR": agent.address, "CONSUL_HTTP_TOKEN": TOKEN, "CONSUL_HTTP_AUTH": account}
            assert connect(own).again().get("some/key") is None
        [(asked, headers)] = agent.asked
        assert asked == "/v1/kv/some/key?consistent=1"
        scheme, _, words = headers["Authorization"].partition(" ")
        expected = account if ":" in account else f"{account}:"
        assert (scheme, base64.b64decode(words).decode()) == ("Basic", expected)
        assert headers["X-Consul-Token"] == TOKEN


def test_without_an_account_none_is_sent_not_even_one_of_a_netrc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password s3cr3t\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with listening() as agent:
        connect({"CONSUL_HTTP_ADDR": agent.address}).get("x")
    assert "Authorization" not in agent.asked[0][1]


@pytest.mark.parametrize("account", ["ha:s3cr3t", ""])
def test_a_proxy_that_wants_an_account_is_told_from_consul_and_no_password_is_shown(
    account: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with listening(answer=lambda path: (401, {"WWW-Authenticate": "Basic"}, b"<h1>401</h1>")) as agent:
        store = connect({"CONSUL_HTTP_ADDR": agent.address, "CONSUL_HTTP_AUTH": account})
        for ask in (lambda: store.get("x"), lambda: store.commit([put("x", b"1")])):
            with pytest.raises(ConsulError, match=r"refuses our account \(401\): see CONSUL_HTTP_AUTH") as caught:
                ask()
            assert "s3cr3t" not in repr(caught.value) + repr(caught.value.__cause__)
    assert "s3cr3t" not in caplog.text
    assert base64.b64encode(b"ha:s3cr3t").decode() not in caplog.text


def test_a_proxys_prefix_stands_before_every_path() -> None:
    with listening() as agent:
        store = connect({"CONSUL_HTTP_ADDR": f"{agent.address}/some/consul/"})
        assert store.get("x") is None
        with pytest.raises(OutcomeUnknown):
            store.create_session("x", 15, 1)
    assert [asked for asked, _ in agent.asked] == [
        "/some/consul/v1/kv/x?consistent=1",
        "/some/consul/v1/session/create",
    ]


def test_a_404_that_is_not_consuls_is_no_key_that_does_not_exist() -> None:
    with listening(answer=lambda path: (404, {}, b"no such page")) as agent:
        store = connect({"CONSUL_HTTP_ADDR": f"{agent.address}/wrong"})
        for ask in (store.get, store.list, store.keys):
            with pytest.raises(ConsulError, match="see what answers at CONSUL_HTTP_ADDR"):
                ask("ha_cluster/paused")


def test_a_socket_is_asked_like_any_agent_over_one_connection_for_each_client(path: Path) -> None:
    with listening(path) as agent:
        assert stat.S_ISSOCK(path.stat().st_mode)
        store = connect({"CONSUL_HTTP_ADDR": agent.address})
        assert (store.get("a"), store.get("b"), store.again().get("c")) == (None, None, None)
        assert agent.connections == 2
    assert [asked[: len("/v1/kv/a")] for asked, _ in agent.asked] == ["/v1/kv/a", "/v1/kv/b", "/v1/kv/c"]
    assert {headers["Host"] for _, headers in agent.asked} == {"localhost"}


def test_a_socket_is_never_asked_through_a_proxy_of_the_environment(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "all_proxy", "http+unix_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with listening(path) as agent:
        assert connect({"CONSUL_HTTP_ADDR": agent.address}).get("x") is None


@contextmanager
def a_full_queue(path: Path) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as first:
        server.bind(str(path))
        server.listen(0)
        first.connect(str(path))
        yield


@contextmanager
def another_kind(path: Path) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(path))
        yield


@contextmanager
def nobody_listens(path: Path) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        yield


@contextmanager
def a_plain_file(path: Path) -> Iterator[None]:
    path.touch()
    yield


@contextmanager
def nothing(path: Path) -> Iterator[None]:
    yield


@contextmanager
def a_file_for_a_folder(path: Path) -> Iterator[None]:
    path.parent.rmdir()
    path.parent.touch()
    yield


IN_THE_WAY = {
    nothing: ("there is no socket {}", "CONSUL_HTTP_ADDR"),
    a_file_for_a_folder: ("there is no socket {}", "CONSUL_HTTP_ADDR"),
    nobody_listens: ("no Consul agent listens at the socket {}", "start the agent"),
    a_plain_file: ("no Consul agent listens at the socket {}", "start the agent"),
    a_full_queue: ("the agent takes no more connections at the socket {}", "log"),
    another_kind: ("another kind of socket is {}", "CONSUL_HTTP_ADDR"),
}


@pytest.mark.parametrize("way", IN_THE_WAY, ids=lambda way: way.__name__)
def test_a_socket_that_refuses_is_named_with_what_helps_and_nothing_was_written(way, tmp_path: Path) -> None:
    path = tmp_path / "folder" / "consul %41?#.sock"
    path.parent.mkdir()
    words, remedy = IN_THE_WAY[way]
    store = connect({"CONSUL_HTTP_ADDR": f"unix://{path}"}, call_timeout_s=5)
    with way(path):
        for ask in (lambda: store.get("x"), lambda: store.commit([put("x", b"1")]), store.node_name):
            with pytest.raises(ConsulError) as caught:
                ask()
            assert words.format(path) in caught.value.message
            assert remedy in caught.value.remedy


@pytest.mark.parametrize("during", [reading, writing])
def test_a_user_who_may_not_use_the_socket_is_told_so_and_not_that_a_token_lacks_a_right(during) -> None:
    # By hand, as root may use every socket.
    request = requests.Request("GET", "http+unix://%2Frun%2Fconsul.sock/v1/kv/x").prepare()
    refused = ProtocolError("Connection aborted.", PermissionError(13, "Permission denied"))
    with pytest.raises(ConsulError) as caught, during("key x"):
        raise requests.ConnectionError(refused, request=request)
    assert caught.value.message == "this user may not use the socket /run/consul.sock"
    assert "unix_sockets" in caught.value.remedy


def test_a_real_socket_that_another_user_owns_is_named(path: Path) -> None:
    with listening(path) as agent:
        store = connect({"CONSUL_HTTP_ADDR": agent.address})
        assert store.get("x") is None
        path.chmod(0)
        reader, writer = os.pipe()
        if not (child := os.fork()):
            # A child, as root may use every socket: it becomes nobody.
            try:
                if os.geteuid() == 0:
                    os.setuid(65534)
                store.again().get("x")
            except BaseException as error:
                os.write(writer, str(error).encode())
            finally:
                os._exit(0)
        os.close(writer)
        os.waitpid(child, 0)
        with open(reader) as said:
            assert said.read().startswith(f"this user may not use the socket {path}: ")


def test_a_connection_that_ends_without_an_answer_leaves_a_write_unknown(path: Path) -> None:
    with listening(path, answer=lambda asked: None) as agent:
        store = connect({"CONSUL_HTTP_ADDR": agent.address})
        with pytest.raises(OutcomeUnknown):
            store.commit([put("x", b"1")])
        with pytest.raises(ConsulError):
            store.get("x")


def test_an_agent_that_is_silent_at_its_socket_costs_the_time_out_and_leaves_a_write_unknown(path: Path) -> None:
    over = threading.Event()

    def later(asked: str) -> Answer:
        over.wait(60)
        return ABSENT

    with listening(path, answer=later) as agent:
        store = connect({"CONSUL_HTTP_ADDR": agent.address}, call_timeout_s=0.3)
        try:
            with pytest.raises(ConsulError, match="did not answer in time"):
                store.get("x")
            with pytest.raises(OutcomeUnknown):
                store.commit([put("x", b"1")])
            assert len(agent.asked) == 2
            assert not over.is_set()
        finally:
            over.set()


def test_a_relative_path_is_taken_from_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with listening(tmp_path / "consul.sock"):
        assert connect({"CONSUL_HTTP_ADDR": "unix://consul.sock"}).get("x") is None
    assert os.path.exists("consul.sock")
