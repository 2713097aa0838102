"""I12 on runs written by hand: a recovery that is late, or refused, for the fault of another host alone is caught."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from kit.audit.trace import ALONE, FAILURE, SHARED, SOURCES, Answering, Injected, KVChange
from kit.fakes.handmade import Handmade, at, key, stamp

OPEN = "ha_cluster/incidents/open/c1"
HOSTILE = Injected(at(1), "its BMC sends without end", "c2", reach=ALONE)


@pytest.fixture
def run() -> Handmade:
    """The plain failure of c1, while c2 is hostile; 30 s are allowed for a step."""
    run = Handmade()
    run.cluster = replace(run.cluster, step_s=30.0)
    run.add(Injected(at(5), "host hangs", "c1", reach=FAILURE), HOSTILE)
    return run


def later(run: Handmade, from_s: float, seconds: float) -> None:
    """Let everything that happened from then on have happened so much later."""
    for record in list(run.records):
        moment = getattr(record, "at", None)
        if isinstance(record, KVChange) and moment >= at(from_s):
            run.records[run.records.index(record)] = replace(record, at=moment + timedelta(seconds=seconds))


def test_a_recovery_beside_a_hostile_host_that_is_as_fast_as_alone_is_no_breach(run: Handmade) -> None:
    assert run.sentences("I12") == []


@pytest.mark.parametrize(
    ("from_s", "words"),
    [(18, "set failed"), (19, "claimed"), (26, "proved off"), (29, "forced down")],
)
def test_a_step_that_is_late_is_a_breach(run: Handmade, from_s: float, words: str) -> None:
    later(run, from_s, 40)
    assert run.sentences("I12") == [
        f"c1: it was not {words} within 30 s, and nothing had another fault but c2",
    ]


def test_a_step_that_never_came_is_a_breach(run: Handmade) -> None:
    run.leave_out(lambda record: isinstance(record, KVChange) and "status/failed" in record.key and record.at > at(1))
    run.leave_out(lambda record: isinstance(record, KVChange) and "incidents/" in record.key)
    assert run.sentences("I12") == ["c1: it was not set failed within 30 s, and nothing had another fault but c2"]


def test_a_refusal_is_a_breach(run: Handmade) -> None:
    run.leave_out(lambda record: isinstance(record, KVChange) and "incidents/" in record.key and record.at > at(21))
    run.incident(24, "needs-operator", gate="nova-away", reason="a cell's database is away")
    assert run.sentences("I12") == [
        "c1: it waits for the operator at nova-away, and nothing had another fault but c2",
    ]


def _nothing(run: Handmade) -> None:
    run.leave_out(lambda record: record == HOSTILE)


def _over(run: Handmade) -> None:
    run.change(Injected, lambda r: r == HOSTILE, ended=at(2))


def _shared(run: Handmade) -> None:
    run.add(Injected(at(2), "the leader is killed", "server-1", at(4), SHARED))


def _its_own(run: Handmade) -> None:
    run.add(Injected(at(2), "its BMC is slow", "c1", reach=ALONE))


def _answers_again(run: Handmade) -> None:
    run.add(Answering(at(30), "c1", True))


def _paused(run: Handmade) -> None:
    run.put(19, "paused", "ann")


def _maintained(run: Handmade) -> None:
    run.put(1, "compute_nodes/c1/config/maintenance", json.dumps({"by": "ann", "until": stamp(300)}))


def _storm(run: Handmade) -> None:
    run.add(*(Answering(at(5), name, False) for name in ("c2", "c3")))


def _lately(run: Handmade) -> None:
    record = {"version": 1, "node": "c1", "started": stamp(-60), "state": "finished"}
    run.put(-50, f"incidents/closed/c1/{key(-60)}", json.dumps(record))


def _busy(run: Handmade) -> None:
    run.put(10, "ha_nodes/ha-2/status/in_use", "True")
    run.put(10, "ha_nodes/ha-3/status/in_use", "True")


@pytest.mark.parametrize(
    "excuse",
    [_nothing, _over, _shared, _its_own, _answers_again, _paused, _maintained, _storm, _lately, _busy],
)
def test_a_claim_that_is_late_for_another_reason_is_none(run: Handmade, excuse: Callable[[Handmade], Any]) -> None:
    later(run, 19, 40)
    assert run.sentences("I12")
    excuse(run)
    assert run.sentences("I12") == []


def test_where_not_every_fault_was_recorded_nothing_can_be_said(run: Handmade) -> None:
    later(run, 19, 40)
    run.cluster = replace(run.cluster, sources=SOURCES - {"faults"})
    assert run.sentences("I12") == []
