"""IPMI BMCs that are not ours: OpenIPMI's `ipmi_sim`, a process for each."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from nova_ha.cluster.registry import NodeSettings
from nova_ha.errors import HAError
from nova_ha.sandbox.chassis import write_private
from nova_ha.sandbox.processes import Child
from nova_ha.sandbox.provide import find, provide

PORT, USER, PASSWORD = 6230, "ADMIN", "s3cret-of-the-bmc"

_CHASSIS = "#!/bin/sh\necho power:1\n"
_EMULATOR = "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02\nmc_enable 0x20\n"
_LAN = """name "{name}"
set_working_mc 0x20
  startlan 1
    addr {address} {port}
    priv_limit admin
    allowed_auths_callback none md2 md5 straight
    allowed_auths_user none md2 md5 straight
    allowed_auths_operator none md2 md5 straight
    allowed_auths_admin none md2 md5 straight
    guid {guid}
  endlan
  chassis_control "{chassis}"
  user 2 true "{user}" "{password}" admin 10 none md2 md5 straight
"""
_PING = bytes.fromhex("0600ff06000011be80000000")  # an ASF presence ping


@contextmanager
def running(
    addresses: Mapping[str, str], directory: Path, environ: Mapping[str, str]
) -> Iterator[Mapping[str, NodeSettings]]:
    """Let BMCs run at the addresses, by name, and yield what an operator would register of each."""
    provide(["ipmi_sim"])
    chassis, emulator = directory / "chassis", directory / "bmc.emu"
    chassis.write_text(_CHASSIS)
    chassis.chmod(0o755)
    emulator.write_text(_EMULATOR)
    identities = {name: uuid.uuid4() for name in addresses}
    children: list[Child] = []
    try:
        for name, address in addresses.items():
            children.append(_simulator(name, address, identities[name], directory, environ))
            children[-1].start()
        for address in addresses.values():
            _await_pong(address)
        yield {
            name: NodeSettings(
                bmc_ip=address,
                bmc_port=str(PORT),
                bmc_user=USER,
                bmc_password=PASSWORD,
                bmc_identity=str(identities[name]),
            )
            for name, address in addresses.items()
        }
    finally:
        for child in children:
            child.kill()


def _simulator(name: str, address: str, identity: uuid.UUID, directory: Path, environ: Mapping[str, str]) -> Child:
    folder = directory / "bmcs" / name
    (folder / "state").mkdir(parents=True)
    chassis = os.fspath(directory / "chassis")
    values = {"address": address, "port": PORT, "guid": identity.hex, "user": USER, "password": PASSWORD}
    write_private(folder / "lan.conf", _LAN.format(name=name, chassis=chassis, **values))
    program, emulator = find("ipmi_sim") or "ipmi_sim", directory / "bmc.emu"
    argv = f"{program} -n -c {folder}/lan.conf -f {emulator} -s {folder}/state".split()
    return Child(name, argv, environ, folder / "log")


def _await_pong(address: str, within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.1)
        while time.monotonic() < deadline:
            with suppress(OSError):
                probe.sendto(_PING, (address, PORT))
                probe.recv(512)
                return
    raise HAError(f"the BMC at {address} does not answer")
