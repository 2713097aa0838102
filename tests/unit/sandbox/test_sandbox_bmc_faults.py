"""What a BMC of the sandbox shows and does, well and with its faults."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from nova_ha.power.identity import Match, compared
from nova_ha.sandbox import bmc_server
from nova_ha.sandbox.bmc_server import BAD_STATE, INITIALIZING, BMCFault, BMCPlan, PowerControl
from nova_ha.sandbox.chassis import Chassis, HostPlan

IDENTITY = "005cb4e7-0989-eb11-8000-7cc255106afe"


class Rack:
    """A chassis whose power is a word in a file, without a process behind it, and its BMC."""

    def __init__(self, folder: Path) -> None:
        nowhere = "http://127.0.0.1:9"
        self.chassis = Chassis.build(folder / "host", HostPlan("compute-1", "127.0.0.1", nowhere, str(folder)))
        (folder / "host" / "power").write_text("on")
        self.fault = folder / "fault"
        self.log = folder / "log"
        chassis, log, fault = str(folder / "host"), str(self.log), str(self.fault)
        self.bmc = PowerControl(BMCPlan("127.0.0.1", 6230, "user", "secret", IDENTITY, chassis, log, fault))

    def with_fault(self, fault: BMCFault) -> Rack:
        self.fault.write_text(fault.value)
        return self


@pytest.fixture
def rack(tmp_path: Path) -> Rack:
    return Rack(tmp_path)


def test_power_off_cuts_the_power(rack: Rack) -> None:
    assert rack.bmc.state() == "on"
    assert rack.bmc.off() == 0
    assert (rack.bmc.state(), rack.chassis.has_power) == ("off", False)


def test_a_bmc_that_lies_says_off_and_the_power_is_on(rack: Rack) -> None:
    assert rack.with_fault(BMCFault.LIES).bmc.off() == 0
    assert (rack.bmc.state(), rack.chassis.has_power) == ("off", True)


def test_a_bmc_tells_the_truth_again_once_it_is_mended(rack: Rack) -> None:
    rack.with_fault(BMCFault.LIES).bmc.off()
    assert rack.with_fault(BMCFault.NONE).bmc.state() == "on"


def test_a_bmc_that_sticks_says_ok_and_leaves_the_power_on(rack: Rack) -> None:
    assert rack.with_fault(BMCFault.STICKS).bmc.off() == 0
    assert (rack.bmc.state(), rack.chassis.has_power) == ("on", True)


def test_a_bmc_that_refuses_says_so(rack: Rack) -> None:
    assert rack.with_fault(BMCFault.REFUSES).bmc.off() == BAD_STATE
    assert rack.chassis.has_power


@pytest.mark.parametrize(
    ("fault", "shown", "known_as"),
    [
        (BMCFault.NONE, IDENTITY, Match.EQUAL),
        (BMCFault.TURNED, "e7b45c00-8909-11eb-8000-7cc255106afe", Match.EQUAL),
        (BMCFault.PLACEHOLDER, "03000200-0400-0500-0006-000700080009", Match.NOTHING_TO_COMPARE),
        (BMCFault.NAMELESS, None, Match.NOTHING_TO_COMPARE),
    ],
)
def test_a_bmc_shows_its_identity_as_bmcs_do(rack: Rack, fault: BMCFault, shown: str | None, known_as: Match) -> None:
    found = rack.with_fault(fault).bmc.identity()
    assert (found and str(found)) == shown
    assert compared(IDENTITY, shown) is known_as
    assert rack.bmc.off() == 0
    assert not rack.chassis.has_power


def test_a_watchdog_cycles_the_host_once_as_the_first_command_comes(
    rack: Rack, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept, back = threading.Event(), threading.Event()
    monkeypatch.setattr(bmc_server.time, "sleep", lambda seconds: slept.wait(20))
    returns = Chassis.stay_in_firmware
    monkeypatch.setattr(Chassis, "stay_in_firmware", lambda chassis: (returns(chassis), back.set()))
    bmc = rack.with_fault(BMCFault.CYCLES).bmc
    assert bmc.off() == bmc.off() == BAD_STATE
    assert bmc.state() == "off"
    slept.set()
    assert back.wait(20)
    assert bmc.state() == "on"
    assert (bmc.off(), bmc.state()) == (0, "off")


def test_a_bmc_that_restarts_refuses_and_reads_off(rack: Rack) -> None:
    bmc = rack.with_fault(BMCFault.RESTARTS).bmc
    assert (bmc.off(), bmc.state()) == (INITIALIZING, "off")
    assert rack.chassis.has_power
    assert rack.with_fault(BMCFault.NONE).bmc.state() == "on"


def test_every_command_is_in_the_log(rack: Rack) -> None:
    rack.bmc.state()
    rack.with_fault(BMCFault.REFUSES).bmc.off()
    lines = [json.loads(line) for line in rack.log.read_text().splitlines()]
    assert [(line["command"], line["said"]) for line in lines] == [("power", "on"), ("power off", "refused")]


def test_plans_do_not_show_passwords() -> None:
    plan = HostPlan("c1", "127.0.0.1", "http://nova", "/x", password="top-secret")
    bmc = BMCPlan("127.0.0.1", 6230, "user", "top-secret", "id", "/x", "/x", "/x")
    assert "top-secret" not in f"{plan!r} {bmc!r}"
