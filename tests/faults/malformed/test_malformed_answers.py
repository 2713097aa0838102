"""Answers that are not Consul's, or cut off: a named error, or an outcome that is not known; never a decision."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.fakes.bad_values import JSON, QUIET
from kit.fakes.clock import FakeClock
from kit.fakes.values import a_view
from nova_ha.cli.overview import look
from nova_ha.cluster.view import read_view
from nova_ha.consul.store import Store, connect
from nova_ha.consul.transaction import cas, delete, lock, unchanged
from nova_ha.errors import ConsulError, HAError, OutcomeUnknown
from nova_ha.monitor.writing import count_failures
from nova_ha.probe.votes import read_votes

ENTRY = {"Key": "k", "Value": "Tm8=", "ModifyIndex": 7, "CreateIndex": 7, "LockIndex": 0, "Flags": 0}
HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"


class Proxy:
    """Answers every request alike: `status` and `body`; `seen` has the requests."""

    def __init__(self) -> None:
        self.status, self.body, self.declared = 200, b"", -1
        self.seen: list[str] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.store: Store = connect({"CONSUL_HTTP_ADDR": f"127.0.0.1:{self.server.server_port}"}, call_timeout_s=5)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                proxy.seen.append(f"{self.command} {self.path}")
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.send_response(proxy.status)
                self.send_header("X-Consul-Index", "7")
                self.send_header("Content-Length", str(max(len(proxy.body), proxy.declared)))
                self.end_headers()
                self.wfile.write(proxy.body)
                self.close_connection = True

            do_PUT = do_POST = do_GET

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler

    def answers(self, body: object, status: int = 200, declared: int = -1) -> None:
        """Let every request be answered so; `declared` bytes are announced, of which only the body comes."""
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.status, self.declared = status, declared


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    made = Proxy()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()


READS: dict[str, Callable[[Store], object]] = {
    "get": lambda store: store.get("k"),
    "list": lambda store: store.list("k"),
    "keys": lambda store: store.keys("k"),
    "node_name": lambda store: store.node_name(),
    "view": read_view,
    "votes": lambda store: read_votes(store, a_view()),
    "look": lambda store: look(store, FakeClock().now()),
}
WRITES: dict[str, Callable[[Store], object]] = {
    "commit": lambda store: store.commit([cas("k", b"1", 7), unchanged("other", 0), delete("gone")]),
    "lock": lambda store: store.commit([lock("k", "session")]),  # type: ignore[arg-type]
    "create_session": lambda store: store.create_session("driver", 15, 30),
}
# What no request of ours is answered with by Consul.
BODIES: dict[str, object] = {
    "nothing": b"",
    "null": None,
    "html": HTML,
    "cut-off": json.dumps([ENTRY]).encode()[:40],
    "text": "fine",
    "number": 7,
    "true": True,
    "list-of-null": [None],
    "list-of-lists": [[ENTRY]],
    "list-of-numbers": [1, 2],
    "not-utf-8": b"\xff\xfe[]",
    "deeply-nested": b"[" * 100_000,
    "nan": b"NaN",
}
# The records of the KV store with something wrong in one of them.
RECORDS: dict[str, object] = {
    "no-key": [{name: value for name, value in ENTRY.items() if name != "Key"}],
    "no-value": [{name: value for name, value in ENTRY.items() if name != "Value"}],
    "no-index": [{name: value for name, value in ENTRY.items() if name != "ModifyIndex"}],
    "key-is-null": [{**ENTRY, "Key": None}],
    "key-is-a-number": [{**ENTRY, "Key": 7}],
    "value-is-a-number": [{**ENTRY, "Value": 7}],
    "value-is-an-object": [{**ENTRY, "Value": {"a": 1}}],
    "value-is-no-base64": [{**ENTRY, "Value": "Tm8"}],
    "value-has-foreign-letters": [{**ENTRY, "Value": "Tm8=\u00e9"}],
    "index-is-text": [{**ENTRY, "ModifyIndex": "7"}],
    "index-is-null": [{**ENTRY, "ModifyIndex": None}],
    "index-is-a-fraction": [{**ENTRY, "ModifyIndex": 7.5}],
    "index-is-true": [{**ENTRY, "ModifyIndex": True}],
    "session-is-a-list": [{**ENTRY, "Session": ["x"]}],
    "flags-are-text": [{**ENTRY, "Flags": "0"}],
    "an-object-and-not-a-list": ENTRY,
    "one-of-two-is-null": [ENTRY, None],
}
ERRORS = (400, 401, 403, 413, 418, 429, 500, 502, 503, 504)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_what_is_none_of_consuls_answers_is_an_error_and_not_an_empty_cluster(
    proxy: Proxy, read: Callable[[Store], object], body: object
) -> None:
    proxy.answers(body)
    if read is READS["votes"] and isinstance(body, list):
        # One observer's row may be garbled: it has no vote, and the others theirs.
        assert read_votes(proxy.store, a_view()).of("c1").agreed(1) is None
        return
    with pytest.raises(ConsulError) as caught:
        read(proxy.store)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("records", RECORDS.values(), ids=RECORDS)
@pytest.mark.parametrize("read", [READS["get"], READS["list"], READS["view"]], ids=["get", "list", "view"])
def test_a_record_with_anything_wrong_in_it_is_an_error(
    proxy: Proxy, read: Callable[[Store], object], records: object
) -> None:
    proxy.answers(records)
    with pytest.raises(ConsulError):
        read(proxy.store)


def test_a_key_that_was_not_asked_for_is_not_taken_for_the_one_that_was(proxy: Proxy) -> None:
    proxy.answers([{**ENTRY, "Key": "another"}])
    with pytest.raises(ConsulError):
        proxy.store.get("k")


@pytest.mark.parametrize("status", ERRORS)
@pytest.mark.parametrize("body", [b"", HTML, b"rpc error: \x1b[2J rate limit exceeded" * 200])
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_an_error_is_an_error_whatever_is_beside_it(
    proxy: Proxy, read: Callable[[Store], object], body: bytes, status: int
) -> None:
    proxy.answers(body, status)
    with pytest.raises(ConsulError) as caught:
        read(proxy.store)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("body", [b"[", json.dumps([ENTRY]).encode()])
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_an_answer_that_ends_before_its_announced_length_is_an_error(
    proxy: Proxy, read: Callable[[Store], object], body: bytes
) -> None:
    proxy.answers(body, declared=len(body) + 100)
    with pytest.raises(ConsulError):
        read(proxy.store)


@pytest.mark.parametrize("body", [*BODIES.values(), [], {}, {"Results": None}, {"Results": [], "Errors": None}])
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_write_whose_answer_is_garbled_is_neither_done_nor_undone(
    proxy: Proxy, write: Callable[[Store], object], body: object
) -> None:
    proxy.answers(body)
    with pytest.raises((OutcomeUnknown, ConsulError)) as caught:
        write(proxy.store)
    # Of a session nobody knows the id: it holds nothing, and its TTL ends it.
    assert isinstance(caught.value, OutcomeUnknown) or write is WRITES["create_session"]


ANSWERS: dict[str, object] = {
    "errors-of-no-operation": {"Errors": [{"OpIndex": 99, "What": "stale"}]},
    "errors-without-words": {"Errors": [{"OpIndex": 0}]},
    "errors-of-text": {"Errors": "all of them"},
    "errors-of-null": {"Errors": [None]},
    "results-of-text": {"Results": "fine"},
    "results-of-numbers": {"Results": [1]},
    "results-without-the-key": {"Results": [{"KV": {"Key": "another", "ModifyIndex": 8}}]},
    "results-without-index": {"Results": [{"KV": {"Key": "k"}}]},
    "index-of-text": {"Results": [{"KV": {"Key": "k", "ModifyIndex": "8"}}]},
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("status", [200, 409])
def test_a_transaction_counts_as_done_only_with_the_index_of_each_key_that_it_wrote(
    proxy: Proxy, answer: object, status: int
) -> None:
    proxy.answers(answer, status)
    with pytest.raises(OutcomeUnknown):
        WRITES["commit"](proxy.store)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_behind_a_proxys_error_a_write_may_have_been_carried_out(
    proxy: Proxy, write: Callable[[Store], object], status: int
) -> None:
    proxy.answers(HTML, status)
    with pytest.raises(OutcomeUnknown):
        write(proxy.store)


@pytest.mark.parametrize("status", [400, 403, 413, 429])
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_write_that_was_refused_has_not_happened(
    proxy: Proxy, write: Callable[[Store], object], status: int
) -> None:
    proxy.answers(b"no", status)
    with pytest.raises(ConsulError):
        write(proxy.store)


@settings(QUIET, max_examples=150)
@given(body=JSON | st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(ENTRY, JSON))))
def test_no_body_makes_anything_but_an_error_or_an_answer(proxy: Proxy, body: object) -> None:
    proxy.answers(body)
    for call in (*READS.values(), *WRITES.values()):
        try:
            call(proxy.store)
        except HAError:
            continue


def test_the_monitor_writes_nothing_on_garbled_answers(proxy: Proxy) -> None:
    for body in BODIES.values():
        proxy.answers(body)
        proxy.seen.clear()
        with pytest.raises(ConsulError):
            count_failures(proxy.store, FakeClock())
        assert not [request for request in proxy.seen if not request.startswith("GET")]
