"""The judge of real guests finds what it is there for: each is made on purpose, and forgotten afterwards."""

from __future__ import annotations

import subprocess

from kit.guests.cloud import GuestsCloud
from kit.guests.image import FRESH, MEMORY_MIB
from kit.guests.install import INITRD, KERNEL
from kit.guests.machine import GuestsMachine
from kit.stack import client
from nova_ha.compute.states import VMState


def a_server(cloud: GuestsCloud) -> tuple[GuestsMachine, str]:
    host = cloud.loaded_host(1)
    assert isinstance(host, GuestsMachine)
    [server] = cloud.servers_of(host)
    return host, server


def test_the_judge_finds_a_second_writer_on_another_host(cloud: GuestsCloud) -> None:
    """By the processes, and by what the guest itself has found on its disk."""
    host, server = a_server(cloud)
    disk = host.host.instances / server / "disk"
    # QEMU's own lock would refuse it.
    drive = f"file={disk},format=raw,if=virtio,cache=none,file.locking=off"
    guest = ["qemu-system-x86_64", "-nodefaults", "-display", "none", "-m", str(MEMORY_MIB), "-uuid", server]
    boot = ["-kernel", str(KERNEL), "-initrd", str(INITRD), "-append", "quiet panic=1 no_timer_check"]
    second = subprocess.Popen(cloud.hosts[cloud.ha_nodes[0]].inside(*guest, *boot, "-drive", drive))
    try:
        cloud.wait(lambda: any("another writer" in line for line in cloud.verdict()), "a conflict")
        found = cloud.verdict()
    finally:
        second.kill()
        second.wait()
    assert any(f"{server} ran on" in line and "at once" in line for line in found), found
    cloud.give_up(host)


def test_the_judge_finds_a_disk_that_was_lost(cloud: GuestsCloud) -> None:
    host, server = a_server(cloud)
    cloud.bring(server, "stop", VMState.STOPPED)
    with (host.host.instances / server / "disk").open("r+b") as disk:
        disk.write(FRESH)
    client.nova().servers.start(server)
    cloud.wait(lambda: any("another disk" in line for line in cloud.verdict()), "a lost disk")
    cloud.give_up(host)


def test_the_judge_finds_numbers_that_went_back(cloud: GuestsCloud) -> None:
    """As where a disk comes back as it was some time ago."""
    host, server = a_server(cloud)
    disk = host.host.instances / server / "disk"
    before = disk.read_bytes()[: len(FRESH)]
    cloud.writes(server, more_than=cloud.number(server) + 20)
    cloud.bring(server, "stop", VMState.STOPPED)
    with disk.open("r+b") as file:
        file.write(before)
    client.nova().servers.start(server)
    cloud.wait(lambda: any("went back" in line or "had been written" in line for line in cloud.verdict()), "it")
    cloud.give_up(host)
