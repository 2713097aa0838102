"""What the guards around checks, handlers and commands share: an error in one line, and a stream that is gone."""

from __future__ import annotations

import os

from nova_ha.printable import printable


def in_one_line(text: str) -> str:
    """Return the text as one printable line, whatever is in it."""
    return " ".join(printable(text).split())


def discard(stream: int) -> None:
    """Point the standard stream at nothing: the interpreter would try once more when it ends, and exit with 120."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, stream)
    os.close(nothing)
