"""The pace of a check that Consul starts every second: one turn for each interval, whatever a sweep takes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nova_ha.checks import check_guard

CONSULS_PAUSE_S = 1.0
STARTING_S = 0.1


def turns(monkeypatch: pytest.MonkeyPatch, interval_s: float, sweeps_s: list[float], begin: float) -> list[float]:
    """Return when the sweeps began, on a clock that only these checks move."""
    now = begin

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(check_guard.time, "sleep", sleep)
    monkeypatch.setattr(check_guard.time, "clock_gettime", lambda clock: now)
    began = []
    for sweep_s in sweeps_s:
        check_guard.await_turn(interval_s)
        began.append(now)
        now += sweep_s + CONSULS_PAUSE_S + STARTING_S
    monkeypatch.setattr(check_guard, "_started", None)
    return began


@given(
    interval_s=st.sampled_from([2.0, 5.0, 10.0]),
    shares=st.lists(st.floats(0.01, 0.5), min_size=2, max_size=10),
    begin=st.floats(1000, 2000),
)
def test_sweeps_come_round_once_an_interval_however_long_they_take(
    interval_s: float, shares: list[float], begin: float
) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        most = interval_s - CONSULS_PAUSE_S - STARTING_S
        began = turns(monkeypatch, interval_s, [share * most for share in shares], begin)
    gaps = [later - earlier for earlier, later in itertools.pairwise(began[1:])]
    assert all(gap == pytest.approx(interval_s, abs=1e-3) for gap in gaps)


def test_agents_take_their_turns_at_different_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    began = set()
    for number in range(1, 6):
        monkeypatch.setenv("CONSUL_HTTP_ADDR", f"127.0.0.{number}:8500")
        began.add(round(turns(monkeypatch, 5.0, [0.1, 0.1], 1000.0)[1] % 5.0, 3))
    assert len(began) == 5
