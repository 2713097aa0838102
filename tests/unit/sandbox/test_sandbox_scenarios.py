"""The faults of a rehearsal, and who they strike."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from nova_ha.cli.commands.sandbox import FAULTS
from nova_ha.errors import ConfigError
from nova_ha.sandbox.scenario import SCENARIOS


def a_cloud(hosts: int) -> Any:
    return SimpleNamespace(machines={f"compute-{number}": None for number in range(1, hosts + 1)})


def test_the_command_offers_every_scenario_and_no_other() -> None:
    assert tuple(SCENARIOS) == FAULTS


def test_the_chosen_hosts_fail_each_once() -> None:
    chosen = ["compute-2", "compute-1", "compute-2"]
    assert SCENARIOS["host-hangs"].victims(a_cloud(4), chosen) == ("compute-2", "compute-1")


def test_a_host_that_there_is_not_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"compute-9.*compute-1, compute-2"):
        SCENARIOS["host-hangs"].victims(a_cloud(2), ["compute-9"])


def test_a_lost_switch_strikes_all_hosts() -> None:
    assert len(SCENARIOS["all-hosts-silent"].victims(a_cloud(4), ["compute-1"])) == 4


@pytest.mark.parametrize(("fault", "hosts"), [("all-hosts-silent", 2), ("wrong-bmc", 1)])
def test_a_cloud_too_small_for_the_fault_is_refused(fault: str, hosts: int) -> None:
    with pytest.raises(ConfigError, match="--compute"):
        SCENARIOS[fault].victims(a_cloud(hosts), ["compute-1"])
