"""Sessions that are open at BMCs: a process that is ended cannot end its own, so the next one does.

A process that talks to a BMC notes its session in a file, which it keeps locked, and removes it with the session. The
kernel lets go of the lock however the process ends: what nobody holds any more was left.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from nova_ha.power.device import FenceDevice
from nova_ha.run_folder import run_folder

_FOLDER = "bmc-sessions"
# A BMC ends a session by itself that nobody has used for so long.
_FORGOTTEN_AFTER_S = 3600.0
# So many are ended at a time: whoever ends them has a reading of the power to bring.
_MOST = 8


@dataclass(frozen=True)
class Ticket:
    """A session at a BMC, and what lets us end it."""

    path: str
    token: str = field(repr=False)


class Tickets:
    """The sessions at one BMC that processes of this machine know of. Where no file can be written there are none."""

    def __init__(self, device: FenceDevice) -> None:
        place = json.dumps([device.driver, device.host, device.port, device.user])
        self._prefix = hashlib.sha256(place.encode()).hexdigest()[:16] + "-"
        self._files: dict[Ticket, tuple[Path, int | None]] = {}

    def opened(self, ticket: Ticket) -> None:
        """Note a session of this process."""
        if not ticket.path:
            return
        with suppress(OSError):
            folder = _folder()
            file, draft = tempfile.mkstemp(prefix=f".{self._prefix}", dir=folder)
            try:
                # Nobody takes it for one that was left before it is locked and whole.
                fcntl.flock(file, fcntl.LOCK_EX)
                note = json.dumps(asdict(ticket)).encode()
                if os.write(file, note) != len(note):
                    raise OSError(f"{draft}: no room")
                path = folder / Path(draft).name.removeprefix(".")
                os.rename(draft, path)
            except OSError:
                os.close(file)
                Path(draft).unlink(missing_ok=True)
                raise
            self._files[ticket] = path, file

    def ended(self, ticket: Ticket) -> None:
        """Note that a session is no more, ours or one that was left."""
        path, file = self._files.pop(ticket, (None, None))
        with suppress(OSError):
            if path:
                path.unlink(missing_ok=True)
        if file is not None:
            os.close(file)

    def left(self) -> tuple[Ticket, ...]:
        """Return sessions whose processes have ended, a few at a time; what is none, or is too old, is removed."""
        found: list[Ticket] = []
        with suppress(OSError):
            folder = _folder()
            for path in [*folder.glob(f".{self._prefix}*"), *sorted(folder.glob(f"{self._prefix}*"))]:
                ticket = _left_in(path) if len(found) < _MOST else None
                if ticket:
                    self._files[ticket] = path, None
                    found.append(ticket)
        return tuple(found)


def _folder() -> Path:
    folder = run_folder() / _FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _left_in(path: Path) -> Ticket | None:
    """Return the ticket in the file, None where its process lives; a file that holds none, or is too old, goes."""
    with suppress(OSError), path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with suppress(ValueError, TypeError):
            ticket = Ticket(**json.load(file))
            if not path.name.startswith(".") and time.time() - os.fstat(file.fileno()).st_mtime < _FORGOTTEN_AFTER_S:
                return ticket
        path.unlink(missing_ok=True)
    return None
