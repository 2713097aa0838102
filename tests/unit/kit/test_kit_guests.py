"""What is read of a real guest's disk, and what the judge of real guests says of it."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from kit.guests import disk, judge
from kit.guests.disk import Boot, Written
from kit.guests.recorder import Recorded, Run, Seen

SECTOR, CLUSTER = 512, 65536
START = datetime(2026, 11, 29, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def records(*rows: str, conflict: str = "") -> dict[int, bytes]:
    """What a guest writes into its sectors."""
    found = dict(enumerate(rows)) | ({disk.CONFLICT_AT: conflict} if conflict else {})
    return {sector: row.ljust(511).encode() + b"\n" for sector, row in found.items() if row}


def raw(path: Path, sectors: dict[int, bytes]) -> Path:
    with path.open("wb") as file:
        file.truncate(CLUSTER)
        for sector, text in sectors.items():
            file.seek(SECTOR * sector)
            file.write(text)
    return path


def qcow2(path: Path, sectors: dict[int, bytes]) -> Path:
    """An image whose first cluster of data is the fourth of the file, after header, L1 and L2 table."""
    raw(path, {3 * CLUSTER // SECTOR + sector: text for sector, text in sectors.items()})
    copied = 1 << 63
    with path.open("r+b") as file:
        header = struct.pack(">4sIQIIQIIQ", b"QFI\xfb", 2, 0, 0, 16, 1 << 30, 0, 1, CLUSTER)
        for place, text in ((0, header), (CLUSTER, struct.pack(">Q", copied | 2 * CLUSTER))):
            file.seek(place)
            file.write(text)
        file.seek(2 * CLUSTER)
        file.write(struct.pack(">Q", copied | 3 * CLUSTER))
    return path


@pytest.mark.parametrize("make", [raw, qcow2])
def test_a_disk_tells_its_last_number_its_boots_and_its_identity(tmp_path: Path, make: object) -> None:
    assert callable(make)
    path = make(tmp_path / "disk", records("counter 48 b2 2", "boot b1 from 0", "boot b2 from 31"))
    assert disk.written(path) == Written(48, "b2", 2)
    assert disk.boots(path) == [Boot("b1", 0), Boot("b2", 31)]
    assert (disk.identity(path), disk.conflict(path)) == ("b1", "")


@pytest.mark.parametrize("make", [raw, qcow2])
def test_a_disk_that_no_guest_has_written_to_tells_nothing(tmp_path: Path, make: object) -> None:
    assert callable(make)
    path = make(tmp_path / "disk", records("fresh from the image"))
    assert (disk.written(path), disk.boots(path), disk.identity(path)) == (None, [], "")
    assert disk.written(tmp_path / "none") is None


def seen(*rows: tuple[float, int, str], identity: str = "b1") -> list[Seen]:
    return [Seen(at(when), "c1", Written(number, boot, 1), identity) for when, number, boot in rows]


def judged(path: Path, rows: list[Seen], *runs: Run, **options: object) -> list[str]:
    return judge.verdict(Recorded(runs, {"s1": rows}, {"s1": frozenset([path])}), **options)  # type: ignore[arg-type]


@pytest.fixture
def well(tmp_path: Path) -> Path:
    return raw(tmp_path / "disk", records("counter 48 b2 2", "boot b1 from 0", "boot b2 from 31"))


def test_a_guest_that_goes_on_elsewhere_from_its_own_number_is_well(well: Path) -> None:
    rows = seen((1, 30, "b1"), (2, 31, "b1"), (9, 32, "b2"))
    runs = Run("s1", "c1", 7, at(0), at(3)), Run("s1", "ha-1", 8, at(5))
    assert judged(well, rows, *runs) == []
    assert [(a.written.number, b.written.number) for a, b in judge.outages(rows, at(0))] == [(31, 32)]


def test_two_processes_at_once_on_two_hosts_are_found_unless_they_may_be(well: Path) -> None:
    runs = Run("s1", "c1", 7, at(0), at(6)), Run("s1", "ha-1", 8, at(5))
    assert judged(well, [], *runs) == ["s1 ran on c1 and on ha-1 at once, from 00:00:05.000000 on"]
    assert judged(well, [], *runs, beside={"s1": ["c1", "ha-1"]}) == []
    assert judged(well, [], *runs, beside={"s1": ["c1", "c2"]}) != []


def test_another_writer_is_found(tmp_path: Path) -> None:
    path = raw(
        tmp_path / "disk", records("counter 3 b1 1", "boot b1 from 0", conflict="conflict b1 wrote 2, found 9")
    )
    assert judged(path, []) == ["s1 found another writer on its disk: conflict b1 wrote 2, found 9"]


def test_another_disk_is_found_unless_it_was_to_be(well: Path) -> None:
    rows = [*seen((1, 30, "b1")), *seen((9, 1, "b7"), identity="b7")]
    assert judged(well, rows) == ["s1 came back with another disk: 30 on c1, then 1 on c1"]
    assert judged(well, rows, new_disks={"s1"}) == []


def test_numbers_that_went_back_are_found(well: Path) -> None:
    assert judged(well, seen((1, 30, "b1"), (9, 20, "b2"))) == [
        "the numbers of s1 went back: 30 on c1, then 20 on c1"
    ]


def test_a_boot_that_did_not_find_what_had_been_written_is_found(well: Path) -> None:
    """Though it had written past it before anybody looked."""
    rows = seen((1, 40, "b1"), (9, 48, "b2"))
    assert judged(well, rows) == ["boot b2 of s1 found 31, and 40 had been written"]
