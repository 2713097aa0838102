"""A BMC that hangs works off later what has waited in it: the auditor is told when it can have been sent."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from kit.audit.trace import PowerCommand
from kit.machines.bmc import Fault, SimulatedBMC
from kit.machines.evidence import of_machine


def a_bmc(directory: Path) -> SimulatedBMC:
    """A BMC of which only the folder is there."""
    folder = directory / "bmc-1"
    folder.mkdir()
    return SimulatedBMC(folder, "198.18.3.1", 623, "0f" * 16, None)  # type: ignore[arg-type]


def is_told(bmc: SimulatedBMC) -> None:
    """Note a power-off, as the chassis script does when it comes."""
    with (bmc.folder / "seen").open("a") as seen:
        seen.write(f"{time.time():.9f} set 0\n")


def commands(directory: Path) -> list[PowerCommand]:
    return [record for record in of_machine("compute-1", directory) if isinstance(record, PowerCommand)]


def test_a_command_that_comes_when_a_bmc_goes_on_may_have_been_sent_while_it_hung(tmp_path: Path) -> None:
    bmc = a_bmc(tmp_path)
    began = datetime.now(UTC)
    bmc.break_commands(Fault.HANGS)
    hung = datetime.now(UTC)
    bmc.break_commands(None)
    is_told(bmc)
    [command] = commands(tmp_path)
    assert command.since is not None
    assert began <= command.since <= hung


def test_a_command_to_a_bmc_that_never_hung_was_sent_when_it_came(tmp_path: Path) -> None:
    bmc = a_bmc(tmp_path)
    bmc.break_commands(Fault.LIES)
    bmc.break_commands(None)
    is_told(bmc)
    assert [command.since for command in commands(tmp_path)] == [None]
