"""The table of drivers: what the rest of the product knows of a driver stands in its row."""

from __future__ import annotations

import sys
from types import ModuleType

import click
import pytest
from kit.fakes.kv_entries import compute_keys
from nova_ha.cli.commands.node import add
from nova_ha.cluster.node import ComputeNode
from nova_ha.power import PowerOffAnswer, PowerReading, PowerState
from nova_ha.power.device import FenceDevice
from nova_ha.power.diagnosis import Diagnosis, Trouble
from nova_ha.power.drivers import DRIVERS, FenceDriver, preload
from nova_ha.power.order import BMCAnswer, BMCTask
from nova_ha.power.worker import visit

OFF = PowerReading(PowerState.OFF)
DEVICE = FenceDevice("lever", "10.0.0.7", 7, "ann", "s3cret", identity="left")


class LeverLogin:
    """A driver of our own; `preloads` counts."""

    preloads = 0

    def __init__(self, device: FenceDevice) -> None:
        self.identity_of = device.identity

    @classmethod
    def preload(cls) -> None:
        cls.preloads += 1

    def power(self) -> PowerReading:
        return OFF

    def power_off(self) -> PowerOffAnswer:
        return PowerOffAnswer.TAKEN

    def identity(self) -> str | None:
        return self.identity_of

    def foreseen(self) -> Diagnosis:
        return Diagnosis(Trouble.NONE)

    def close(self) -> None: ...


@pytest.fixture
def third(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third driver: its own file, and a row."""
    file = ModuleType("nova_ha.power.lever")
    file.LOGIN = LeverLogin  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, file.__name__, file)
    monkeypatch.setitem(DRIVERS, "lever", FenceDriver("lever", 7, file.__name__))


@pytest.mark.usefixtures("third")
def test_a_row_is_all_that_a_node_needs_to_be_fenced_by_a_third_driver() -> None:
    node = ComputeNode.from_entries("c1", compute_keys("c1", config__bmc__driver="Lever"))
    assert node.problems == ()
    assert node.bmc is not None
    assert (node.bmc.driver, node.bmc.port) == ("lever", 7)

    answers: list[BMCAnswer] = []
    visit(BMCTask.LOOK, DEVICE, answers.append)
    assert answers == [BMCAnswer(OFF, "left", sent=True)]


@pytest.mark.usefixtures("third")
def test_a_driver_that_nobody_wrote_is_refused_with_the_names_of_those_there_are() -> None:
    node = ComputeNode.from_entries("c1", compute_keys("c1", config__bmc__driver="telepathy"))
    assert [problem.what for problem in node.problems] == [f"is 'telepathy', expected {' or '.join(DRIVERS)}"]
    assert "lever" in node.problems[0].what


@pytest.mark.usefixtures("third")
def test_a_driver_of_the_sweep_is_loaded_once_and_one_that_nobody_wrote_stops_nobody() -> None:
    before = LeverLogin.preloads
    preload(["lever", "telepathy", "lever"])
    assert LeverLogin.preloads == before + 1


@pytest.mark.parametrize("driver", DRIVERS.values(), ids=DRIVERS)
def test_the_help_of_a_node_has_each_driver_with_its_port_and_its_use_of_tls(driver: FenceDriver) -> None:
    helps = {option.opts[0]: str(option.help) for option in add.params if isinstance(option, click.Option)}
    assert driver.name in helps["--bmc-driver"]
    assert f"{driver.port} for {driver.name}" in helps["--bmc-port"]
    assert (driver.name in helps["--bmc-tls"]) is driver.has_tls


@pytest.mark.parametrize("name", DRIVERS)
def test_the_file_of_a_row_has_its_login(name: str) -> None:
    login = DRIVERS[name].load()
    assert all(
        callable(getattr(login, call)) for call in ("power", "power_off", "identity", "foreseen", "close", "preload")
    )


def test_a_fence_device_is_named_without_its_password() -> None:
    assert str(DEVICE) == "lever://ann@10.0.0.7:7"
    assert "s3cret" not in repr(DEVICE)
