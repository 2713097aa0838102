"""One recovery at work on an HA node, and at most one more that waits for it: wakes do not pile up processes."""

from __future__ import annotations

import fcntl
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

log = logging.getLogger(__name__)

VARIABLE = "NOVA_HA_RUN"
ROOTS_FOLDER = "/run/nova-ha"
# A driver that was stopped, or hangs, keeps the file locked and loses its session: by then another one may go on.
LONGEST_WAIT_S = 120.0
PAUSE_S = 0.2


@contextmanager
def turn(agent: str) -> Iterator[bool]:
    """Wait until no other recovery of this agent is at work; yield False where one waits for that already.

    The one that waits reads the state once its turn has come, so it also sees what a third one was woken for. The
    kernel gives the turn back when a process ends, however it ends. Consul's locks keep the drivers apart: where no
    file can be locked here (disk full, read only) all go on at once, and none waits longer than LONGEST_WAIT_S for
    one that may never end.
    """
    with ExitStack() as held:
        try:
            folder = _folder()
            waiting = held.enter_context((folder / f"{_named(agent)}.waits").open("w"))
            working = held.enter_context((folder / f"{_named(agent)}.works").open("w"))
        except OSError as error:
            log.warning("step=turn no file to lock: %s", error)
            yield True
            return
        if not _taken(waiting.fileno()):
            yield False
            return
        _await(working.fileno())
        fcntl.flock(waiting, fcntl.LOCK_UN)
        yield True


def _await(descriptor: int) -> None:
    if _taken(descriptor):
        return
    log.info("step=turn another recovery of this agent is at work: waiting for its end, %g s at most", LONGEST_WAIT_S)
    until = time.monotonic() + LONGEST_WAIT_S
    while not _taken(descriptor) and time.monotonic() < until:
        time.sleep(PAUSE_S)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _folder() -> Path:
    """Return a folder that nobody else may write to. Raises OSError."""
    ours = f"{tempfile.gettempdir()}/nova-ha-{os.getuid()}"
    folder = Path(os.environ.get(VARIABLE) or (ROOTS_FOLDER if os.getuid() == 0 else ours))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise PermissionError(f"{folder} is not ours alone")
    return folder


def _named(agent: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in agent)
