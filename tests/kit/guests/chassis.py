"""The chassis of a host with real guests; run by its BMC, its power button.

python -m kit.guests.chassis FOLDER 0|1
"""

from __future__ import annotations

import sys
from pathlib import Path

from nova_ha.sandbox.chassis import Chassis

from kit.guests.host import Host
from kit.machines.power_button import note, note_cut


class GuestsChassis(Chassis):
    """One host by its folder: what happens to its power happens to all that runs on it."""

    @property
    def host(self) -> Host:
        """The host in it."""
        return Host(self.plan.name)

    def power_on(self) -> None:
        """Give it power; it boots in its own time."""
        note(self.directory, "on")
        self.host.boot()
        self._note("power", "on")

    def power_off(self) -> None:
        """Cut its power, and note when."""
        note_cut(self.directory)
        self.host.power_off()
        self._note("power", "off")

    def hang(self) -> None:
        """Let all of it hang, its guests too."""
        self.host.hang()

    def go_on(self) -> None:
        """Let it go on after `hang`."""
        self.host.go_on()


if __name__ == "__main__":
    ours = GuestsChassis(Path(sys.argv[1]))
    ours.power_off() if sys.argv[2] == "0" else ours.power_on()
