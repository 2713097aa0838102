"""python -m on_release RELEASE TARGET [VARIABLE=VALUE...]: run a target of make in a bare Debian of another release.

debootstrap makes that Debian from the mirror of this machine, once, in `.cache/roots/`; a clone of HEAD in it is what
runs. Network and processes are this machine's own. All mounts are in a mount namespace that only this process and its
children see: they end with it, however it ends. It needs root, and nothing but the interpreter.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from nova_ha.errors import HAError
from nova_ha.sandbox.apt import mirrors, os_release
from nova_ha.sandbox.provide import CACHE, PROJECT, find, find_consul, provide, say

ROOTS = CACHE / "roots"
CHECKOUT = "srv/nova-ha-monitor"
# What the README asks of a machine, and the authorities that pip needs.
INCLUDED = "ca-certificates,git,make,python3"
# How this machine reaches the network, and whom it trusts, is not the release's.
AUTHORITIES = "etc/ssl/certs/ca-certificates.crt"
FROM_HERE = ("etc/resolv.conf", "etc/hosts", AUTHORITIES)
KEPT_VARIABLES = re.compile(r"TERM|PIP_(EXTRA_)?INDEX_URL|PIP_TRUSTED_HOST|(?i:\w+_proxy)")

# $1 is the root, $2 a Consul to bring along, or nothing; the rest is what runs inside.
INSIDE = r"""
set -eu
root=$1 consul=$2
shift 2
# A root that is no mount of its own has no mount namespaces, which tests make inside.
mount --bind "$root" "$root"
for folder in proc sys dev; do mount --rbind "/$folder" "$root/$folder"; done
mount -t tmpfs -o mode=755 tmpfs "$root/run"
[ -z "$consul" ] || install -m 755 "$consul" "$root/run/consul"
exec chroot "$root" "$@"
"""


def main(arguments: Sequence[str]) -> int:
    """Become that make; or 1 with one line of what to do, 2 for wrong usage."""
    release, target, *variables = arguments
    if not re.fullmatch(r"[a-z]+", release):
        say("name a release of Debian: make test-on RELEASE=trixie")
        return 2
    try:
        _run(release, target, variables)
    except (HAError, OSError, subprocess.SubprocessError) as error:
        say(f"{type(error).__name__ if not isinstance(error, HAError) else 'stopped'}: {error}")
    return 1


def _run(release: str, target: str, variables: Sequence[str]) -> None:
    if os.geteuid() != 0:
        raise HAError("only root can make a root of another release", remedy="sudo make test-on ...")
    provide(["debootstrap"])
    named = str(find_consul()) if os.environ.get("CONSUL") else ""
    root = ROOTS / release
    _take(root)
    if not root.exists():
        _make(release, root)
    for name in FROM_HERE:
        if Path("/", name).exists():
            shutil.copyfile(Path("/", name), root / name)
    head = _clone(root / CHECKOUT)
    say(f"{release}: make {target} of {head} in {root}; what is not committed is not in it")
    command = make_command(target, variables, bool(named))
    os.execvpe(
        "unshare", ["unshare", "-m", "sh", "-c", INSIDE, "sh", str(root), named, *command], environ(os.environ)
    )


def make_command(target: str, variables: Sequence[str], own_consul: bool) -> list[str]:
    """Return what runs inside."""
    consul = ["CONSUL=/run/consul"] if own_consul else []
    return ["make", "-C", f"/{CHECKOUT}", target, *variables, *consul]


def environ(outside: Mapping[str, str]) -> dict[str, str]:
    """Return the environment inside: that of a fresh root's shell, and the way to the network."""
    kept = {name: value for name, value in outside.items() if KEPT_VARIABLES.fullmatch(name)}
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {**kept, "PIP_CERT": f"/{AUTHORITIES}", "PATH": path, "HOME": "/root", "LANG": "C.UTF-8"}


def _take(root: Path) -> None:
    """Hold this root as long as this process, and what it becomes, lives. Raises HAError where another one does."""
    root.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(f"{root}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise HAError(f"{root} is in use", remedy="wait until that run has ended") from None
    os.set_inheritable(lock, True)


def _make(release: str, root: Path) -> None:
    """Make the root, under its name only once it is whole. Raises HAError."""
    sites = mirrors(os_release().get("VERSION_CODENAME", "")) if os_release().get("ID") == "debian" else []
    if not sites:
        raise HAError("this machine is configured for no mirror of Debian", remedy="run it on a Debian")
    say(f"{release}: making a bare Debian by debootstrap in {root} (300 MB, some two minutes)")
    new = root.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    program = str(find("debootstrap"))
    options = ["--variant=minbase", f"--include={INCLUDED}"]
    command = ["unshare", "-m", program, *options, release, str(new), sites[0]]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        raise HAError(f"debootstrap {release} failed: {(done.stdout.splitlines() or ['it says nothing'])[-1]}")
    new.rename(root)


def _clone(checkout: Path) -> str:
    """Bring HEAD into the checkout inside, where `.venv` and `.cache` of the last run stay; return its short name."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(checkout), *words], check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout.strip()

    checkout.mkdir(parents=True, exist_ok=True)
    git("init", "-q")
    git("fetch", "-q", str(PROJECT), "HEAD")
    git("checkout", "-qf", "--detach", "FETCH_HEAD")
    git("clean", "-fdq")
    return git("rev-parse", "--short", "HEAD")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
