"""What each system calls the packages of our programs, and how its users install them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# HashiCorp's own repositories are for the users of these; the others take the program itself.
VENDOR_PACKAGES = {"apt-get", "dnf"}


@dataclass(frozen=True)
class System:
    """The command that installs packages, and their names by program; a program without a name is not known there."""

    command: str
    packages: Mapping[str, str]


# Debian and Ubuntu split the standard library's venv off, for each version of Python.
VENV_PACKAGE = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"

DEBIAN = System(
    "apt-get install",
    {
        "sshd": "openssh-server",
        "ipmi_sim": "openipmi",
        "ip": "iproute2",
        "venv": VENV_PACKAGE,
        "debootstrap": "debootstrap",
    },
)
SYSTEMS = {
    "apt-get": DEBIAN,
    "dnf": System(
        "dnf install",
        {"sshd": "openssh-server", "ipmi_sim": "OpenIPMI-lanserv", "ip": "iproute", "venv": "python3"},
    ),
    "pacman": System("pacman -S", {"sshd": "openssh", "ip": "iproute2", "venv": "python"}),
    "apk": System(
        "apk add", {"sshd": "openssh-server", "ipmi_sim": "openipmi-lanserv", "ip": "iproute2", "venv": "python3"}
    ),
}


def has_apt() -> bool:
    """True where we can get packages ourselves."""
    return _tool() == "apt-get"


def how_to_install(programs: Sequence[str]) -> str:
    """Return this system's command that installs the programs; what it does not know, by Debian's name."""
    system = SYSTEMS.get(_tool(), System("", {}))
    known = [system.packages[program] for program in programs if program in system.packages]
    others = [f"{name} (Debian's {DEBIAN.packages[name]})" for name in programs if name not in system.packages]
    ways = [f"sudo {system.command} {' '.join(known)}"] if known else []
    return ", and ".join(ways + ([f"install {', '.join(others)}"] if others else []))


def how_to_get_consul() -> str:
    """Return what to install, and from whom, where no package of this system can be had."""
    source = "package repository" if _tool() in VENDOR_PACKAGES else "downloads for Linux"
    return f"install Consul 1.8 or newer from HashiCorp's own {source}, or name it: CONSUL=/path/to/consul"


def _tool() -> str:
    """Return the program that installs packages here, or nothing."""
    return next((tool for tool in SYSTEMS if shutil.which(tool)), "")
