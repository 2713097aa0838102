"""What a sweep may take, for each interval that is accepted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nova_ha.limits import (
    LONGEST_INTERVAL_S,
    PRINTING_S,
    SHORTEST_INTERVAL_S,
    STARTING_S,
    streak_problem,
    sweep_limits,
)

CONSULS_PAUSE_S = 1.0
LOGIN_OF_A_HOST_THAT_IS_WELL_S = 0.3


@pytest.mark.fault(54)
@given(st.integers(SHORTEST_INTERVAL_S, LONGEST_INTERVAL_S))
def test_a_silent_host_has_its_whole_time_within_every_interval_that_is_accepted(interval_s: int) -> None:
    limits = sweep_limits(interval_s)
    left_s = limits.deadline_s - STARTING_S - PRINTING_S
    assert LOGIN_OF_A_HOST_THAT_IS_WELL_S < limits.login_s < left_s
    assert limits.login_s < limits.most_login_s <= left_s
    assert limits.late_s < CONSULS_PAUSE_S


def test_the_default_stays_as_it_was() -> None:
    limits = sweep_limits(5)
    assert (limits.deadline_s, limits.login_s, limits.answer_s) == (4.0, 2.0, 3.5)


@pytest.mark.fault(54)
@pytest.mark.parametrize(("interval_s", "threshold", "fits"), [(2, 2, False), (2, 3, True), (3, 2, True)])
def test_a_host_must_fail_for_six_seconds(interval_s: int, threshold: int, fits: bool) -> None:
    assert (streak_problem(interval_s, threshold) == "") is fits
