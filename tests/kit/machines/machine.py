"""A compute host of real parts: OpenSSH with a password login, nova-compute's heartbeat, and a BMC by OpenIPMI.

What the BMC does to the power is done to the processes of the host, and to its guests in the simulated Nova.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from nova_ha.clock import from_stamp
from nova_ha.sandbox.chassis import Chassis, HostPlan
from nova_ha.sandbox.network import Network
from nova_ha.sandbox.processes import Child, marked

from kit.machines.bmc import SimulatedBMC, start_bmc
from kit.machines.power_button import CUT_AT, SSHD_PROCESS, cut, note
from kit.machines.sshd import PASSWORD, SSHD, USER

SSH_PORT = 2222
TESTS = Path(__file__).parents[2]


class RealMachine:
    """One compute host, off until `start`; `number` is its place in the network."""

    chassis_kind = Chassis
    # The module that its BMC runs when the power is cut, and where it is.
    power_button = ("kit.machines.power_button", TESTS)
    sshd_settings: ClassVar[Mapping[str, str]] = {}

    def __init__(self, name: str, number: int, network: Network, nova_url: str, sandbox: Path) -> None:
        self.name = name
        self.directory = sandbox / "machines" / name
        self._sandbox = sandbox
        self._bmc_address = network.bmc(number)
        plan = HostPlan(name, network.host(number), nova_url, str(sandbox), sshd_port=SSH_PORT)
        self.chassis = self.chassis_kind.build(self.directory, plan)
        ssh = self.directory / "ssh"
        ssh.mkdir()
        self.sshd = SSHD(ssh, plan.address, SSH_PORT, settings=self.sshd_settings, sandbox=sandbox)
        self._hostile: Child | None = None
        self._bmcs = 0
        self.bmc: SimulatedBMC

    def start(self) -> None:
        """Start the BMC, and boot the host."""
        self.bmc = self._new_bmc()
        self.boot()

    def boot(self) -> None:
        """Power on: sshd and nova-compute start."""
        self.bmc.power = "on"
        note(self.directory, "on")
        with self.place():
            self.chassis.power_on()
            self._start_sshd()

    def _start_sshd(self) -> None:
        self.sshd.start()
        (self.directory / SSHD_PROCESS).write_text(str(self.sshd.process))
        note(self.directory, "answers")

    def place(self) -> AbstractContextManager[None]:
        """Return what is to be entered where something is started on it."""
        return nullcontext()

    def hang(self) -> None:
        """Hang: its kernel accepts connections, and neither sshd nor nova-compute goes on. Its guests run on."""
        self.sshd.suspend()
        self.chassis.hang()
        note(self.directory, "silent")

    def hang_over_disk(self, file: str) -> None:
        """Hang over this file of its disk: sshd greets, and goes no further; nova-compute does not go on."""
        self.hang_logins(file)
        self.chassis.hang()

    def hang_logins(self, file: str) -> None:
        """Let logins hang over this file, and all else of it be well."""
        self.sshd.block(file)
        note(self.directory, "silent")

    def go_on(self) -> None:
        """Go on after `hang` and its like."""
        self.chassis.go_on()
        self.sshd.resume()
        self.mend_logins()

    def mend_logins(self) -> None:
        """Let logins work again after `hang_logins`."""
        self.sshd.unblock()
        note(self.directory, "answers")

    def lose_sshd(self, hostile: str = "") -> None:
        """Lose sshd, whose port refuses from now on; or a server that means no good takes its place."""
        self.sshd.kill()
        note(self.directory, "silent")
        if hostile:
            address = self.chassis.plan.address
            argv = [sys.executable, "-m", "kit.machines.hostile", address, str(SSH_PORT), hostile]
            environ = marked({**os.environ, "PYTHONPATH": str(TESTS)}, self._sandbox)
            self._hostile = Child(f"hostile {self.name}", argv, environ, self.directory / "hostile.log")
            with self.place():
                self._hostile.start()

    def return_sshd(self) -> None:
        """Start sshd again after `lose_sshd`."""
        if self._hostile:
            self._hostile.kill()
            self._hostile = None
        with self.place():
            self._start_sshd()

    def lose_power(self) -> None:
        """Lose the power behind the BMC's back; the BMC sees it."""
        self.bmc.power = "off"
        cut(self.chassis)

    def lose_bmc(self) -> None:
        """Lose the BMC: nobody answers at its address."""
        self.bmc.close()

    def return_bmc(self, guid: str | None = None) -> None:
        """Put a BMC back at the address: the same one, or another machine's."""
        self.bmc = self._new_bmc(guid or self.bmc.guid, self.bmc.power)

    def close(self) -> None:
        """End the BMC; the host's processes end with the sandbox."""
        if self._bmcs:
            self.bmc.close()

    @property
    def settings(self) -> Mapping[str, str]:
        """What an operator would give to `nova-ha node add`, by the names of `registry.NodeSettings`."""
        bmc = self.bmc.device
        return {
            "ssh_address": self.chassis.plan.address,
            "ssh_port": str(SSH_PORT),
            "ssh_user": USER,
            "ssh_password": PASSWORD,
            "ssh_host_key": self.sshd.host_key,
            "bmc_ip": bmc.host,
            "bmc_port": str(bmc.port),
            "bmc_user": bmc.user,
            "bmc_password": bmc.password,
            "bmc_identity": self.bmc.identity,
        }

    @property
    def commands(self) -> Sequence[str]:
        """The power commands that its BMC was given, by the BMC's own log: `set 0` is off, `set 1` on."""
        folders = sorted(self.directory.glob("bmc-*/calls"))
        return [line for path in folders for line in path.read_text().splitlines() if line.startswith("set")]

    @property
    def only_cut(self) -> bool:
        """True when its BMC was told to cut the power, and nothing else.

        How often it was told is in the incident's story: pyghmi sends a packet again whose answer is late, and
        ipmi_sim carries it out again.
        """
        return set(self.commands) == {"set 0"}

    @property
    def cut_at(self) -> datetime | None:
        """When its power was first cut."""
        notes = self.directory / CUT_AT
        return from_stamp(notes.read_text().splitlines()[0]) if notes.exists() else None

    def _new_bmc(self, guid: str | None = None, power: str = "off") -> SimulatedBMC:
        self._bmcs += 1
        folder = self.directory / f"bmc-{self._bmcs}"
        bmc = start_bmc(folder, self._bmc_address, power=power, guid=guid, environ=marked(os.environ, self._sandbox))
        button = folder / "host"
        button.write_text(f'#!/bin/sh\nexec {shlex.join(self.press)} "$1"\n')
        button.chmod(0o755)
        return bmc

    @property
    def press(self) -> Sequence[str]:
        """The command with which the BMC changes the power, before its 0 or 1."""
        module, path = self.power_button
        return ["env", f"PYTHONPATH={path}", sys.executable, "-m", module, str(self.directory)]
