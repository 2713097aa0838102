"""Finds the programs that the sandbox and the tests need, and gets those that are missing.

    python -m nova_ha.sandbox.provide consul sshd ipmi_sim ip venv

Consul is unpacked into the project's `.cache/`, by any user; the others are installed by apt-get, by root or
through a sudo that asks for nothing. What is done is said in one line each on standard error. It needs
nothing but the interpreter, since it also gets what `python -m venv` needs.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from nova_ha.errors import HAError
from nova_ha.sandbox import apt

PROJECT = Path(__file__).resolve().parents[3]
CACHE = PROJECT / ".cache"
FETCHED_CONSUL = CACHE / "consul" / "consul"

# Debian and Ubuntu split the standard library's venv off, for each version of Python.
VENV_PACKAGE = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
PACKAGES = {"sshd": "openssh-server", "ipmi_sim": "openipmi", "ip": "iproute2", "venv": VENV_PACKAGE}


def find_consul() -> Path:
    """Return the `consul` of this machine's PATH, else the one that was fetched into `.cache/`.

    Raises HAError where there is neither.
    """
    if found := shutil.which("consul"):
        return Path(found)
    if FETCHED_CONSUL.exists():
        return FETCHED_CONSUL
    raise HAError("there is no consul on this machine", remedy="python -m nova_ha.sandbox.provide consul")


def fetch_consul() -> Path:
    """Unpack the `consul` of an apt package into `.cache/`, and return it. Raises HAError.

    The package is the one that apt offers here, else, on Debian, that of Debian 11 from the mirror that
    this machine is configured for. apt verifies it by its keyring; nothing is installed, and no root needed.
    """
    say("consul: fetching the apt package into .cache/ (nothing is installed on this machine)")
    private = FETCHED_CONSUL.parent.with_suffix(".apt")
    try:
        apt.unpack_package("consul", private)
        FETCHED_CONSUL.parent.mkdir(parents=True, exist_ok=True)
        # A rename in one step: whoever looks at the same time sees all of it, or nothing.
        (private / "unpacked/usr/bin/consul").replace(FETCHED_CONSUL)
    except HAError as error:
        remedy = "install Consul 1.8 or newer and put it into the PATH"
        raise HAError(f"no consul, and apt has none ({error})", remedy=remedy) from error
    finally:
        shutil.rmtree(private, ignore_errors=True)
    return FETCHED_CONSUL


def find(program: str) -> Path | None:
    """Return a program of this machine, also from the folders that only root has in the PATH."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    found = shutil.which(program, path=path)
    return Path(found) if found else None


def present(program: str) -> bool:
    """True where the program is there already."""
    if program == "venv":
        return importlib.util.find_spec("ensurepip") is not None
    return find(program) is not None


def provide(programs: Sequence[str]) -> None:
    """Get those of the programs that are missing. Idempotent. Raises HAError saying what to install."""
    if "consul" in programs:
        try:
            find_consul()
        except HAError:
            fetch_consul()
    missing = [program for program in programs if program in PACKAGES and not present(program)]
    if missing:
        packages = [PACKAGES[program] for program in missing]
        become_root = apt.way_to_root(packages)
        say(f"{', '.join(missing)}: installing {', '.join(packages)} by apt-get; no service is started")
        apt.install(packages, become_root)


def say(line: str) -> None:
    """Tell the user what is done to the machine."""
    print(line, file=sys.stderr, flush=True)


def main(programs: Sequence[str]) -> int:
    """Provide the programs; 0, or 1 with one line of what to do, or 2 for a name that nobody knows."""
    if unknown := sorted(set(programs) - set(PACKAGES) - {"consul"}):
        say(f"cannot provide {', '.join(unknown)}: known are consul, {', '.join(PACKAGES)}")
        return 2
    try:
        provide(programs)
    except (HAError, OSError, subprocess.SubprocessError) as error:
        say(f"{type(error).__name__ if not isinstance(error, HAError) else 'stopped'}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
