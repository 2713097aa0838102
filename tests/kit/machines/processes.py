"""The processes that a test started, told from all others on the machine by a mark in their environment."""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from pathlib import Path

MARK = "NOVA_HA_TEST_MARK"


def new_mark() -> str:
    """Return a value for MARK that no other test has."""
    return uuid.uuid4().hex


def unmarked_environment() -> dict[str, str]:
    """Return our environment without the mark: for the stand-ins, which end in their own time."""
    return {name: value for name, value in os.environ.items() if name != MARK}


def marked(mark: str) -> list[int]:
    """Return the ids of the living processes that were started with the mark, except this one."""
    entry = f"{MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            with contextlib.suppress(OSError):
                if entry in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
    return found


def wait_until_marked(mark: str, count: int, within_s: float = 60.0) -> list[int]:
    """Wait until so many processes carry the mark (0: none is left), and return them."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        found = marked(mark)
        if len(found) == count or (count and len(found) > count):
            return found
        time.sleep(0.05)
    raise AssertionError(f"{len(marked(mark))} processes carry the mark after {within_s:g} s, not {count}")
