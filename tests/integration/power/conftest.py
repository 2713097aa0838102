"""BMCs of three makes, each with a way to look behind it, and a check that no process is left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.machines.bmc import SimulatedBMC, start_bmcs
from kit.machines.makes import Make
from kit.machines.processes import MARK, new_mark, wait_until_marked
from kit.machines.redfish import FakeRedfish, start_fake_redfish, start_sushy


@pytest.fixture(autouse=True)
def mark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """Every test ends without a process of ours, and knows no other's sessions at BMCs."""
    value = new_mark()
    monkeypatch.setenv("NOVA_HA_RUN", str(tmp_path / "run"))
    monkeypatch.setenv(MARK, value)
    yield value
    wait_until_marked(value, 0)


@pytest.fixture
def ipmi(tmp_path: Path) -> Iterator[SimulatedBMC]:
    with start_bmcs(tmp_path / "ipmi", 1, network="127.11.2") as bmcs:
        yield bmcs[0]


@pytest.fixture
def redfish(tmp_path: Path) -> Iterator[FakeRedfish]:
    with start_fake_redfish(tmp_path, "127.11.4.2") as bmc:
        yield bmc


@pytest.fixture(params=["ipmi_sim", "sushy-emulator", "sessions"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """A BMC whose host is on: OpenIPMI's, OpenStack's, and ours with sessions."""
    if request.param == "ipmi_sim":
        bmc: SimulatedBMC = request.getfixturevalue("ipmi")
        yield Make(bmc.device, bmc.identity, "login refused (Incorrect password provided)")
    elif request.param == "sessions":
        fake: FakeRedfish = request.getfixturevalue("redfish")
        yield Make(fake.device, str(fake.uuid).lower(), "login refused (Access Denied)")
    else:
        with start_sushy(tmp_path / "sushy", "127.11.4.1") as sushy:
            yield Make(sushy.device, sushy.system, "login refused (Access Denied)")
