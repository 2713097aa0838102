"""Finds the programs that the sandbox and the tests need, and gets those that are missing.

    python -m nova_ha.sandbox.provide consul sshd ipmi_sim ip venv

Consul is the one that `CONSUL` names, that of the PATH, or one that any user may have unpacked into the project's
`.cache/`; the others are installed by apt-get, by root or through a sudo that asks for nothing. What is done is
said in one line each on standard error. It needs nothing but the interpreter: it also gets what `python -m venv`
needs.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from nova_ha.errors import HAError
from nova_ha.sandbox import apt, systems

PROJECT = Path(__file__).resolve().parents[3]
CACHE = PROJECT / ".cache"
FETCHED_CONSUL = CACHE / "consul" / "consul"

OLDEST_CONSUL = (1, 8)
NAME_ONE = "name another: CONSUL=/path/to/consul"
VERSION_LIMIT_S = 10


def any_consul() -> str | Path | None:
    """Return the `consul` that CONSUL names, else that of the PATH, else the one that was fetched into `.cache/`."""
    return os.environ.get("CONSUL") or shutil.which("consul") or (FETCHED_CONSUL if FETCHED_CONSUL.exists() else None)


def find_consul() -> Path:
    """Return this machine's Consul. Raises HAError where there is none, or where it is no Consul, or too old.

    One that cannot be used is refused, and no other one taken in its place: nobody would see which one was tested.
    """
    found = any_consul()
    if found is None:
        raise HAError("there is no consul on this machine", remedy="python -m nova_ha.sandbox.provide consul")
    program = Path(found).absolute()
    consul_version(program)
    return program


@cache
def consul_version(program: Path) -> str:
    """Return the version that this Consul names, as `1.16.4`. Raises HAError for no Consul, or one older than 1.8."""
    try:
        # Bytes, since a program that is no Consul may say anything.
        done = subprocess.run(
            [program, "version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=VERSION_LIMIT_S
        )
    except OSError as error:
        raise HAError(f"{program} is no executable Consul ({error.strerror})", remedy=NAME_ONE) from error
    except subprocess.TimeoutExpired as error:
        message = f"{program} is no Consul (it names no version within {VERSION_LIMIT_S} s)"
        raise HAError(message, remedy=NAME_ONE) from error
    said = re.match(r"Consul v((\d+)\.(\d+)\S*)", done.stdout.decode(errors="replace"))
    if done.returncode or not said:
        raise HAError(f"{program} is no Consul (it names no version)", remedy=NAME_ONE)
    version, *numbers = said.groups()
    if tuple(map(int, numbers)) < OLDEST_CONSUL:
        raise HAError(f"{program} is Consul {version}, older than 1.8", remedy=NAME_ONE)
    return version


def fetch_consul() -> Path:
    """Unpack the `consul` of an apt package into `.cache/`, and return it. Raises HAError.

    The package is the one that apt offers here, else, on Debian, that of Debian 11 from the mirror that
    this machine is configured for. apt verifies it by its keyring; nothing is installed, and no root needed.
    """
    if not systems.has_apt():
        raise HAError("there is no consul on this machine", remedy=systems.how_to_get_consul())
    say("consul: fetching the apt package into .cache/ (nothing is installed on this machine)")
    private = FETCHED_CONSUL.parent.with_suffix(".apt")
    unpacked = private / "unpacked/usr/bin/consul"
    try:
        apt.unpack_package("consul", private)
        consul_version(unpacked)
        FETCHED_CONSUL.parent.mkdir(parents=True, exist_ok=True)
        # A rename in one step: whoever looks at the same time sees all of it, or nothing.
        unpacked.replace(FETCHED_CONSUL)
    except (HAError, subprocess.TimeoutExpired) as error:
        raise HAError(f"no consul, and apt has none ({error})", remedy=systems.how_to_get_consul()) from error
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
        if any_consul():
            find_consul()
        else:
            fetch_consul()
    missing = [program for program in programs if program != "consul" and not present(program)]
    if missing:
        packages = [systems.DEBIAN.packages[program] for program in missing]
        become_root = apt.way_to_root(missing)
        say(f"{', '.join(missing)}: installing {', '.join(packages)} by apt-get; no service is started")
        apt.install(packages, become_root)


def say(line: str) -> None:
    """Tell the user what is done to the machine."""
    print(line, file=sys.stderr, flush=True)


def main(programs: Sequence[str]) -> int:
    """Provide the programs; 0, or 1 with one line of what to do, or 2 for a name that nobody knows."""
    if unknown := sorted(set(programs) - set(systems.DEBIAN.packages) - {"consul"}):
        say(f"cannot provide {', '.join(unknown)}: known are consul, {', '.join(systems.DEBIAN.packages)}")
        return 2
    try:
        provide(programs)
    except (HAError, OSError, subprocess.SubprocessError) as error:
        say(f"{type(error).__name__ if not isinstance(error, HAError) else 'stopped'}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
