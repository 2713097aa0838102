"""The notes of sessions at BMCs: kept while their process lives, handed to the next one after it, never piled up."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import pytest
from nova_ha.power import tickets
from nova_ha.power.device import FenceDevice
from nova_ha.power.tickets import Ticket, Tickets

DEVICE = FenceDevice("redfish", "10.0.0.1", 443, "u", "p")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NOVA_HA_RUN", str(tmp_path))
    return tmp_path / "bmc-sessions"


def left_by_a_killed_process(folder: Path, number: int = 0) -> Ticket:
    """Note a session as a process would that is killed then: the kernel lets go of its lock."""
    ticket, notes = Ticket(f"/sessions/{number}", "token"), Tickets(DEVICE)
    before = set(folder.glob("*"))
    notes.opened(ticket)
    _, file = notes._files[ticket]
    assert file is not None
    os.close(file)
    assert len(set(folder.glob("*")) - before) == 1
    return ticket


def test_a_session_that_was_left_is_handed_out_until_it_is_ended(folder: Path) -> None:
    ticket = left_by_a_killed_process(folder)
    notes = Tickets(DEVICE)
    assert notes.left() == (ticket,)
    notes.ended(ticket)
    assert (notes.left(), list(folder.iterdir())) == ((), [])


def test_one_of_a_process_that_lives_is_handed_to_nobody_and_is_not_readable_by_others(folder: Path) -> None:
    notes = Tickets(DEVICE)
    notes.opened(Ticket("/sessions/1", "token"))
    assert Tickets(DEVICE).left() == ()
    [path] = folder.iterdir()
    assert path.stat().st_mode & 0o077 == 0
    notes.ended(Ticket("/sessions/1", "token"))
    assert list(folder.iterdir()) == []


@pytest.mark.fault(35)
@pytest.mark.parametrize("room", [0, 5])
def test_on_a_full_disk_nothing_is_left_behind(folder: Path, room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(file: int, text: bytes) -> int:
        if not room:
            raise OSError(28, "No space left on device")
        return room

    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(tickets.os, "write", write)
    for number in range(20):
        Tickets(DEVICE).opened(Ticket(f"/sessions/{number}", "token"))
    assert list(folder.iterdir()) == []
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.fault(56)
def test_of_many_that_were_left_a_few_are_ended_at_a_time(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    for number in range(30):
        left_by_a_killed_process(folder, number)
    seen = 0
    while found := (notes := Tickets(DEVICE)).left():
        assert len(found) <= 8
        seen += len(found)
        for ticket in found:
            notes.ended(ticket)
    assert seen == 30


@pytest.mark.parametrize("text", ["", "{", "[]", '{"path": "/x", "token": "t", "more": 1}'])
def test_what_is_no_note_is_removed(folder: Path, text: str) -> None:
    left_by_a_killed_process(folder)
    [path] = folder.iterdir()
    path.write_text(text)
    path.with_name(f".{path.name}").write_text(text)
    assert Tickets(DEVICE).left() == ()
    assert list(folder.iterdir()) == []


def test_one_that_no_bmc_knows_any_more_is_removed(folder: Path) -> None:
    left_by_a_killed_process(folder)
    [path] = folder.iterdir()
    os.utime(path, (time.time() - 7200,) * 2)
    assert Tickets(DEVICE).left() == ()
    assert list(folder.iterdir()) == []


def test_a_note_that_is_being_written_is_left_alone(folder: Path) -> None:
    left_by_a_killed_process(folder)
    [path] = folder.iterdir()
    draft = path.rename(path.with_name(f".{path.name}"))
    with draft.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert Tickets(DEVICE).left() == ()
        assert draft.exists()
