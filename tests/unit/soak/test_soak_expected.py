"""What must have come of a fault by the time when it is mended: each check is seen to find something."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from kit.audit.trace import ALONE, FAILURE, SHARED
from nova_ha.cluster.gate import Cause, Closed, Gate
from nova_ha.cluster.incident import Incident, IncidentState, Receipt, ReceiptMethod
from nova_ha.cluster.node import ComputeNode
from soak.expected import NOTICED_S, fence_problems, is_settled, living_problems
from soak.faults import reach
from soak.kinds import PLAIN, Area, Kind
from soak.plan import HOSTS, Moment, Round, Strike
from soak.scene import Seen

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOST = HOSTS[1]
HANGS = Strike(Kind.HOST_HANGS, HOSTS[0], Moment.WITH)
DEAD_SSHD = Strike(Kind.SSHD_DEAD, HOSTS[0], Moment.WITH, target=HOST)
SAYS_NO = replace(DEAD_SSHD, kind=Kind.LOGINS_REFUSED)
WATCHED = Seen(ComputeNode.from_entries(HOST, []), None, (), None, well=True)
COUNTED = replace(WATCHED, node=replace(WATCHED.node, number_fails=2), well=False)
HELD = replace(COUNTED, held_at=Closed(Gate.NOVA_REPORTS, "it reports"))
FAILED = replace(COUNTED, node=replace(COUNTED.node, failed=True, recovered=True))
INCIDENT = Incident(HOST, NOW, IncidentState.FINISHED, driver="ha-1", receipt=Receipt(ReceiptMethod.BMC, "ha-1", NOW))


def problems(seen: Seen, strike: Strike = DEAD_SSHD, *beside: Strike) -> list[str]:
    return list(living_problems(Round(1, (HANGS, strike, *beside)), strike, seen))


def test_a_host_whose_nova_compute_reports_is_held() -> None:
    assert problems(HELD) == []
    assert problems(COUNTED) == [f"{HOST}: sshd dies, host lives, and it is not held: counted 2"]
    assert problems(replace(HELD, held_at=Closed(Gate.LEFT, "left")))


def test_a_host_that_is_only_being_watched_has_not_come_to_its_end() -> None:
    watched = replace(HELD, held_at=Closed(Gate.NOVA_REPORTS, "still looking", Cause.BEING_WATCHED))
    assert (HELD.settled, HELD.moment, HELD.refused_by) == (True, Moment.SETTLED, Gate.NOVA_REPORTS)
    assert (watched.settled, watched.moment, watched.refused_by) == (False, Moment.COUNTED, None)
    assert not is_settled(DEAD_SSHD, watched, 0)
    assert problems(watched)


def test_one_that_was_set_failed_is_a_violation_but_beside_what_blinds_those_who_look() -> None:
    assert problems(FAILED) == [f"{HOST}: sshd dies, host lives, and it was set failed"]
    assert problems(FAILED, DEAD_SSHD, Strike(Kind.BUS_AWAY, HOSTS[0], Moment.WITH)) == []
    assert problems(FAILED, DEAD_SSHD, Strike(Kind.LOOK_OUT_KILLED, HOSTS[0], Moment.WITH, target="ha-1")) == []
    assert problems(FAILED, DEAD_SSHD, Strike(Kind.BMC_AWAY, HOSTS[0], Moment.WITH))


def test_one_that_was_recovered_is_a_violation_whatever_there_was_beside_it() -> None:
    recovered = replace(FAILED, ended=(INCIDENT,))
    assert f"{HOST}: sshd dies, host lives, and it was recovered" in problems(
        recovered, DEAD_SSHD, Strike(Kind.BUS_AWAY, HOSTS[0], Moment.WITH)
    )


def test_one_whose_sshd_says_no_is_not_even_counted() -> None:
    assert problems(WATCHED, SAYS_NO) == []
    assert problems(COUNTED, SAYS_NO) == [f"{HOST}: sshd says no, host lives, and it is counted: counted 2"]


def test_what_is_held_is_waited_for_and_the_rest_for_as_long_as_it_takes_to_be_seen() -> None:
    assert is_settled(DEAD_SSHD, HELD, 0)
    assert not is_settled(DEAD_SSHD, WATCHED, 1000)
    assert is_settled(SAYS_NO, WATCHED, NOTICED_S + 1)
    assert not is_settled(SAYS_NO, WATCHED, NOTICED_S - 1)


@pytest.mark.parametrize("kind", [Kind.BMC_OTHER, Kind.BMC_PLACEHOLDER, Kind.BMC_KEYS_SWAPPED])
def test_a_fence_by_a_bmc_that_is_not_known_to_be_its_own_is_a_violation_but_by_a_word(kind: Kind) -> None:
    strike = Strike(kind, HOSTS[0], Moment.BEFORE)
    fenced = replace(FAILED, ended=(INCIDENT,))
    assert list(fence_problems(Round(1, (HANGS, strike)), strike, fenced)) == [
        f"{HOSTS[0]}: {kind.words}, and its fence has a receipt"
    ]
    approved = Strike(Kind.APPROVED, HOSTS[0], Moment.SETTLED)
    assert list(fence_problems(Round(1, (HANGS, strike, approved)), strike, fenced)) == []
    assert list(fence_problems(Round(1, (HANGS, strike)), strike, FAILED)) == []


def test_how_far_each_fault_goes_is_told_to_the_auditor() -> None:
    assert {kind for kind in Kind if reach(kind) == FAILURE} == set(PLAIN)
    assert reach(Kind.HOST_AND_BMC_OFF) == reach(Kind.BMC_CYCLES) == reach(Kind.HOST_UNSEEN) == ALONE
    shared = {kind for kind in Kind if reach(kind) == SHARED}
    assert Kind.ALL_SILENT in shared
    assert {kind for kind in Kind if kind.area in (Area.NOVA, Area.DRIVER, Area.NOISE)} <= shared
