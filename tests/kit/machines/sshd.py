"""A real OpenSSH server with a password login, for a user that this machine does not have.

    with start_sshd(tmp_path, "127.14.2.1") as sshd:
        assert login(sshd.config).state is State.WELL

It runs in namespaces of its own, where copies of passwd and shadow know the user: nothing of the machine is
changed, and whatever it starts ends with it. Needs root, as sshd does.
"""

from __future__ import annotations

import enum
import os
import select
import shlex
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from nova_ha.cluster.node import SSHConfig
from nova_ha.sandbox.processes import Child, marked
from nova_ha.sandbox.waiting import until

USER = "nova-ha-probe"
PASSWORD = "s3cret of the test user"
# openssl passwd -6 of it: Python's crypt has gone with 3.13.
_HASH = "$6$novahatests$OyGIvN3KRk/NhdvbGNeVRLdsXJleEK2T2H.TV4ngL2CUpoUWMx5MttVoyTCs5T2YdI1c6uM73gQEQUwcSzSC1/"
_UID = 64123
# Where the user, whom a test's own folder is closed to, can run it: /run is the namespace's own.
_SHELL = "/run/login-shell"
SHELL = '#!/bin/sh\nexec /bin/sh "$@"\n'
_SETTINGS = {
    "UsePAM": "no",
    "StrictModes": "no",
    "PermitRootLogin": "no",
    "PasswordAuthentication": "yes",
    "UseDNS": "no",
    # The default drops logins that come at once.
    "MaxStartups": "500:30:1000",
}


# What pam_nologin shows.
NOLOGIN = "down until noon\n"


class Bars(enum.Enum):
    """Why PAM lets the user not in, though the password is right."""

    NOBODY = "it lets in whoever knows it"
    EXPIRED = "the account has expired"
    NOLOGIN = "nobody may log in for now"


class SSHD:
    """One server. `config` is what a node's keys would say of it."""

    def __init__(
        self,
        directory: Path,
        address: str,
        port: int,
        shell: str = SHELL,
        settings: Mapping[str, str] | None = None,
        sandbox: Path | None = None,
        bars: Bars = Bars.NOBODY,
        files: Mapping[str, str | None] | None = None,
    ) -> None:
        """Prepare it in the folder; `sandbox` is the one that it belongs to, if to any. `files` as for start_sshd."""
        self._directory = directory
        self._files = dict(files or {})
        self._where = (address, port)
        self._bars = bars
        self._blocked: list[str] = []
        self._write_files(shell, settings or {})
        mark = marked(os.environ, sandbox or directory)
        self._child = Child("sshd", _in_own_namespaces(directory, self._files), mark, directory / "log")

    @property
    def config(self) -> SSHConfig:
        """Its address and the user's credentials, with no host key pinned."""
        return SSHConfig(*self._where, user=USER, password=PASSWORD)

    @property
    def host_key(self) -> str:
        """Its public key, without the comment."""
        return " ".join((self._directory / "host_key.pub").read_text().split()[:2])

    @property
    def command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        """What it is, and its environment: for whoever starts it elsewhere."""
        return self._child.argv, self._child.environ

    @property
    def process(self) -> int:
        """The process id of what it runs in: with it everything ends."""
        return self._child.pid

    @property
    def _last_words(self) -> str:
        """What it said last, before and after it opened its log."""
        log = self._directory / "sshd.log"
        return self._child.last_words() + (log.read_text()[-500:] if log.exists() else "")

    @property
    def log(self) -> str:
        """What it has logged."""
        return (self._directory / "sshd.log").read_text()

    def start(self) -> None:
        """Start it and wait until it listens."""
        self._blocked = []
        self._child.start()
        until(self._listens, f"sshd to listen ({self._last_words})")

    def kill(self) -> None:
        """End it and all that it started, and wait for that. Idempotent."""
        if not self._child.running:
            return
        server = os.pidfd_open(self._pid)
        self._child.kill()
        # The kernel ends the server after unshare has gone, and everything in its namespace with it.
        ended, _, _ = select.select([server], [], [], 60)
        os.close(server)
        assert ended, "sshd does not end"

    def suspend(self) -> None:
        """Stop it in its tracks: the kernel still accepts connections for it."""
        os.kill(self._pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self._pid, signal.SIGCONT)

    def block(self, path: str) -> None:
        """Let whoever opens this file of its machine wait, as over a dead disk, until `unblock` or its next start."""
        if not self._fifo.exists():
            os.mkfifo(self._fifo)
        self._there("mount", "--bind", str(self._fifo), path)
        self._blocked.append(path)

    def unblock(self) -> None:
        """Let all go on that wait since `block`: they find the file empty. Idempotent."""
        for path in self._blocked:
            with suppress(subprocess.CalledProcessError):  # its power is cut at this moment
                self._there("umount", "--lazy", path)
        self._blocked = []
        with suppress(OSError):  # nobody waits
            os.close(os.open(self._fifo, os.O_WRONLY | os.O_NONBLOCK))

    @property
    def _fifo(self) -> Path:
        return self._directory / "blocked"

    def _there(self, *command: str) -> None:
        """Run a command where the server sees its files."""
        subprocess.run(["nsenter", "--target", str(self._pid), "--mount", "--pid", *command], check=True)

    def new_host_key(self) -> None:
        """Give it another host key, as a host has that was installed anew. Takes effect at its next start."""
        for name in ("host_key", "host_key.pub"):
            (self._directory / name).unlink(missing_ok=True)
        key = str(self._directory / "host_key")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key], check=True)

    @property
    def _pid(self) -> int:
        # The child that we started is unshare; it waits for the server.
        return int(Path(f"/proc/{self._child.pid}/task/{self._child.pid}/children").read_text().split()[0])

    def _listens(self) -> bool:
        assert self._child.running, f"sshd ended at its start: {self._last_words} (it needs root)"
        with socket.socket() as trial:
            trial.settimeout(1)
            return trial.connect_ex(self._where) == 0

    def _write_files(self, shell: str, settings: Mapping[str, str]) -> None:
        self.new_host_key()
        address, port = self._where
        own = {
            "ListenAddress": f"{address}:{port}",
            "HostKey": str(self._directory / "host_key"),
            "PidFile": "none",
            **_SETTINGS,
            **settings,
        }
        (self._directory / "sshd_config").write_text("".join(f"{name} {value}\n" for name, value in own.items()))
        for number, text in enumerate(self._files.values()):
            if text is None:
                os.mkfifo(self._directory / f"file-{number}")
            else:
                (self._directory / f"file-{number}").write_text(text)
        (self._directory / "shell").write_text(shell)
        (self._directory / "nologin").write_text(NOLOGIN if self._bars is Bars.NOLOGIN else "")
        expires = "19000" if self._bars is Bars.EXPIRED else ""
        passwd = f"{USER}:x:{_UID}:65534:a test's user:/:{_SHELL}\n"
        _with_line(Path("/etc/passwd"), self._directory / "passwd", passwd, 0o644)
        _with_line(Path("/etc/shadow"), self._directory / "shadow", f"{USER}:{_HASH}:19000:::::{expires}:\n", 0o600)


