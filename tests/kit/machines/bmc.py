"""IPMI BMCs that are not ours: OpenIPMI's `ipmi_sim`, one process per BMC, with faults on request.

    with start_bmcs(tmp_path, 3) as bmcs:
        connect(bmcs[0].device).power_off(timeout_s=20)
        assert bmcs[0].power == "off"

The host behind a BMC is a folder: `power` holds `on` or `off`, and the chassis script reads its faults there. Where
there is an executable `host` in it, that is what really loses its power: it is called with 0 or 1. `seen` has every
command as it came, and every reading as it was answered, with the time; and when it was frozen, and thawed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from nova_ha.power.device import FenceDevice

from kit.machines.processes import unmarked_environment

USER = "ADMIN"
PASSWORD = "s3cret-of-the-bmc"


class Fault(Enum):
    """What is wrong with a BMC's handling of the power. While one call lasts, ipmi_sim answers no other."""

    LIES = "lies"  # says ok, and leaves the power as it is
    EXITS_1 = "exits-1"  # refuses
    SLOW = "slow"  # takes 3 s
    HANGS = "hangs"  # does nothing, and does not answer until it is mended
    ACTS_THEN_HANGS = "acts-then-hangs"  # does it, and does not answer until it is mended
    # A watchdog bites as the first command comes: refused, off for 8 s or what a file `off-for` says, then on.
    CYCLES = "cycles"
    RESTARTS = "restarts"  # it restarts: refuses every command, and reads off, whatever the power is
    PRETENDS = "pretends"  # says ok, leaves the power as it is, and reads off from then on


_CHASSIS = """#!/bin/sh
# ipmi_sim calls: chassis FOLDER get power | chassis FOLDER set power 0|1
folder=$1 verb=$2 value=$4
[ "$3" = power ] || { [ "$verb" = get ] && echo "$3:0"; exit 0; }
fault=$(cat "$folder/fault-$verb" 2>/dev/null)
echo "$verb $value" >> "$folder/calls"
seen() { echo "$(date +%s.%N) $*" >> "$folder/seen"; }
[ "$verb" = set ] && seen set "$value"
apply() {
    if [ "$value" = 1 ]; then echo on > "$folder/power"; else echo off > "$folder/power"; fi
    if [ -x "$folder/host" ]; then "$folder/host" "$value"; fi
}
wait_until_mended() { while grep -q hangs "$folder/fault-$verb" 2>/dev/null; do sleep 0.1; done; }
bite() {
    touch "$folder/bitten"
    apply
    ( sleep "$(cat "$folder/off-for" 2>/dev/null || echo 8)"
      if [ -e "$folder/bitten" ]; then
          echo on > "$folder/power"
          if [ -x "$folder/host" ]; then "$folder/host" 1; fi
      fi
    ) < /dev/null > /dev/null 2>&1 &
}
case $fault in
    exits-1) exit 1 ;;
    cycles)
        [ -e "$folder/bitten" ] || { bite; exit 1; }
        [ "$(cat "$folder/power")" = on ] || exit 1 ;;
    restarts)
        [ "$verb" = set ] && exit 1
        seen get 0
        echo power:0
        exit 0 ;;
    slow) sleep 3 ;;
    pretends) touch "$folder/pretends" ;;
    hangs) wait_until_mended; exit 1 ;;
    acts-then-hangs) [ "$verb" = set ] && apply; wait_until_mended; exit 1 ;;
esac
if [ "$verb" = get ]; then
    if [ "$(cat "$folder/power")" = on ] && [ ! -e "$folder/pretends" ]; then value=1; else value=0; fi
    seen get $value
    echo power:$value
elif [ "$fault" != lies ] && [ "$fault" != pretends ]; then
    apply
fi
"""

_LAN = """name "{name}"
set_working_mc 0x20
  startlan 1
    addr {host} {port}
    priv_limit admin
    allowed_auths_callback none md2 md5 straight
    allowed_auths_user none md2 md5 straight
    allowed_auths_operator none md2 md5 straight
    allowed_auths_admin none md2 md5 straight
    guid {guid}
  endlan
  chassis_control "{folder}/chassis {folder}"
  user 2 true "{user}" "{password}" admin 10 none md2 md5 straight
"""

_EMULATOR = """mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02
mc_enable 0x20
"""


