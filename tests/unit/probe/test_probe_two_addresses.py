"""A name with two addresses, one of which this machine cannot even try."""

from __future__ import annotations

import errno
import socket
from asyncio.selector_events import BaseSelectorEventLoop
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from nova_ha.cluster.node import SSHConfig
from nova_ha.probe import reach, ssh_sweep
from nova_ha.probe.sighting import State


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that drops whatever comes, as a dead host does: its queue is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.mark.fault(1)
def test_a_dead_host_with_two_addresses_fails_also_where_this_machine_has_no_ipv6(
    silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = BaseSelectorEventLoop.sock_connect

    async def without_ipv6(self: Any, sock: socket.socket, address: Any) -> None:
        if sock.family == socket.AF_INET6:
            raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
        await connect(self, sock, address)

    both = [(socket.AF_INET, ("127.0.0.1", silent_port)), (socket.AF_INET6, ("fd00::dead", silent_port, 0, 0))]
    monkeypatch.setattr(reach, "_resolve", lambda *_: both)
    monkeypatch.setattr(BaseSelectorEventLoop, "sock_connect", without_ipv6)
    seen = ssh_sweep.sweep({"c1": SSHConfig("c1", silent_port, "u", "p")}, 4.0, 1.0)["c1"]
    assert seen.state is State.FAILING, seen