# A login shell that neither works nor ends for a while.
HANGING_SHELL = "#!/bin/sh\nexec sleep 30\n"


@contextmanager
def start_sshd(
    directory: Path,
    address: str,
    port: int = 22,
    *,
    shell: str = SHELL,
    settings: Mapping[str, str] | None = None,
    bars: Bars = Bars.NOBODY,
    files: Mapping[str, str | None] | None = None,
) -> Iterator[SSHD]:
    """Run an sshd on the address; `settings` go into its sshd_config, `shell` is the script that users log in to.

    Whom its PAM `bars`, it bars with UsePAM only, by the own /etc/pam.d/sshd of the machine. There these `files`
    of the machine have other texts; whoever opens one without a text waits for ever, as over a dead disk.
    """
    own = directory / f"sshd-{address}-{port}"
    own.mkdir(mode=0o755)
    sshd = SSHD(own, address, port, shell, settings, bars=bars, files=files)
    try:
        sshd.start()
        yield sshd
    finally:
        sshd.kill()


def _in_own_namespaces(directory: Path, files: Iterable[str]) -> list[str]:
    program = shutil.which("sshd", path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"]))
    assert program, "there is no sshd: python -m nova_ha.sandbox.provide sshd"
    quoted = shlex.quote(str(directory))
    mounts = "\n".join(f"mount --bind {quoted}/file-{n} {shlex.quote(path)}" for n, path in enumerate(files))
    script = f"""
        set -e
        mount --bind {quoted}/passwd /etc/passwd
        mount --bind {quoted}/shadow /etc/shadow
        {mounts}
        mount -t tmpfs -o mode=755 none /run
        mkdir /run/sshd
        install -m 755 {quoted}/shell {_SHELL}
        test ! -s {quoted}/nologin || cp {quoted}/nologin /run/nologin
        exec {program} -D -f {quoted}/sshd_config -E {quoted}/sshd.log
    """
    return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script]


def _with_line(source: Path, copy: Path, line: str, mode: int) -> None:
    copy.touch(mode=mode)
    copy.write_text(source.read_text() + line)