@dataclass
class SimulatedBMC:
    """One running `ipmi_sim` and the host behind it."""

    folder: Path
    host: str
    port: int
    guid: str
    process: subprocess.Popen[bytes]

    @property
    def device(self) -> FenceDevice:
        """Where and how to log in to it."""
        return FenceDevice("ipmi", self.host, self.port, USER, PASSWORD)

    @property
    def identity(self) -> str:
        """Its GUID in the form that `nova_ha.power` prints."""
        return str(uuid.UUID(self.guid))

    @property
    def power(self) -> str:
        """`on` or `off`: what the host really does, whatever the BMC says."""
        return (self.folder / "power").read_text().strip()

    @power.setter
    def power(self, state: str) -> None:
        (self.folder / "power").write_text(f"{state}\n")

    @property
    def calls(self) -> list[str]:
        """Every reading (`get`) and command (`set 0`, `set 1`) that reached the host, oldest first."""
        path = self.folder / "calls"
        return [line.strip() for line in path.read_text().splitlines()] if path.exists() else []

    def break_readings(self, fault: Fault | None) -> None:
        """Give the readings a fault, or mend them with None."""
        self._break("get", fault)

    def break_commands(self, fault: Fault | None) -> None:
        """Give the power commands a fault, or mend them with None."""
        self._break("set", fault)

    def _break(self, verb: str, fault: Fault | None) -> None:
        file = self.folder / f"fault-{verb}"
        hung = file.exists() and "hangs" in file.read_text()
        if fault and "hangs" in fault.value:
            self._note("freeze")
        elif hung:
            self._note("thaw")
        file.write_text(fault.value if fault else "")

    def freeze(self) -> None:
        """Stop answering, as a dead BMC or a cut cable does."""
        self._note("freeze")
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on answering: first, whatever has come in meanwhile and still waits."""
        self._note("thaw")
        self.process.send_signal(signal.SIGCONT)

    def _note(self, what: str) -> None:
        with (self.folder / "seen").open("a") as seen:
            seen.write(f"{time.time():.9f} {what} -\n")

    def close(self) -> None:
        """End the BMC with everything that its chassis script started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=10)


def provide_ipmi_sim() -> str:
    """Return the path of `ipmi_sim`. Fails with the remedy where the machine has none."""
    path = shutil.which("ipmi_sim")
    if path is None:
        raise RuntimeError("no ipmi_sim on this machine: apt-get install openipmi")
    return path


def start_bmc(
    folder: Path,
    host: str,
    port: int = 623,
    *,
    power: str = "on",
    guid: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> SimulatedBMC:
    """Start one BMC at the address, with its files in `folder`, and return it once it answers."""
    bmc = _launch(folder, host, port, power, guid, environ)
    _wait_until_it_answers(bmc)
    return bmc


@contextlib.contextmanager
def start_bmcs(
    folder: Path, count: int, *, network: str = "127.11.1", port: int = 623
) -> Iterator[list[SimulatedBMC]]:
    """Run so many BMCs at consecutive addresses from `network`.1 on; end them afterwards.

    An IPv4 loopback network of three numbers; past 250 BMCs it goes on in the next one.
    """
    first, second, third = (int(number) for number in network.split("."))
    bmcs: list[SimulatedBMC] = []
    try:
        for index in range(count):
            host = f"{first}.{second}.{third + index // 250}.{index % 250 + 1}"
            bmcs.append(_launch(folder / host, host, port, "on", None))
        for bmc in bmcs:
            _wait_until_it_answers(bmc)
        yield bmcs
    finally:
        for bmc in bmcs:
            bmc.close()


def _launch(
    folder: Path,
    host: str,
    port: int,
    power: str,
    guid: str | None,
    environ: Mapping[str, str] | None = None,
) -> SimulatedBMC:
    guid = guid or uuid.uuid4().hex
    (folder / "state").mkdir(parents=True)
    (folder / "power").write_text(f"{power}\n")
    (folder / "chassis").write_text(_CHASSIS)
    (folder / "chassis").chmod(0o755)
    lan = _LAN.format(name=folder.name, host=host, port=port, guid=guid, folder=folder, user=USER, password=PASSWORD)
    (folder / "lan.conf").write_text(lan)
    (folder / "sim.emu").write_text(_EMULATOR)
    command = [provide_ipmi_sim(), "-c", "lan.conf", "-f", "sim.emu", "-s", "state", "-n"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=unmarked_environment() if environ is None else environ,
            start_new_session=True,
        )
    return SimulatedBMC(folder, host, port, guid, process)


_PING = bytes.fromhex("0600ff06000011be80000000")  # an ASF presence ping


def _wait_until_it_answers(bmc: SimulatedBMC, within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.05)
        while time.monotonic() < deadline and bmc.process.poll() is None:
            with contextlib.suppress(OSError):
                probe.sendto(_PING, (bmc.host, bmc.port))
                probe.recv(512)
                return
    print((bmc.folder / "log").read_text(), file=sys.stderr)
    raise RuntimeError(f"the ipmi_sim at {bmc.host}:{bmc.port} does not answer")
