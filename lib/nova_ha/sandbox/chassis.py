"""A compute host's chassis: a folder that says whether it has power, and the process that runs while it has."""

from __future__ import annotations

import enum
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
from nova_ha.sandbox.waiting import until


@dataclass(frozen=True)
class HostPlan:
    """What a host of the sandbox is. Without an SSH port it has nova-compute only (an HA node).

    `sshd_port` is that of an SSH server beside it, which loses its power with it.
    """

    name: str
    address: str
    nova_url: str
    sandbox: str
    ssh_port: int = 0
    user: str = ""
    password: str = field(default="", repr=False)
    interval_s: float = 1.0
    sshd_port: int = 0

    @property
    def silent_port(self) -> int:
        """The port that is silent while the host has no power, and does not refuse as one on loopback would; or 0."""
        return self.ssh_port or self.sshd_port


class HostFault(enum.Enum):
    """What is wrong with a host that has power."""

    NONE = "none"
    SSHD_DEAD = "sshd dead"  # its port refuses; all else is well
    SLOW_LOGINS = "slow logins"  # a login takes half a minute; all else is well
    DISK_HANGS = "disk hangs"  # it greets, and then nothing: neither login nor nova-compute


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
        return self._number("pid")

    def _number(self, name: str) -> int:
        with suppress(FileNotFoundError, ValueError):
            return int((self.directory / name).read_text())
        return 0

    @property
    def fault(self) -> HostFault:
        """What is wrong with it; a host that boots is well."""
        with suppress(FileNotFoundError, ValueError):
            return HostFault((self.directory / "fault").read_text())
        return HostFault.NONE

    def break_down(self, fault: HostFault) -> None:
        """Let the host have a fault from now on."""
        self._note("fault", fault.value)
        self._signal(signal.SIGUSR1)

    def power_on(self) -> None:
        """Give it power: the host boots. Nothing where it has power."""
        if self.has_power:
            return
        self._note("power", "on")
        self.end_dark()
        self._note("fault", HostFault.NONE.value)
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

    def stay_in_firmware(self) -> None:
        """Give it power again, and let it not boot: nothing of it runs, and its port stays as silent as it was."""
        self._note("power", "on")
        self._tell_nova(on=True)

    def power_off(self) -> None:
        """Cut its power: the host ends in the middle of whatever it does, and its guests with it."""
        ran = self.pid
        end_one(ran, self._sandbox)
        if ran and self.plan.silent_port:
            self.await_dark()
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

    def note_dark(self, number: int) -> None:
        """Note the process that keeps the host's port silent, now that it does."""
        self._note("dark", str(number))

    def await_dark(self) -> None:
        """Wait until its port is silent. Raises HAError."""
        until(lambda: self.is_dark, f"{self.plan.name} to be silent")

    @property
    def is_dark(self) -> bool:
        """True while a process keeps its port silent."""
        return (self.directory / "dark").exists()

    def end_dark(self) -> None:
        """Let its port be taken again."""
        end_one(self._number("dark"), self._sandbox)
        (self.directory / "dark").unlink(missing_ok=True)

    def _note(self, name: str, value: str) -> None:
        new = self.directory / f".{name}.new"
        new.write_text(value)
        new.replace(self.directory / name)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    path.touch(mode=0o600)
    path.write_text(text)
