"""Starting another of our commands, which then goes on by itself."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from nova_ha.run_folder import look_out_file, this_agent

LOOK_OUT = "nova-ha-look-out"


def start_beside(command: str) -> str:
    """Start the command with no pipe, session or standard stream of ours; return why it does not, or nothing."""
    # Consul finds its scripts in the agent's PATH; ours stand beside each other also where that is not set.
    found = shutil.which(command) or str(Path(sys.executable).parent / command)
    nothing = subprocess.DEVNULL
    try:
        subprocess.Popen([found], stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)
    except OSError as error:
        return f"{found} ({error})"
    return ""


def start_look_out(me: str) -> None:
    """Start this HA node's look-out, where the recovery part is installed and none is at work.

    One too many finds the lock of the other, and ends. Where none starts, the last look asks Nova all the same.
    """
    if find_spec("novaclient") and not _looks_out(me):
        start_beside(LOOK_OUT)


def _looks_out(me: str) -> bool:
    """Return whether one holds its lock. That costs nothing: a host may be held for days."""
    try:
        with look_out_file(this_agent(me)).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False
