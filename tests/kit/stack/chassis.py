"""A compute host's chassis whose nova-compute and guests are the stack's; run by a BMC, its power button.

python -m kit.stack.chassis FOLDER 0

With `dark` it keeps the host's port silent, and does nothing else.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from nova_ha.sandbox.chassis import Chassis
from nova_ha.sandbox.host import be_dark
from nova_ha.sandbox.processes import marked

from kit.machines.power_button import cut
from kit.stack import hosts

TESTS = Path(__file__).resolve().parents[2]
DARK = "dark"


class StackChassis(Chassis):
    """One host of the stack by its folder: what happens to its power happens to its nova-compute and its guests."""

    def power_on(self) -> None:
        """Give it power: its nova-compute starts, and this waits until it reports."""
        self.end_dark()
        self._note("power", "on")
        hosts.start(self.plan.name)

    def power_off(self) -> None:
        """Cut its power: nova-compute ends in the middle of whatever it does, and the guests with it."""
        hosts.power_off(self.plan.name)
        self._go_dark()
        self._note("power", "off")

    def _go_dark(self) -> None:
        """Leave a process behind that keeps its SSH port silent, as that of a machine without power is.

        It has the sandbox's mark, whoever cuts the power, so that it can be ended when the host boots.
        """
        if self.is_dark:
            return
        subprocess.Popen(
            [sys.executable, "-m", "kit.stack.chassis", str(self.directory), DARK],
            env={**marked(os.environ, self._sandbox), "PYTHONPATH": str(TESTS)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.await_dark()

    def hang(self) -> None:
        """Let it hang: nova-compute no longer reports. Its guests run on."""
        hosts.hang(self.plan.name)

    def go_on(self) -> None:
        """Let it go on after `hang`."""
        hosts.go_on(self.plan.name)


if __name__ == "__main__":
    ours = StackChassis(Path(sys.argv[1]))
    if sys.argv[2] == "0":
        cut(ours)
    elif sys.argv[2] == DARK:
        be_dark(ours)
