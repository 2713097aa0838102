"""When the soak's faults strike and end: at their moments, in their order, and never twice."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from soak import schedule as module
from soak.faults import Fault
from soak.kinds import Kind
from soak.plan import HOSTS, Moment, Round, Strike
from soak.schedule import Schedule
from soak.story import Story
from soak.summary import Summary

HOST = HOSTS[0]
HANGS = Strike(Kind.HOST_HANGS, HOST, Moment.WITH)


@dataclass
class Site:
    """Remembers what was done; `deaf` faults find nothing to strike."""

    done: list[str] = field(default_factory=list)
    deaf: bool = False
    now: float = 1000.0

    def ha_node(self, strike: Strike) -> str:
        return strike.target

    def record(self, fault: str, subject: str, reach: str) -> int:
        return 0

    def record_end(self, number: int) -> None:
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site:
    """A site where faults do nothing but leave a note, and time stands still until a test moves it."""
    site = Site()

    def strike(_: Site, struck: Strike) -> bool:
        site.done.append(f"+{struck.kind.name}")
        return not site.deaf

    noted = Fault(strike, lambda _, struck: site.done.append(f"-{struck.kind.name}"))
    monkeypatch.setattr(module, "FAULTS", dict.fromkeys(Kind, noted))
    monkeypatch.setattr(module.time, "monotonic", lambda: site.now)
    return site


@pytest.fixture
def summary() -> Summary:
    return Summary("seed")


def scheduled(site: Site, summary: Summary, folder: Path, *strikes: Strike) -> Schedule:
    return Schedule(Round(1, strikes), site, Story(folder / "story"), summary)  # type: ignore[arg-type]


def test_what_is_there_before_a_host_fails_strikes_first(site: Site, summary: Summary, tmp_path: Path) -> None:
    scheduled(site, summary, tmp_path, HANGS, Strike(Kind.BMC_AWAY, HOST, Moment.BEFORE)).turn()
    assert site.done == ["+BMC_AWAY", "+HOST_HANGS"]


def test_a_fault_waits_for_its_moment_and_then_for_its_time(site: Site, summary: Summary, tmp_path: Path) -> None:
    schedule = scheduled(site, summary, tmp_path, HANGS, Strike(Kind.DRIVER_KILLED, HOST, Moment.FENCING, after_s=2))
    for moment in (Moment.FAILED, Moment.CLAIMED):
        schedule.reach({HOST: moment})
        schedule.turn()
    assert not schedule.open
    schedule.reach({HOST: Moment.FENCED})  # one that was passed between two looks counts
    schedule.turn()
    assert schedule.open
    assert site.done == ["+HOST_HANGS"]
    site.now += 2
    schedule.turn()
    assert site.done == ["+HOST_HANGS", "+DRIVER_KILLED"]
    schedule.turn()
    assert len(site.done) == 2


def test_a_fault_with_a_span_is_mended_at_its_end(site: Site, summary: Summary, tmp_path: Path) -> None:
    schedule = scheduled(site, summary, tmp_path, Strike(Kind.CONSUL_AWAY, HOST, Moment.WITH, lasts_s=5))
    schedule.turn()
    assert schedule.open
    site.now += 5
    schedule.turn()
    assert site.done == ["+CONSUL_AWAY", "-CONSUL_AWAY"]
    assert not schedule.open


def test_a_fault_without_one_is_mended_when_the_round_is(site: Site, summary: Summary, tmp_path: Path) -> None:
    schedule = scheduled(site, summary, tmp_path, Strike(Kind.BMC_STICKS, HOST, Moment.BEFORE))
    schedule.turn()
    assert not schedule.open
    site.now += 1000
    schedule.turn()
    assert site.done == ["+BMC_STICKS"]
    schedule.close()
    assert site.done == ["+BMC_STICKS", "-BMC_STICKS"]


def test_only_what_struck_counts(site: Site, summary: Summary, tmp_path: Path) -> None:
    never = Strike(Kind.DRIVER_KILLED, HOST, Moment.EVACUATING)
    schedule = scheduled(site, summary, tmp_path, HANGS, never)
    schedule.turn()
    schedule.close()
    assert (dict(summary.struck), summary.missed) == ({Kind.HOST_HANGS: 1}, 1)


def test_a_fault_that_finds_nothing_to_strike_counts_as_missed(site: Site, summary: Summary, tmp_path: Path) -> None:
    site.deaf = True
    schedule = scheduled(site, summary, tmp_path, HANGS)
    schedule.turn()
    schedule.close()
    assert (sum(summary.struck.values()), summary.missed, schedule.failed) == (0, 1, set())
    assert site.done == ["+HOST_HANGS"]


def test_in_a_storm_only_whom_the_operator_approves_may_be_fenced(
    site: Site, summary: Summary, tmp_path: Path
) -> None:
    silent = Strike(Kind.ALL_SILENT, HOST, Moment.WITH)
    schedule = scheduled(site, summary, tmp_path, silent, Strike(Kind.APPROVED, HOSTS[2], Moment.SETTLED))
    schedule.turn()
    assert (schedule.failed, schedule.meant) == (set(HOSTS), set())
    schedule.reach({HOSTS[2]: Moment.SETTLED})
    schedule.turn()
    assert schedule.meant == {HOSTS[2]}


def test_a_fault_that_goes_on_and_on_strikes_at_each_turn_until_its_end(
    site: Site, summary: Summary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = module.FAULTS[Kind.LOOK_OUT_CRASHES]
    again = replace(noted, again=lambda _, struck: site.done.append(f"again {struck.kind.name}"))
    monkeypatch.setitem(module.FAULTS, Kind.LOOK_OUT_CRASHES, again)  # type: ignore[arg-type]
    crashes = Strike(Kind.LOOK_OUT_CRASHES, HOST, Moment.WITH, lasts_s=5, target="ha-1")
    schedule = scheduled(site, summary, tmp_path, crashes)
    for _ in range(3):
        schedule.turn()
    site.now += 5
    schedule.turn()
    assert site.done == ["+LOOK_OUT_CRASHES", *["again LOOK_OUT_CRASHES"] * 2, "-LOOK_OUT_CRASHES"]


def test_a_host_that_lives_is_none_that_has_failed(site: Site, summary: Summary, tmp_path: Path) -> None:
    dead_sshd = Strike(Kind.SSHD_DEAD, HOST, Moment.WITH, target=HOSTS[1])
    schedule = scheduled(site, summary, tmp_path, HANGS, dead_sshd)
    schedule.turn()
    assert (schedule.failed, schedule.meant, schedule.living) == ({HOST}, {HOST}, {HOSTS[1]: dead_sshd})
    assert schedule.in_force == [HANGS, dead_sshd]
