"""A compute host with real guests as the clouds have their machines: the host, and its BMC outside of it."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from nova_ha.sandbox.network import Network
from nova_ha.sandbox.waiting import until

from kit.guests.chassis import GuestsChassis
from kit.guests.host import Host, Job, Setup
from kit.guests.layout import TESTS
from kit.machines.machine import SSH_PORT, RealMachine
from kit.machines.power_button import CUT_AT, note

BOOTS_WITHIN_S = 120.0


class GuestsMachine(RealMachine):
    """One compute host, off until `start`. Its sshd and its Consul agent start as it boots."""

    chassis_kind = GuestsChassis
    power_button = ("kit.guests.chassis", TESTS)

    def __init__(self, name: str, number: int, network: Network, sandbox: Path) -> None:
        super().__init__(name, number, network, "", sandbox)
        self.host = Host(name)
        # What happened to it last.
        self.fault, self.failed_at = "", datetime.now(UTC)

    def set_up(self, jobs: Mapping[str, Job]) -> None:
        """Say what it starts when it boots, beside its sshd."""
        argv, environ = self.sshd.command
        self.host.set_up(Setup(self.chassis.plan.address, jobs={"sshd": Job(argv, environ), **jobs}))

    def boot(self) -> None:
        """Power on, and wait for its sshd. When its power was cut before that does not count any more."""
        (self.directory / CUT_AT).unlink(missing_ok=True)
        self.bmc.power = "on"
        self.chassis.power_on()
        until(self._listens, f"the sshd of {self.name}", BOOTS_WITHIN_S)
        note(self.directory, "answers")

    def hang(self) -> None:
        """Hang as a whole: its kernel accepts connections, and nothing goes on, its guests neither."""
        self._fails("hung")
        self.chassis.hang()
        note(self.directory, "silent")

    def go_on(self) -> None:
        """Go on after `hang`."""
        self.chassis.go_on()
        note(self.directory, "answers")

    def lose_network(self) -> None:
        """Lose its link. Its guests write on: their disks are not on that network."""
        self._fails("cut off")
        self.host.cut()
        note(self.directory, "silent")

    def find_network(self) -> None:
        """Have its link again."""
        self.host.mend()
        note(self.directory, "answers")

    def lose_power(self) -> None:
        """Lose the power behind the BMC's back; the BMC sees it."""
        self._fails("without power")
        self.bmc.power = "off"
        self.chassis.power_off()

    def close(self) -> None:
        """End the BMC, and the host."""
        super().close()
        self.host.remove()

    def _fails(self, fault: str) -> None:
        self.fault, self.failed_at = fault, datetime.now(UTC)

    def _listens(self) -> bool:
        with suppress(OSError), socket.create_connection((self.chassis.plan.address, SSH_PORT), timeout=1):
            return True
        return False
