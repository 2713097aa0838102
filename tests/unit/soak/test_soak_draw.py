"""What a seed draws: the same each time, everything in the end, and never what the cloud cannot go on from."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import pytest
from soak.draw import draw, rounds
from soak.kinds import FAILURES, Area, Kind
from soak.plan import HA_NODES, HOSTS, ITS_DRIVER, Moment, Round, Strike
from soak.rules import may_stand

MANY = [draw(str(seed), number) for seed in range(25) for number in range(1, 61)]
# What a whole round may last at most before it is mended, whatever is drawn.
LONGEST_S = 60.0


def failure_of(drawn: Round, host: str) -> Kind | None:
    """How the host fails in the round."""
    return next((s.kind for s in drawn.strikes if s.victim == host and s.kind in FAILURES), None)


def of_area(drawn: Round, *areas: Area) -> Sequence[Strike]:
    return [strike for strike in drawn.strikes if strike.kind.area in areas]


def test_a_seed_gives_the_same_rounds_each_time() -> None:
    assert list(itertools.islice(rounds("7"), 50)) == list(itertools.islice(rounds("7"), 50))
    assert list(itertools.islice(rounds("7"), 50)) != list(itertools.islice(rounds("8"), 50))


def test_a_round_can_be_run_again_without_those_before_it() -> None:
    assert next(rounds("7", first=40)) == list(itertools.islice(rounds("7"), 40))[-1]


def test_every_kind_of_fault_is_drawn() -> None:
    assert {strike.kind for drawn in MANY for strike in drawn.strikes} == set(Kind)


def test_in_every_round_a_host_fails_and_at_most_two_do_or_all() -> None:
    for drawn in MANY:
        assert 1 <= len(drawn.failing) <= 2 or drawn.failing == HOSTS, drawn


def test_every_strike_is_about_a_machine_that_there_is() -> None:
    for drawn in MANY:
        for strike in drawn.strikes:
            assert strike.host in HOSTS
            assert strike.victim in (*HOSTS, *HA_NODES, ITS_DRIVER)


def test_every_moment_is_one_of_a_host_that_fails() -> None:
    for drawn in MANY:
        assert {strike.host for strike in drawn.strikes} <= set(drawn.failing)


def test_every_round_has_an_end() -> None:
    for drawn in MANY:
        assert all(0 <= strike.after_s + strike.lasts_s <= LONGEST_S for strike in drawn.strikes)


def test_never_are_two_of_three_ha_nodes_or_consul_servers_away() -> None:
    for drawn in MANY:
        assert len(of_area(drawn, Area.CONTROL)) <= 1, drawn


def test_what_takes_an_ha_node_or_consul_away_ends_by_itself() -> None:
    for drawn in MANY:
        assert all(strike.lasts_s > 0 for strike in of_area(drawn, Area.CONTROL))


def test_a_pause_and_a_maintenance_end_by_themselves() -> None:
    for drawn in MANY:
        assert all(s.lasts_s > 0 for s in drawn.strikes if s.kind in (Kind.PAUSED, Kind.MAINTENANCE))


def test_a_driver_that_is_stopped_is_continued() -> None:
    for drawn in MANY:
        assert all(s.lasts_s > 0 for s in drawn.strikes if s.kind is Kind.DRIVER_STOPPED)


def test_the_operator_vouches_only_for_a_host_that_is_dark_and_stays_so() -> None:
    for drawn in MANY:
        for strike in drawn.strikes:
            if strike.kind is Kind.CONFIRMED_OFF:
                assert failure_of(drawn, strike.host) in (Kind.HOST_OFF, Kind.HOST_AND_BMC_OFF)
                assert not any(s.kind is Kind.HOST_RETURNS and s.host == strike.host for s in drawn.strikes)


def test_a_bmc_lies_only_about_a_host_that_can_be_woken() -> None:
    for drawn in MANY:
        for strike in drawn.strikes:
            if strike.kind is Kind.BMC_LIES:
                assert failure_of(drawn, strike.host) is Kind.HOST_HANGS
                assert strike.when is Moment.BEFORE


def test_a_host_that_lives_is_none_of_those_that_fail_and_nothing_else_ails_it() -> None:
    for drawn in MANY:
        for strike in of_area(drawn, Area.LIVING):
            assert strike.victim not in drawn.failing
            assert [other for other in drawn.strikes if other.victim == strike.victim] == [strike]
            assert not strike.lasts_s, "what came of it is judged when the round is mended"


def test_one_host_has_at_most_one_fault_of_its_bmc() -> None:
    for drawn in MANY:
        for host in drawn.failing:
            assert len([s for s in of_area(drawn, Area.BMC) if s.host == host]) <= 1


HANGS = Strike(Kind.HOST_HANGS, HOSTS[0], Moment.WITH)
OFF = Strike(Kind.HOST_OFF, HOSTS[0], Moment.WITH)
DARK = Strike(Kind.HOST_AND_BMC_OFF, HOSTS[0], Moment.WITH)
RETURNS = Strike(Kind.HOST_RETURNS, HOSTS[0], Moment.EVACUATING)
VOUCHED = Strike(Kind.CONFIRMED_OFF, HOSTS[0], Moment.SETTLED)
LIES = Strike(Kind.BMC_LIES, HOSTS[0], Moment.BEFORE)
AWAY = Strike(Kind.BMC_AWAY, HOSTS[0], Moment.BEFORE)
CYCLES = Strike(Kind.BMC_CYCLES, HOSTS[0], Moment.BEFORE)
DEAD_SSHD = Strike(Kind.SSHD_DEAD, HOSTS[0], Moment.WITH, target=HOSTS[1])
AWAY_IT_GOES = Strike(Kind.MIGRATING_AWAY, HOSTS[0], Moment.BEFORE)
DISKS_LOCAL = Strike(Kind.DISKS_LOCAL, HOSTS[0], Moment.BEFORE)
LEADER = Strike(Kind.LEADER_KILLED, HOSTS[0], Moment.WITH, lasts_s=5)
AGENT = Strike(Kind.AGENT_KILLED, HOSTS[0], Moment.WITH, lasts_s=5, target="ha-1")


@pytest.mark.parametrize(
    ("strike", "others"),
    [
        (AGENT, [HANGS, LEADER]),
        (VOUCHED, [HANGS]),
        (VOUCHED, [OFF, RETURNS]),
        (RETURNS, [OFF, VOUCHED]),
        (RETURNS, [DARK]),
        (RETURNS, [HANGS, LIES]),
        (LIES, [OFF]),
        (LIES, [HANGS, AWAY]),
        (LIES, [HANGS, RETURNS]),
        (AWAY, [DARK]),
        (CYCLES, [OFF]),
        (DEAD_SSHD, [replace(HANGS, host=HOSTS[1])]),
        (replace(AWAY, host=HOSTS[1]), [replace(HANGS, host=HOSTS[1]), DEAD_SSHD]),
        (AWAY_IT_GOES, [HANGS, RETURNS]),
        (RETURNS, [HANGS, AWAY_IT_GOES]),
        (AWAY_IT_GOES, [HANGS, DISKS_LOCAL]),
    ],
    ids=str,
)
def test_what_the_cloud_could_not_go_on_from_may_not_stand_together(strike: Strike, others: list[Strike]) -> None:
    assert not may_stand(strike, others)


@pytest.mark.parametrize(
    ("strike", "others"),
    [
        (CYCLES, [HANGS]),
        (DEAD_SSHD, [HANGS]),
        (AWAY_IT_GOES, [HANGS, CYCLES]),
        (DISKS_LOCAL, [DARK]),
        (AGENT, [HANGS]),
        (VOUCHED, [OFF]),
        (VOUCHED, [DARK]),
        (RETURNS, [HANGS]),
        (LIES, [HANGS]),
        (AWAY, [OFF]),
    ],
    ids=str,
)
def test_all_else_may(strike: Strike, others: list[Strike]) -> None:
    assert may_stand(strike, others)
