"""The folder of this machine's own files, which end with it: lock files, what was read of Nova, sessions at BMCs."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

VARIABLE = "NOVA_HA_RUN"
ROOTS_FOLDER = "/run/nova-ha"


def run_folder() -> Path:
    """Return a folder that nobody else may write to. Raises OSError."""
    ours = f"{tempfile.gettempdir()}/nova-ha-{os.getuid()}"
    folder = Path(os.environ.get(VARIABLE) or (ROOTS_FOLDER if os.getuid() == 0 else ours))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise PermissionError(f"{folder} is not ours alone")
    return folder


def file_name(agent: str) -> str:
    """Return the agent's name with nothing in it that a path would take for a folder."""
    return "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in agent)


def this_agent(me: str) -> str:
    """Return the name under which the local agent's files lie in the run folder, for the node `me`."""
    return f"{me} {os.environ.get('CONSUL_HTTP_ADDR', '')}"


def look_out_file(agent: str) -> Path:
    """Return the file that the agent's look-out keeps locked. Raises OSError."""
    return run_folder() / f"{file_name(agent)}.looks-out"


def heard_file(agent: str, by: str) -> Path:
    """Return where the agent's look-out, or its drivers, keep what they have read of Nova. Raises OSError."""
    return run_folder() / f"{file_name(agent)}.heard-by-{by}"
