"""A compute host's chassis whose nova-compute and guests are the stack's; run by a BMC, its power button.

python -m kit.stack.chassis FOLDER 0
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from nova_ha.sandbox.chassis import Chassis
from nova_ha.sandbox.host import be_dark

from kit.machines.power_button import cut
from kit.stack import hosts


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
        """Leave a process behind that keeps its SSH port silent, as that of a machine without power is."""
        if self.is_dark:
            return
        if os.fork() == 0:
            os.setsid()
            nowhere = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(nowhere, stream)
            be_dark(self)
        self.await_dark()

    def hang(self) -> None:
        """Let it hang: nova-compute no longer reports. Its guests run on."""
        hosts.hang(self.plan.name)

    def go_on(self) -> None:
        """Let it go on after `hang`."""
        hosts.go_on(self.plan.name)


if __name__ == "__main__" and sys.argv[2] == "0":
    cut(StackChassis(Path(sys.argv[1])))
