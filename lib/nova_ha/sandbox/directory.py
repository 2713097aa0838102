"""The folder of a sandbox: held while its owner lives, and cleaned up by the next one where it was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from nova_ha.errors import HAError
from nova_ha.sandbox.processes import end_all

PREFIX = "nova-ha-sandbox-"
LOCK = "sandbox.lock"


class SandboxDirectory:
    """A new folder that only this user can read. It is locked as long as this process lives."""

    def __init__(self, path: Path | None = None) -> None:
        clean_up_after_the_killed()
        if path is None:
            path = Path(tempfile.mkdtemp(prefix=PREFIX))
        self.path = path.resolve()
        self._lock = _take(self.path)

    def remove(self) -> None:
        """End every process of this sandbox, and remove the folder. Idempotent."""
        end_all(self.path)
        shutil.rmtree(self.path, ignore_errors=True)
        with suppress(OSError):
            os.close(self._lock)


def clean_up_after_the_killed() -> None:
    """Remove the sandboxes of this user whose owner was killed, with the processes that they left."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError, HAError):
            if folder.is_dir() and not folder.is_symlink() and folder.stat().st_uid == os.getuid():
                _clean_up(folder)


def _clean_up(folder: Path) -> None:
    # A folder without a lock is one that is just being made; a lock that can be taken has no owner any more.
    lock = os.open(folder / LOCK, os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        end_all(folder)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def _take(path: Path) -> int:
    """Make the folder this process's own, and return the lock."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    ours = (path / LOCK).exists()
    if not ours and any(path.iterdir()):
        raise HAError(f"{path} is not empty, and no sandbox", remedy="name a folder of its own for the sandbox")
    # A new lock gets its name when it is held: else whoever cleans up could take it in between.
    lock_file = path / (LOCK if ours else f".{LOCK}.new")
    lock = os.open(lock_file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock_file.rename(path / LOCK)
    except OSError:
        os.close(lock)
        raise HAError(f"a sandbox runs in {path} already", remedy="end it, or name another folder") from None
    if ours:
        end_all(path)
        _empty(path)
    return lock


def _empty(path: Path) -> None:
    for entry in path.iterdir():
        if entry.name == LOCK:
            continue
        shutil.rmtree(entry, ignore_errors=True) if entry.is_dir() else entry.unlink()
