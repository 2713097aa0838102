"""What `docs/faults.md` promises that an operator sees, held to what the product prints."""

from __future__ import annotations

from kit.faults_page import FAULTS


def shows(fault: int, line: str, printed: str) -> None:
    """Check that the line is printed word for word; test_faults_page.py reads `fault` and `line`.

    Both must be written out where this is called.
    """
    assert fault in FAULTS
    assert line in " ".join(printed.split()), f"{line!r} is not in what is printed:\n{printed}"
