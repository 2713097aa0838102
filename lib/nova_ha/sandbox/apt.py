"""apt: unpack a package for ourselves alone, or install packages without starting their services."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from nova_ha.errors import HAError
from nova_ha.sandbox import systems

# The newest Debian release whose archive has Consul.
CONSUL_RELEASE = "bullseye"
KEYRING = "/usr/share/keyrings/debian-archive-keyring"
TIMEOUT_S = 600


def unpack_package(package: str, private: Path) -> None:
    """Unpack a package into `private`/unpacked, from where apt has it. Needs no root. Raises HAError."""
    shutil.rmtree(private, ignore_errors=True)
    for folder in ("lists/partial", "cache/archives/partial", "unpacked"):
        (private / folder).mkdir(parents=True)
    errors = [error for options in _sources(private) if (error := _download(package, options, private))]
    found = list(private.glob(f"{package}_*.deb"))
    if not found:
        raise HAError("; ".join(errors) or "no source to take it from")
    _run(["dpkg-deb", "-x", str(found[0]), str(private / "unpacked")])


def _sources(private: Path) -> list[list[str]]:
    """Return apt's options for each place that may have the package: as configured here, then Debian 11."""
    own_lists = [f"Dir::State::Lists={private}/lists", f"Dir::Cache={private}/cache"]
    as_configured: list[list[str]] = [[], own_lists]
    release = os_release()
    if release.get("ID") != "debian":
        return as_configured
    listed = private / "sources.list"
    listed.write_text(_older_debian(release.get("VERSION_CODENAME", "")))
    (private / "status").touch()
    return [
        [],
        [
            *own_lists,
            f"Dir::Etc::sourcelist={listed}",
            "Dir::Etc::sourceparts=/dev/null",
            f"Dir::State::status={private}/status",
            "APT::Default-Release=",
        ],
    ]


def _older_debian(codename: str) -> str:
    """Return the source lines of Debian 11 on the mirrors that this machine uses for its own release."""
    keyring = next((f"{KEYRING}{end}" for end in (".gpg", ".pgp") if Path(KEYRING + end).exists()), "")
    signed = f"[signed-by={keyring}] " if keyring else ""
    return "".join(f"deb {signed}{site} {CONSUL_RELEASE} main\n" for site in mirrors(codename))


def mirrors(codename: str) -> list[str]:
    """Return the mirrors that this machine is configured to take its own release from, Debian's main archive."""
    known = _run(["apt-get", "--no-release-info", "indextargets", "--format", "$(SITE) $(RELEASE)"])
    pairs = {tuple(line.split()) for line in known.splitlines() if len(line.split()) == 2}
    return sorted(site for site, release in pairs if release in (codename, "stable", "testing", "unstable"))


def _download(package: str, options: Sequence[str], private: Path) -> str:
    """Download the package where none has been yet; return why not, or nothing."""
    if list(private.glob(f"{package}_*.deb")):
        return ""
    # As root, apt would fetch as the user _apt, who may not be let into the folder.
    given = [word for option in (*options, "APT::Sandbox::User=root") for word in ("-o", option)]
    try:
        if options:
            _run(["apt-get", "-q", *given, "update"], private)
        _run(["apt-get", "-q", *given, "download", package], private)
    except HAError as error:
        return str(error)
    return ""


def way_to_root(programs: Sequence[str]) -> list[str]:
    """Return what to put before a command that root has to run. Raises HAError saying what to install by hand."""
    if systems.has_apt():
        if os.geteuid() == 0:
            return []
        if shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0:
            return ["sudo", "-n"]
    raise HAError(f"missing here: {' '.join(programs)}", remedy=systems.how_to_install(programs))


def install(packages: Sequence[str], become_root: Sequence[str]) -> None:
    """Install packages by apt-get, starting no service, now or at the next boot. Raises HAError."""
    _run([*become_root, "sh", "-c", INSTALL, "sh", *packages])


# policy-rc.d is asked by every package before it starts a service: 101 forbids it.
INSTALL = r"""
set -eu
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d saved=/usr/sbin/policy-rc.d.before-nova-ha
restore() { rm -f "$policy"; [ ! -e "$saved" ] || mv "$saved" "$policy"; }
trap restore EXIT
trap 'exit 130' INT TERM HUP
[ -e "$saved" ] || [ ! -e "$policy" ] || mv "$policy" "$saved"
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"
apt-get -q update
apt-get -q -y --no-install-recommends install "$@"
if command -v systemctl >/dev/null; then
    for package in "$@"; do
        for unit in $(dpkg -L "$package" | sed -n 's,.*/systemd/system/\([^@/]*\.\(service\|socket\)\)$,\1,p'); do
            systemctl disable "$unit" >/dev/null 2>&1 || :
        done
    done
fi
"""


def _run(argv: Sequence[str], folder: Path | None = None) -> str:
    environ = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(argv, cwd=folder, env=environ, capture_output=True, text=True, timeout=TIMEOUT_S)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith(("E:", "dpkg"))]
        raise HAError((lines or done.stderr.splitlines() or [f"{argv[0]} failed"])[-1])
    return done.stdout


def os_release() -> dict[str, str]:
    """Return what this machine says of its system in /etc/os-release; empty where it says nothing."""
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return {}
    return {name: value.strip('"') for name, _, value in (line.partition("=") for line in lines)}
