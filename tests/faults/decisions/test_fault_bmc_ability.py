"""What account and BMC can is known before the night: fault 56."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from kit.machines.redfish import FakeRedfish, error, start_fake_redfish
from kit.shown import shows
from nova_ha.checks.bmc import judge
from nova_ha.power.bmc_sweep import sweep
from nova_ha.probe.sighting import State

ENOUGH_S = 30.0


def may_only_read(bmc: FakeRedfish) -> None:
    bmc.role = "ReadOnly"


def offers_no_force_off(bmc: FakeRedfish) -> None:
    bmc.resets = ("On", "GracefulShutdown", "PushPowerButton")


def has_no_session(bmc: FakeRedfish) -> None:
    bmc.most_sessions = 0


def wants_another_password(bmc: FakeRedfish) -> None:
    bmc.pages["POST"] = 403, error("Base.1.5.PasswordChangeRequired")


@pytest.mark.fault(56)
@pytest.mark.parametrize("fault", [may_only_read, offers_no_force_off, has_no_session, wants_another_password])
def test_a_bmc_that_could_not_fence_is_said_so_by_the_check(
    fault: Callable[[FakeRedfish], None], tmp_path: Path
) -> None:
    with start_fake_redfish(tmp_path, "127.11.4.12", 0) as bmc:
        fault(bmc)
        sighting = judge(bmc.device, sweep({"c1": bmc.device}, ENOUGH_S)["c1"])
    assert sighting.state is State.FAILING
    if fault is may_only_read:
        shows(56, "cannot be fenced: its account may only read", sighting.why)
    elif fault is offers_no_force_off:
        shows(56, "cannot be fenced: it does not offer ForceOff", sighting.why)
    elif fault is has_no_session:
        shows(56, "cannot be fenced: no free session", sighting.why)
    else:
        shows(56, "cannot be fenced: login refused: the password must be changed", sighting.why)


@pytest.mark.fault(56)
def test_a_bmc_that_could_is_well(tmp_path: Path) -> None:
    with start_fake_redfish(tmp_path, "127.11.4.12", 0) as bmc:
        device = replace(bmc.device, identity=bmc.uuid)
        assert judge(device, sweep({"c1": device}, ENOUGH_S)["c1"]).state is State.WELL
