"""A compute host's chassis whose nova-compute and guests are the stack's; run by a BMC, its power button.

python -m kit.stack.chassis FOLDER 0
"""

from __future__ import annotations

import sys
from pathlib import Path

from nova_ha.sandbox.chassis import Chassis

from kit.machines.power_button import cut
from kit.stack import hosts


class StackChassis(Chassis):
    """One host of the stack by its folder: what happens to its power happens to its nova-compute and its guests."""

    def power_on(self) -> None:
        """Give it power: its nova-compute starts, and this waits until it reports."""
        self._note("power", "on")
        hosts.start(self.plan.name)

    def power_off(self) -> None:
        """Cut its power: nova-compute ends in the middle of whatever it does, and the guests with it."""
        hosts.power_off(self.plan.name)
        self._note("power", "off")

    def hang(self) -> None:
        """Let it hang: nova-compute no longer reports. Its guests run on."""
        hosts.hang(self.plan.name)

    def go_on(self) -> None:
        """Let it go on after `hang`."""
        hosts.go_on(self.plan.name)


if __name__ == "__main__" and sys.argv[2] == "0":
    cut(StackChassis(Path(sys.argv[1])))
