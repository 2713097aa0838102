"""What real guests need beside the stack: libvirt and QEMU from Debian, and the kernel and initrd of all guests."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from nova_ha.errors import HAError
from nova_ha.sandbox import apt
from nova_ha.sandbox.provide import say

from kit.guests.layout import HERE, IMAGE
from kit.stack import install as stack
from kit.stack.layout import VENV

# By a file of each. Not libvirt-daemon-system: it would make users, and bring systemd's units.
PACKAGES = {
    "/usr/sbin/libvirtd": "libvirt-daemon",
    "/usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_qemu.so": "libvirt-daemon-driver-qemu",
    "/usr/bin/virsh": "libvirt-clients",
    "/usr/bin/qemu-system-x86_64": "qemu-system-x86",
    "/usr/bin/qemu-img": "qemu-utils",
    "/usr/lib/python3/dist-packages/libvirt.py": "python3-libvirt",
    "/bin/busybox": "busybox-static",
}
KERNEL_PACKAGE = "linux-image-cloud-amd64"
MODULES = (
    "virtio/virtio_ring",
    "virtio/virtio",
    "virtio/virtio_pci_legacy_dev",
    "virtio/virtio_pci_modern_dev",
    "virtio/virtio_pci",
    "block/virtio_blk",
)
KERNEL, INITRD, MADE_FROM = IMAGE / "kernel", IMAGE / "initrd.gz", IMAGE / "made-from"
BINDINGS = Path("/usr/lib/python3/dist-packages")


def install() -> None:
    """Install what is missing, saying what is done; at once where nothing is. Raises HAError."""
    stack.install()
    missing = [package for path, package in PACKAGES.items() if not Path(path).exists()]
    if missing:
        become_root = apt.way_to_root(missing)
        say(f"guests: installing {', '.join(missing)} by apt-get; no service is started")
        apt.install(missing, become_root)
    link_bindings()
    if not KERNEL.exists():
        say("guests: unpacking a kernel for them (nothing is installed on this machine)")
        unpack_kernel()
    if not MADE_FROM.exists() or MADE_FROM.read_text() != _fingerprint():
        make_initrd()


def link_bindings() -> None:
    """Let Nova find libvirt's bindings: Debian's fit any CPython 3.11. Only they, not all of dist-packages."""
    packages = VENV / "lib/python3.11/site-packages"
    for path in (*BINDINGS.glob("libvirt*.py"), *BINDINGS.glob("libvirt*.cpython-311-*.so")):
        if not (packages / path.name).exists():
            (packages / path.name).symlink_to(path)


def unpack_kernel() -> None:
    """Unpack Debian's kernel for virtual machines, and the modules that a guest needs. Raises HAError."""
    depends = subprocess.run(["apt-cache", "depends", KERNEL_PACKAGE], capture_output=True, text=True).stdout
    found = [word for word in depends.split() if word.startswith("linux-image-")]
    package = next((word for word in found if word != KERNEL_PACKAGE), "")
    if not package:
        raise HAError(f"apt knows no {KERNEL_PACKAGE}", remedy="apt-get update, on Debian 12")
    with tempfile.TemporaryDirectory() as folder:
        apt.unpack_package(package, Path(folder))
        unpacked = Path(folder, "unpacked")
        shutil.rmtree(IMAGE, ignore_errors=True)
        (IMAGE / "modules").mkdir(parents=True)
        [drivers] = unpacked.glob("lib/modules/*/kernel/drivers")
        for name in MODULES:
            shutil.copy(drivers / f"{name}.ko", IMAGE / "modules")
        [kernel] = unpacked.glob("boot/vmlinuz-*")
        shutil.copy(kernel, KERNEL)


def make_initrd() -> None:
    """Make the guests' file system of modules, busybox and `guest-init`. The note of what it is is written last."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("bin", "dev", "proc", "sys"):
            (root / name).mkdir()
        shutil.copytree(IMAGE / "modules", root / "lib")
        shutil.copy("/bin/busybox", root / "bin")
        shutil.copy(HERE / "guest-init", root / "init")
        (root / "init").chmod(0o755)
        names = sorted(str(path.relative_to(root)) for path in root.rglob("*"))
        packed = subprocess.run(
            ["busybox", "cpio", "-o", "-H", "newc"],
            cwd=root,
            input="\n".join(names).encode(),
            capture_output=True,
            check=True,
        )
        INITRD.write_bytes(gzip.compress(packed.stdout))
    MADE_FROM.write_text(_fingerprint())


def _fingerprint() -> str:
    return hashlib.sha256((HERE / "guest-init").read_bytes()).hexdigest()
