"""Leaving the agent that started us: a driver must not die with it, nor hold its pipes open."""

from __future__ import annotations

import os
import sys
from contextlib import suppress


def detach() -> bool:
    """Fork; return True in the child, which has a session of its own and no pipe of its parent's.

    The parent returns False and should print and exit: the agent is done with it. The child is not the
    parent's child any more (two forks), so that nobody has to reap it.
    """
    for stream in (sys.stdout, sys.stderr):
        # One that is closed, or whose reader or disk takes no more, keeps no driver from its work.
        if stream is not None:
            with suppress(OSError, ValueError):
                stream.flush()
    first = os.fork()
    if first:
        os.waitpid(first, 0)
        return False
    os.setsid()
    if os.fork():
        os._exit(0)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.close(null)
    return True
