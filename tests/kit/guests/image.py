"""The image and the flavor of all guests, as Nova has them."""

from __future__ import annotations

from kit.guests.install import INITRD, KERNEL
from kit.stack.client import connection

FLAVOR = IMAGE_NAME = "guest"
MEMORY_MIB = 96
# What a disk begins with that no guest has written to.
FRESH = b"fresh from the image\n".ljust(1 << 20, b"\0")


def seed() -> None:
    """Make them, where they are missing."""
    cloud = connection()
    if FLAVOR not in {flavor.name for flavor in cloud.compute.flavors()}:
        cloud.compute.create_flavor(name=FLAVOR, ram=MEMORY_MIB, vcpus=1, disk=1)
    if list(cloud.image.images(name=IMAGE_NAME)):
        return
    made = {}
    for kind, path in (("aki", KERNEL), ("ari", INITRD)):
        made[kind] = cloud.image.create_image(
            path.name, disk_format=kind, container_format=kind, data=path.read_bytes()
        ).id
    cloud.image.create_image(
        IMAGE_NAME,
        disk_format="raw",
        container_format="bare",
        data=FRESH,
        kernel_id=made["aki"],
        ramdisk_id=made["ari"],
        hw_disk_bus="virtio",
        hw_video_model="none",
        hw_rng_model="virtio",
        os_command_line="console=ttyS0 quiet panic=1 no_timer_check",
    )
