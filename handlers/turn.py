"""One recovery at work on an HA node, and at most one more that waits for it: wakes do not pile up processes."""

from __future__ import annotations

import fcntl
import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from nova_ha.run_folder import file_name, run_folder

log = logging.getLogger(__name__)

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
            folder = run_folder()
            waiting = held.enter_context((folder / f"{file_name(agent)}.waits").open("w"))
            working = held.enter_context((folder / f"{file_name(agent)}.works").open("w"))
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
