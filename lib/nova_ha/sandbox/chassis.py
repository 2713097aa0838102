"""A compute host's chassis: a folder that says whether it has power, and the process that runs while it has."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from nova_ha.errors import HAError, NovaError
from nova_ha.sandbox import control
from nova_ha.sandbox.processes import end_one, marked, signal_one


@dataclass(frozen=True)
class HostPlan:
    """What a host of the sandbox is. Without an SSH port it has nova-compute only (an HA node)."""

    name: str
    address: str
    nova_url: str
    sandbox: str
    ssh_port: int = 0
    user: str = ""
    password: str = field(default="", repr=False)
    interval_s: float = 1.0


class Chassis:
    """One host by its folder. Several processes may use it: its BMC, another host's BMC that was mixed up."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @classmethod
    def build(cls, directory: Path, plan: HostPlan) -> Chassis:
        """Make the folder of a new host, powered off."""
        directory.mkdir(parents=True)
        chassis = cls(directory)
        write_private(directory / "host.json", json.dumps(asdict(plan)))
        chassis._note("power", "off")
        return chassis

    @property
    def plan(self) -> HostPlan:
        """What the host is."""
        return HostPlan(**json.loads((self.directory / "host.json").read_text()))

    @property
    def host_key(self) -> Path:
        """The SSH host's private key, the same over all boots; the public one is beside it, as `.pub`."""
        return self.directory / "host_key"

    @property
    def has_power(self) -> bool:
        """True between power on and off, whatever the host's process does."""
        return (self.directory / "power").read_text() == "on"

    @property
    def pid(self) -> int:
        """The process id of the running host, or 0."""
        with suppress(FileNotFoundError, ValueError):
            return int((self.directory / "pid").read_text())
        return 0

    def power_on(self) -> None:
        """Give it power: the host boots. Nothing where it has power."""
        if self.has_power:
            return
        self._note("power", "on")
        self._tell_nova(on=True)
        with (self.directory / "log").open("ab") as log:
            host = subprocess.Popen(
                [sys.executable, "-m", "nova_ha.sandbox.host", str(self.directory)],
                env=marked(os.environ, self._sandbox),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._note("pid", str(host.pid))

    def power_off(self) -> None:
        """Cut its power: the host ends in the middle of whatever it does, and its guests with it."""
        end_one(self.pid, self._sandbox)
        self._note("pid", "0")
        self._note("power", "off")
        self._tell_nova(on=False)

    def hang(self) -> None:
        """Let the host hang: its kernel still accepts connections, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let the host go on after `hang`."""
        self._signal(signal.SIGCONT)

    @property
    def _sandbox(self) -> Path:
        return Path(self.plan.sandbox)

    def _tell_nova(self, *, on: bool) -> None:
        try:
            control.tell(self.plan.nova_url, "power", {"host": self.plan.name, "on": on})
        except NovaError as error:
            print(f"{self.plan.name}: power {'on' if on else 'off'}: {error}", file=sys.stderr)

    def _signal(self, what: signal.Signals) -> None:
        if not signal_one(self.pid, self._sandbox, what):
            raise HAError(f"{self.plan.name} does not run")

    def _note(self, name: str, value: str) -> None:
        new = self.directory / f".{name}.new"
        new.write_text(value)
        new.replace(self.directory / name)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    path.touch(mode=0o600)
    path.write_text(text)
