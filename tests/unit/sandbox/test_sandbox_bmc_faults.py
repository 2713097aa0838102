"""What a BMC of the sandbox shows and does, well and with its faults."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from nova_ha.sandbox.bmc_server import BAD_STATE, BMCFault, BMCPlan, PowerControl
from nova_ha.sandbox.chassis import Chassis, HostPlan


class Rack:
    """A chassis whose power is a word in a file, without a process behind it, and its BMC."""

    def __init__(self, folder: Path) -> None:
        nowhere = "http://127.0.0.1:9"
        self.chassis = Chassis.build(folder / "host", HostPlan("compute-1", "127.0.0.1", nowhere, str(folder)))
        (folder / "host" / "power").write_text("on")
        self.fault = folder / "fault"
        self.log = folder / "log"
        chassis, log, fault = str(folder / "host"), str(self.log), str(self.fault)
        self.bmc = PowerControl(BMCPlan("127.0.0.1", 6230, "user", "secret", "identity", chassis, log, fault))

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


def test_every_command_is_in_the_log(rack: Rack) -> None:
    rack.bmc.state()
    rack.with_fault(BMCFault.REFUSES).bmc.off()
    lines = [json.loads(line) for line in rack.log.read_text().splitlines()]
    assert [(line["command"], line["said"]) for line in lines] == [("power", "on"), ("power off", "refused")]


def test_plans_do_not_show_passwords() -> None:
    plan = HostPlan("c1", "127.0.0.1", "http://nova", "/x", password="top-secret")
    bmc = BMCPlan("127.0.0.1", 6230, "user", "top-secret", "id", "/x", "/x", "/x")
    assert "top-secret" not in f"{plan!r} {bmc!r}"
