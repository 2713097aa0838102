"""What is read of a Redfish BMC's answers is bounded: in bytes, packed and unpacked, and in time."""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.machines.redfish import FakeRedfish, start_fake_redfish
from nova_ha.power import PowerReading, PowerState
from nova_ha.power.child import carry_out_in_a_child
from nova_ha.power.diagnosis import Trouble
from nova_ha.power.order import BMCAnswer, BMCTask, Order
from nova_ha.power.redfish_answer import MOST_BYTES, AnswerTooLong, body_of
from urllib3 import PoolManager
from urllib3.exceptions import ProtocolError

ON = PowerReading(PowerState.ON)
SPACES = b" " * (MOST_BYTES + 1)


@pytest.fixture
def bmc(tmp_path: Path) -> Iterator[FakeRedfish]:
    with start_fake_redfish(tmp_path, "127.11.4.9", 0) as bmc:
        yield bmc


def look(bmc: FakeRedfish, each_s: float = 60.0) -> BMCAnswer:
    order = Order(BMCTask.LOOK, {"": bmc.device}, time.monotonic() + each_s, each_s)
    return carry_out_in_a_child(order)[""]


@pytest.mark.parametrize("unsized", [False, True])
@pytest.mark.parametrize("packs", [False, True])
def test_an_answer_of_a_usual_length_is_read(bmc: FakeRedfish, packs: bool, unsized: bool) -> None:
    bmc.floods, bmc.packs, bmc.unsized = 100_000, packs, unsized
    answer = look(bmc)
    assert (answer.power, answer.identity) == (ON, str(bmc.uuid).lower())


@pytest.mark.fault(52)
@pytest.mark.parametrize("unsized", [False, True])
@pytest.mark.parametrize("packs", [False, True])
def test_an_answer_without_end_is_a_trouble_of_its_own(bmc: FakeRedfish, packs: bool, unsized: bool) -> None:
    bmc.floods, bmc.packs, bmc.unsized = 64 << 20, packs, unsized
    answer = look(bmc)
    assert answer.diagnosis.trouble is Trouble.TOO_LONG
    assert answer.power.state is PowerState.UNKNOWN


@pytest.mark.fault(52)
def test_an_answer_that_drips_ends_by_the_time_limit(bmc: FakeRedfish) -> None:
    bmc.drips = True
    answer = look(bmc, each_s=3.0)
    assert answer.diagnosis.trouble is Trouble.TIMED_OUT
    assert answer.power.state is PowerState.UNKNOWN


def read(body: bytes, head: str) -> bytes:
    """Read the answer as it came on a connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        answering = threading.Thread(
            target=_answer, args=(server, f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode() + body)
        )
        answering.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        try:
            return body_of(PoolManager().request("GET", url, preload_content=False))
        finally:
            answering.join(timeout=10)


def _answer(server: socket.socket, text: bytes) -> None:
    connection, _ = server.accept()
    with connection, contextlib.suppress(OSError):
        connection.recv(65536)
        connection.sendall(text)


@pytest.mark.parametrize(
    ("body", "head"),
    [
        (b"", f"Content-Length: {MOST_BYTES + 1}"),  # not even waited for
        (SPACES, "Connection: close"),
        (b"%x\r\n%s\r\n0\r\n\r\n" % (len(SPACES), SPACES), "Transfer-Encoding: chunked"),
        (gzip.compress(SPACES), "Content-Encoding: gzip"),
    ],
)
def test_what_is_longer_is_not_read(body: bytes, head: str) -> None:
    with pytest.raises(AnswerTooLong, match="too long"):
        read(body, head)


@pytest.mark.parametrize(
    ("body", "head"),
    [
        (b"{}", "Content-Length: 2"),
        (SPACES[1:], "Connection: close"),
        (b"2\r\n{}\r\n0\r\n\r\n", "Transfer-Encoding: chunked"),
        (b"{}", "Content-Encoding: gzip"),  # it only says so
    ],
)
def test_what_is_no_longer_is_read_as_it_is(body: bytes, head: str) -> None:
    assert read(body, head) in (b"{}", SPACES[1:])


def test_an_answer_that_ends_too_early_is_missed() -> None:
    with pytest.raises(ProtocolError, match="IncompleteRead"):
        read(b"{", "Content-Length: 2")
