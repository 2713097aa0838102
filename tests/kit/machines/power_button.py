"""What loses its power when a real BMC cuts it: all processes of one host, and its guests in Nova.

python -m kit.machines.power_button FOLDER 0

With 1 it gets its power back, and stands in its firmware.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from nova_ha.clock import to_stamp
from nova_ha.sandbox.chassis import Chassis
from nova_ha.sandbox.processes import end_one

SSHD_PROCESS = "sshd.process"
CUT_AT = "cut-at"
LIFE = "life"


def note(directory: Path, what: str, now: datetime | None = None) -> None:
    """Note what a machine really does from now on: `on`, `answers`, `silent`, `off`."""
    with (directory / LIFE).open("a") as notes:
        notes.write(f"{(now or datetime.now(UTC)).isoformat()} {what}\n")


def note_cut(directory: Path) -> None:
    """Note that a machine loses its power now."""
    now = datetime.now(UTC)
    with (directory / CUT_AT).open("a") as notes:
        notes.write(to_stamp(now) + "\n")
    note(directory, "off", now)


def cut(chassis: Chassis) -> None:
    """End the host in the middle of whatever it does, and note when. Nothing but a note where it is off."""
    note_cut(chassis.directory)
    end_one(int((chassis.directory / SSHD_PROCESS).read_text()), Path(chassis.plan.sandbox))
    chassis.power_off()


if __name__ == "__main__":
    if sys.argv[2] == "0":
        cut(Chassis(Path(sys.argv[1])))
    else:
        # It boots for longer than anybody waits: nothing on it runs, and nothing answers.
        note(Path(sys.argv[1]), "on")
