"""The cloud as the faults work on it: what is really so of each machine, whatever anybody sees of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from kit.machines.machine import RealMachine
from kit.machines.power_button import LIFE, SSHD_PROCESS
from nova_ha.consul.transaction import delete, put
from nova_ha.errors import ConsulError, HAError, OutcomeUnknown

from soak.cloud import SoakCloud
from soak.operator import Operator
from soak.plan import HA_NODES, ITS_DRIVER, Strike
from soak.scene import Seen

WOKEN = "woken"
# What sshd opens for a login, once it has greeted.
OPENED_AT_LOGIN = ("/etc/shadow", "/etc/passwd")
# While it pretends, it wakes the host before it says that it is off: a host that stayed silent nobody could tell.
_WAKING_CHASSIS = """#!/bin/sh
if [ "$2 $4" = "set 0" ] && [ -x "$1/wake" ] && grep -q pretends "$1/fault-set"; then "$1/wake"; fi
exec "$1/chassis.shipped" "$@"
"""


class Site:
    """What the soak does to the machines, and remembers of that."""

    def __init__(self, cloud: SoakCloud, operator: Operator) -> None:
        self.cloud = cloud
        self.operator = operator
        self.seen: Mapping[str, Seen] = {}
        self.dark_ha_nodes: set[str] = set()
        self._hung: set[str] = set()
        self._guids = {name: machine.bmc.guid for name, machine in cloud.machines.items()}
        self._struck: dict[Strike, str] = {}
        self._written: dict[str, bytes | None] = {}

    def machine(self, name: str) -> RealMachine:
        """Return a compute host."""
        return self.cloud.machines[name]

    # --- what the auditor is told

    def record(self, fault: str, subject: str, reach: str) -> int:
        """Note that a fault is in force from now on; return what `record_end` takes."""
        assert self.cloud.recorder
        return self.cloud.recorder.begin(fault, subject, reach)

    def record_end(self, number: int) -> None:
        """Note that it has ended."""
        assert self.cloud.recorder
        self.cloud.recorder.end(number)

    # --- keys

    def overwrite(self, key: str, value: bytes) -> bool:
        """Write a key as somebody would by hand; False where Consul is away."""
        try:
            entry = self.cloud.looking().get(key)
            self._written.setdefault(key, entry.value if entry else None)
            self.cloud.looking().commit([put(key, value)])
        except (ConsulError, OutcomeUnknown):
            return False
        return True

    def write_again(self, *keys: str) -> None:
        """Write keys, or all, as they were before `overwrite`. What cannot be written now is for the next time."""
        for key in keys or list(self._written):
            if key in self._written and self._restore(key, self._written[key]):
                del self._written[key]

    def _restore(self, key: str, value: bytes | None) -> bool:
        with suppress(ConsulError, OutcomeUnknown):
            self.cloud.looking().commit([delete(key) if value is None else put(key, value)])
            return True
        return False

    # --- HA nodes

    def ha_node(self, strike: Strike) -> str:
        """Return the HA node that the strike is about, the same one until it is mended; empty where none is."""
        if strike not in self._struck:
            self._struck[strike] = self._driver(strike.host) if strike.target == ITS_DRIVER else strike.target
        return self._struck[strike]

    def begin(self) -> None:
        """Begin a round."""
        self._struck = {}

    def _driver(self, host: str) -> str:
        seen = self.seen.get(host)
        at_work = seen is not None and seen.incident is not None and bool(seen.node.lock_session)
        return seen.incident.driver if seen and seen.incident and at_work else ""

    # --- compute hosts

    def lives(self, name: str) -> bool:
        """True where the host has power, and goes on."""
        woken = self.machine(name).bmc.folder / WOKEN
        if woken.exists():
            woken.unlink()
            self._hung.discard(name)
        return self.machine(name).chassis.has_power and name not in self._hung

    def hang(self, *names: str) -> None:
        """Let hosts hang that live."""
        for name in names:
            self.machine(name).hang()
            self._hung.add(name)

    def hang_over_disk(self, name: str) -> None:
        """Let a host hang over its disk that lives."""
        self.machine(name).hang_over_disk(OPENED_AT_LOGIN[0])
        self._hung.add(name)

    def darken(self, name: str) -> None:
        """Take the power of a host, whatever it does."""
        self._hung.discard(name)
        if self.machine(name).chassis.has_power:
            self.machine(name).lose_power()
        self.machine(name).bmc.power = "off"

    def revive(self, name: str) -> None:
        """Let a host go on that hangs, or switch it on. Idempotent."""
        machine = self.machine(name)
        if self.lives(name):
            return
        if machine.chassis.has_power:
            # Its power may be cut at this moment.
            with suppress(HAError, OSError, IndexError):
                machine.go_on()
            self._hung.discard(name)
        if not machine.chassis.has_power:
            machine.boot()
            self._hung.discard(name)

    # --- BMCs

    def let_bmc_wake_its_host(self, name: str) -> None:
        """Let the BMC wake the host up when it is told to cut its power, and pretends."""
        machine, folder = self.machine(name), self.machine(name).bmc.folder
        numbers = [machine.chassis.pid, _server_of(machine)]
        wake = folder / "wake"
        stamp = "$(date -u +%Y-%m-%dT%H:%M:%S.%6N+00:00)"
        note = f'echo "{stamp} answers" >>{machine.directory / LIFE}'
        wake.write_text(f"#!/bin/sh\nkill -CONT {' '.join(map(str, numbers))} && {note} && touch {folder / WOKEN}\n")
        wake.chmod(0o755)
        if not (folder / "chassis.shipped").exists():
            (folder / "chassis").rename(folder / "chassis.shipped")
        (folder / "chassis").write_text(_WAKING_CHASSIS)
        (folder / "chassis").chmod(0o755)

    def take_bmc(self, name: str) -> None:
        """Take the BMC away."""
        self.machine(name).lose_bmc()

    def swap_bmc(self, name: str, guid: str) -> None:
        """Put another machine's BMC in its place."""
        self.machine(name).lose_bmc()
        self.machine(name).return_bmc(guid)

    def mend_bmc(self, name: str) -> None:
        """Let the BMC be the host's own, and well. Idempotent."""
        machine = self.machine(name)
        machine.bmc.break_commands(None)
        machine.bmc.break_readings(None)
        for leaf in ("pretends", "wake", "bitten"):
            (machine.bmc.folder / leaf).unlink(missing_ok=True)
        if machine.bmc.process.poll() is not None or machine.bmc.guid != self._guids[name]:
            machine.lose_bmc()
            machine.return_bmc(self._guids[name])

    # --- everything

    def repair(self) -> None:
        """Mend whatever is broken, but the compute hosts and Nova, whose errors end by themselves. Idempotent."""
        for server in self.cloud.consul.servers:
            server.resume() if server.running else server.start()
        for name in HA_NODES:
            self.light(name)
        for name in self.cloud.machines:
            self.mend_bmc(name)
        self.cloud.mend()
        self.cloud.consul.await_whole()
        self.write_again()

    def light(self, name: str) -> None:
        """Give an HA node its power and its agent back. Idempotent."""
        if name in self.dark_ha_nodes:
            self.cloud.power_of_nova_host(name, on=True)
            self.dark_ha_nodes.discard(name)
        if not self.cloud.agent(name).running:
            self.cloud.agent(name).start()


def _server_of(machine: RealMachine) -> int:
    number = (machine.directory / SSHD_PROCESS).read_text()
    children: Sequence[str] = Path(f"/proc/{number}/task/{number}/children").read_text().split()
    return int(children[0])
