"""Where a detached driver's log goes: the machine's syslog, and the file that NOVA_HA_LOG names."""

from __future__ import annotations

import logging
import logging.handlers
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nova_ha.printable import printable

FORMAT = "%(asctime)s nova-ha[%(process)d] %(levelname)s %(message)s"
SYSLOG = "/dev/log"
LOG_MODE = 0o640


class OneLine(logging.Formatter):
    """Writes a message on one printable line, whatever was in a key; only a traceback after it has more."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return printable(super().formatMessage(record))


@contextmanager
def log_to_the_journal() -> Iterator[None]:
    """Send the log there meanwhile. Never raises by itself: a driver works without a log too."""
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    handlers = _handlers()
    for handler in handlers:
        handler.setFormatter(OneLine(FORMAT))
        root.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            root.removeHandler(handler)
            # What a full disk had no room for is still in the buffer, and has none now.
            with suppress(OSError):
                handler.close()


def _handlers() -> list[logging.Handler]:
    found: list[logging.Handler] = []
    try:
        if Path(SYSLOG).is_socket():
            found.append(logging.handlers.SysLogHandler(SYSLOG))
        if path := os.environ.get("NOVA_HA_LOG"):
            # Not by the umask: it names hosts, addresses and people.
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, LOG_MODE))
            found.append(logging.FileHandler(path))
    except OSError:
        pass
    return found
