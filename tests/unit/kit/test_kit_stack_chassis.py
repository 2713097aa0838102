"""A host of the real OpenStack that has no power: its SSH port is silent, and free again when it boots."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.stack import hosts
from kit.stack.chassis import StackChassis
from nova_ha.sandbox.chassis import HostPlan

ADDRESS, PORT = "127.143.9.1", 2222


@pytest.fixture
def chassis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StackChassis]:
    monkeypatch.setattr(hosts, "power_off", lambda name: None)
    monkeypatch.setattr(hosts, "start", lambda name: None)
    found = StackChassis.build(tmp_path / "c1", HostPlan("c1", ADDRESS, "", str(tmp_path), sshd_port=PORT))
    assert isinstance(found, StackChassis)
    yield found
    found.end_dark()


def test_the_port_of_a_host_without_power_says_nothing_and_can_be_taken_when_it_boots(chassis: StackChassis) -> None:
    chassis.power_off()
    with socket.socket() as client:
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.connect((ADDRESS, PORT))
    chassis.power_on()
    with socket.create_server((ADDRESS, PORT)):
        pass
