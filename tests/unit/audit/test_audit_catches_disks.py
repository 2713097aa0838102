"""I11 on runs written by hand: another disk than before is caught, where the product calls it evacuated."""

from __future__ import annotations

import pytest
from kit.audit.trace import GuestRun
from kit.fakes.handmade import STARTED_KEY, Handmade, at

CLOSED = f"ha_cluster/incidents/closed/c1/{STARTED_KEY}"


@pytest.fixture
def run() -> Handmade:
    return Handmade()


def with_disks(run: Handmade, before: str, after: str) -> Handmade:
    run.change(GuestRun, lambda guest: guest.host == "c1", disk=before)
    run.change(GuestRun, lambda guest: guest.host == "ha-1", disk=after)
    return run


def test_the_same_disk_is_no_breach(run: Handmade) -> None:
    assert with_disks(run, "d1", "d1").sentences("I11") == []


def test_another_disk_is(run: Handmade) -> None:
    assert with_disks(run, "d1", "d2").sentences("I11") == [
        "c1: s1 counts as evacuated, and came back with another disk: d2, it was d1"
    ]


def test_one_that_is_said_to_have_a_new_disk_is_none(run: Handmade) -> None:
    with_disks(run, "d1", "d2")
    run.rewrite(CLOSED, lambda record: record["servers"]["s1"].update(state="rebuilt", reason="a new disk"))
    assert run.sentences("I11") == []


@pytest.mark.parametrize(("before", "after"), [("", "d2"), ("d1", "")])
def test_of_a_disk_that_was_not_seen_nothing_is_said(run: Handmade, before: str, after: str) -> None:
    assert with_disks(run, before, after).sentences("I11") == []


def test_where_it_ran_long_before_counts_for_nothing(run: Handmade) -> None:
    with_disks(run, "d1", "d1")
    run.add(GuestRun("s1", "c2", at(-50), at(-40), "d0"), GuestRun("s1", "c1", at(-60), at(-50), "d0"))
    assert run.sentences("I11") == []
