"""The sshd of healthy hosts dies, at any time between two reports of their nova-computes: none may be set failed."""

from __future__ import annotations

import time
from collections.abc import Iterator

from nova_ha.sandbox.chassis import HostFault
from nova_ha.sandbox.cloud import Sandbox
from nova_ha.sandbox.waiting import until

from bench.figure import Figure
from bench.striking import await_well, snapshots

ROW = "witness"
HOSTS = 20
# One after the other, so that their reports, every 10 s, have another phase each.
APART_S = 0.5
# From the last one on: Nova would call it down after a minute.
LASTS_S = 75.0


def figures(sandbox: Sandbox) -> Iterator[Figure]:
    """Let the sshd of each host die, and see for a while what becomes of them."""
    await_well(sandbox)
    for machine in sandbox.machines.values():
        machine.chassis.break_down(HostFault.SSHD_DEAD)
        time.sleep(APART_S)
    number, failed, counted = len(sandbox.machines), set[str](), set[str]()
    deadline = time.monotonic() + LASTS_S

    def over() -> bool:
        seen = snapshots(sandbox)
        failed.update(name for name, one in seen.items() if one.node.failed)
        counted.update(name for name, one in seen.items() if one.node.number_fails >= one.threshold)
        return time.monotonic() > deadline

    until(over, "the time to pass", within_s=2 * LASTS_S, every_s=0.5)
    cut = sum(any(c["command"] == "power off" for c in m.bmc_commands) for m in sandbox.machines.values())
    what = f"sshd of {number} healthy hosts dead, {APART_S:g} s apart"
    yield Figure(ROW, f"{what}: counted to the threshold", len(counted), least=number, digits=0)
    yield Figure(ROW, f"{what}: set failed", len(failed), most=0, digits=0)
    yield Figure(ROW, f"{what}: power cut", cut, most=0, digits=0)
