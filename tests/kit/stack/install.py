"""What the stack needs: the message bus and the database from Debian, OpenStack itself in a virtualenv of its own."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from nova_ha.errors import HAError
from nova_ha.sandbox import apt
from nova_ha.sandbox.provide import say

from kit.stack.layout import HERE, HOME, VENV

PACKAGES = {
    "/usr/lib/rabbitmq/bin/rabbitmq-server": "rabbitmq-server",
    "/usr/sbin/mariadbd": "mariadb-server-core",
    "/usr/bin/mariadb": "mariadb-client-core",
    "/usr/lib/python3.11/ensurepip/__init__.py": "python3.11-venv",
}
INSTALLED = VENV / "installed"
SHOWN_EVERY = 20
# pip would compile all of it, on one processor; half of it are the services' own tests.
PIP_OPTIONS = ("--disable-pip-version-check", "--progress-bar", "off", "--no-compile")


def install() -> None:
    """Install what is missing, saying what is done; at once where nothing is. Raises HAError."""
    missing = [package for path, package in PACKAGES.items() if not Path(path).exists()]
    if missing:
        become_root = apt.way_to_root(missing)
        say(f"openstack: installing {', '.join(missing)} by apt-get; no service is started")
        apt.install(missing, become_root)
    if not INSTALLED.exists() or INSTALLED.read_text() != wanted():
        install_openstack()


def wanted() -> str:
    """Return what is to be installed, as it is noted when it has been."""
    return (HERE / "requirements.txt").read_text() + (HERE / "constraints.txt").read_text()


def install_openstack() -> None:
    """Make the virtualenv. The note that it is complete is written last."""
    python = shutil.which("python3.11")
    if python is None:
        raise HAError("OpenStack 2026.2 is pinned for python3.11, which is not here", remedy="use Debian 12")
    say(f"openstack: installing keystone, placement, glance, neutron and nova into {VENV} (some minutes, once)")
    shutil.rmtree(VENV, ignore_errors=True)
    HOME.mkdir(parents=True, exist_ok=True)
    subprocess.run([python, "-m", "venv", str(VENV)], check=True)
    requirements = ["-r", str(HERE / "requirements.txt"), "-c", str(HERE / "constraints.txt")]
    fetch([str(VENV / "bin/pip"), "install", *PIP_OPTIONS, *requirements])
    # Fails where a package has templates that are no Python; what is not compiled is compiled when it is imported.
    subprocess.run(
        [str(VENV / "bin/python"), "-m", "compileall", "-q", "-q", "-j0", "-x", "/tests?/", str(VENV / "lib")]
    )
    INSTALLED.write_text(wanted())


def fetch(pip: list[str]) -> None:
    """Run pip, and say how far it is. Raises HAError with its last words where it fails."""
    with subprocess.Popen(pip, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            last = told(process.stdout)
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if process.returncode:
        raise HAError(f"pip failed: {' / '.join(last)}")


def told(lines: Iterable[str]) -> Sequence[str]:
    """Say how far pip is by what it prints, and return its last lines."""
    total, fetched, last = len((HERE / "constraints.txt").read_text().splitlines()), 0, [""]
    for line in lines:
        last = [*last[-4:], line.strip()]
        if line.startswith("Collecting "):
            fetched += 1
            if fetched % SHOWN_EVERY == 0:
                say(f"openstack: {fetched} of about {total} packages")
        elif line.startswith("Installing collected"):
            say("openstack: unpacking them")
    return last
