"""A compute host of the sandbox with its BMC, and all that can happen to the two."""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from nova_ha.sandbox.bmc_server import BMCFault, BMCPlan
from nova_ha.sandbox.chassis import Chassis, HostPlan, write_private
from nova_ha.sandbox.network import Network
from nova_ha.sandbox.processes import Child, marked
from nova_ha.sandbox.waiting import until

SSH_PORT, IPMI_PORT = 2222, 6230  # the usual ones need root
SSH_USER, BMC_USER = "nova-ha-probe", "nova-ha"


class Machine:
    """One compute host, off until `start`; `number` is its place in the network."""

    def __init__(self, name: str, number: int, network: Network, nova_url: str, sandbox: Path) -> None:
        self.name = name
        self.directory = sandbox / "machines" / name
        self.ssh_password, self.identity = uuid.uuid4().hex, str(uuid.uuid4())
        plan = HostPlan(name, network.host(number), nova_url, str(sandbox), SSH_PORT, SSH_USER, self.ssh_password)
        self.chassis = Chassis.build(self.directory, plan)
        self._plan = BMCPlan(
            address=network.bmc(number),
            port=IPMI_PORT,
            user=BMC_USER,
            password=uuid.uuid4().hex[:16],
            identity=self.identity,
            chassis=str(self.directory),
            log=str(self.directory / "bmc.commands"),
            fault=str(self.directory / "bmc.fault"),
        )
        write_private(self._plan_file, json.dumps(asdict(self._plan)))
        argv = [sys.executable, "-m", "nova_ha.sandbox.bmc_server", str(self._plan_file)]
        self.bmc = Child(f"BMC of {name}", argv, marked(os.environ, sandbox), self.directory / "bmc.log")

    def start(self) -> None:
        """Give power to the BMC, which boots the host."""
        self.bmc.start()

    def await_boot(self) -> None:
        """Wait until the host has booted for the first time, and its SSH host key is known."""
        until(Path(f"{self.chassis.host_key}.pub").exists, f"{self.name} to boot")

    @property
    def settings(self) -> Mapping[str, str]:
        """What an operator would give to `nova-ha node add`, by the names of `registry.NodeSettings`."""
        key = Path(f"{self.chassis.host_key}.pub").read_text().split()
        return {
            "ssh_address": self.chassis.plan.address,
            "ssh_port": str(SSH_PORT),
            "ssh_user": SSH_USER,
            "ssh_password": self.ssh_password,
            "ssh_host_key": " ".join(key[:2]),
            "bmc_ip": self._plan.address,
            "bmc_port": str(IPMI_PORT),
            "bmc_user": BMC_USER,
            "bmc_password": self._plan.password,
            "bmc_identity": self.identity,
        }

    def break_bmc(self, fault: BMCFault) -> None:
        """Let the BMC have a fault from now on; `BMCFault.NONE` ends it."""
        Path(self._plan.fault).write_text(fault.value)

    def cable_bmc_to(self, other: Machine) -> None:
        """Mix the cables up: who talks to this host's BMC talks to the other host."""
        self._restart_bmc(replace(self._plan, chassis=str(other.directory), identity=other.identity))

    def cable_bmc_back(self) -> None:
        """Put the cable back where it belongs."""
        self._restart_bmc(self._plan)

    def repair(self) -> None:
        """Mend all that was broken, and switch the host off and on again."""
        self.bmc.resume()
        self.break_bmc(BMCFault.NONE)
        self.cable_bmc_back()
        self.chassis.power_off()
        self.chassis.power_on()

    @property
    def bmc_commands(self) -> Sequence[Mapping[str, Any]]:
        """Every command that the BMC has seen: `at`, `command`, `said`."""
        log = Path(self._plan.log)
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    @property
    def _plan_file(self) -> Path:
        return self.directory / "bmc.json"

    def _restart_bmc(self, plan: BMCPlan) -> None:
        self.bmc.kill()
        write_private(self._plan_file, json.dumps(asdict(plan)))
        self.bmc.start()
