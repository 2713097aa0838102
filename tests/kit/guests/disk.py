"""What a guest has left on its disk, read from outside while it runs or after it has ended; raw and qcow2.

`guest-init` writes it: a record for every number in the first sector, one for each boot, one where a guest found that
somebody else writes to its disk.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

SECTOR = 512
CONFLICT_AT = 100
QCOW2 = b"QFI\xfb"
# The bits of an L1 or L2 entry that are the offset.
OFFSET_MASK = 0x00FFFFFFFFFFFE00


@dataclass(frozen=True)
class Written:
    """The last number, by which boot of the guest, and the how many-th boot of this disk that was."""

    number: int
    boot: str
    boots: int


@dataclass(frozen=True)
class Boot:
    """One boot on this disk, and the number that it found."""

    boot: str
    found: int


def written(disk: Path) -> Written | None:
    """Return the last number on the disk; None where no guest has written any, or it cannot be seen."""
    words = _record(disk, 0).split()
    if len(words) != 4 or words[0] != "counter":
        return None
    return Written(int(words[1]), words[2], int(words[3]))


def boots(disk: Path) -> list[Boot]:
    """Return every boot that this disk has seen, oldest first."""
    last = written(disk)
    found = []
    for sector in range(1, (last.boots if last else 0) + 1):
        words = _record(disk, sector).split()
        if len(words) == 4 and words[0] == "boot":
            found.append(Boot(words[1], int(words[3])))
    return found


def identity(disk: Path) -> str:
    """Return what tells this disk from every other one: its first boot; empty before that."""
    words = _record(disk, 1).split()
    return words[1] if len(words) == 4 and words[0] == "boot" else ""


def conflict(disk: Path) -> str:
    """Return what a guest says of another one that writes to its disk; empty where none has."""
    found = _record(disk, CONFLICT_AT)
    return found if found.startswith("conflict") else ""


def _record(disk: Path, sector: int) -> str:
    try:
        with disk.open("rb", buffering=0) as file:
            return _sector(file.fileno(), sector).rstrip(b"\0 \n").decode("latin1")
    except OSError:
        return ""


def _sector(file: int, sector: int) -> bytes:
    header = os.pread(file, 48, 0)
    if header[:4] != QCOW2:
        return os.pread(file, SECTOR, SECTOR * sector)
    return _in_qcow2(file, header, SECTOR * sector)


def _in_qcow2(file: int, header: bytes, place: int) -> bytes:
    """Read a sector by the two tables of the format; one that is not there was never written."""
    cluster_bits, l1_at = struct.unpack(">I", header[20:24])[0], struct.unpack(">Q", header[40:48])[0]
    entries_bits = cluster_bits - 3
    l2_at = _entry(file, l1_at + 8 * (place >> cluster_bits + entries_bits))
    data_at = _entry(file, l2_at + 8 * (place >> cluster_bits & (1 << entries_bits) - 1)) if l2_at else 0
    return os.pread(file, SECTOR, data_at + place % (1 << cluster_bits)) if data_at else b""


def _entry(file: int, place: int) -> int:
    found: int = struct.unpack(">Q", os.pread(file, 8, place))[0] & OFFSET_MASK
    return found
