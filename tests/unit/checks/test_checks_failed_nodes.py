"""A `failed` node is looked at as far as its banner, with a full login once a minute, and at once when it is back."""

from __future__ import annotations

from typing import Any

import pytest
from kit.fakes.clock import FakeClock
from kit.fakes.cluster import register
from kit.fakes.store import FakeStore
from nova_ha.checks import check_guard, ssh
from nova_ha.cluster.schema import SSH_CHECK, compute_node
from nova_ha.probe import ssh_sweep
from nova_ha.probe.observation import Failing, Report
from nova_ha.probe.sighting import SightCause, graded

INTERVAL_S, THRESHOLD, MINUTE_S = 5, 3, 60
TAKEN_AND_NO_BANNER = (SightCause.NO_BANNER, SightCause.CLOSED_EARLY)
NOT_TAKEN = (SightCause.TIMED_OUT, SightCause.UNREACHABLE, SightCause.REFUSED)
BEHIND_THE_BANNER = (
    *(SightCause.LOGIN_HANGS, SightCause.PASSWORD_HANGS, SightCause.SESSION_HANGS),
    *(SightCause.LOGGED_IN, SightCause.BARRED, SightCause.TOO_SLOW),
)


class Observed:
    """One observer's check, run once in an interval, over `c1`, of which each look shows `cause`; `c2` is well."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cause = SightCause.LOGGED_IN
        self.store = FakeStore(FakeClock())
        register(self.store, ["c1", "c2"])
        self.now = 10_000.0
        self.logins: list[float] = []
        monkeypatch.setattr(ssh_sweep, "sweep", self._sweep)
        monkeypatch.setattr(ssh.time, "clock_gettime", lambda clock: self.now)
        monkeypatch.setattr(ssh, "_print", self._print)
        monkeypatch.setattr(check_guard, "boot_id", lambda: "boot")
        monkeypatch.setattr(check_guard, "end_by", lambda deadline_s: None)

    def _sweep(self, nodes: object, deadline_s: float, host_s: float, only: Any, answer_s: object) -> Any:
        if "c1" not in only:
            self.logins.append(self.now)
        stands = only.get("c1") if self.cause in BEHIND_THE_BANNER else None
        return {"c1": stands or graded(self.cause), "c2": only.get("c2") or graded(SightCause.LOGGED_IN)}

    def _print(self, report: Report, as_json: bool) -> None:
        self.store.answers["/v1/agent/checks"] = {SSH_CHECK: {"Output": report.to_output()}}

    def is_failed(self) -> None:
        self.store.put(compute_node("c1", "status/failed"), "True")

    def runs(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now += INTERVAL_S
            ssh.sweep(self.store, INTERVAL_S, 2.0)

    def shows(self, cause: SightCause) -> None:
        self.cause = cause
        self.logins.clear()

    @property
    def report(self) -> Report:
        found = Report.from_output(self.store.answers["/v1/agent/checks"][SSH_CHECK]["Output"])
        assert isinstance(found, Report)
        return found

    @property
    def streak(self) -> int:
        seen = self.report.failing.get("c1")
        return seen.streak if seen else 0


@pytest.fixture
def observed(monkeypatch: pytest.MonkeyPatch) -> Observed:
    return Observed(monkeypatch)


@pytest.mark.fault(42)
@pytest.mark.parametrize("before", [*TAKEN_AND_NO_BANNER, *BEHIND_THE_BANNER], ids=lambda cause: cause.value)
@pytest.mark.parametrize("now", BEHIND_THE_BANNER, ids=lambda cause: cause.value)
def test_it_is_logged_in_to_once_a_minute_whatever_it_shows(
    observed: Observed, before: SightCause, now: SightCause
) -> None:
    observed.shows(before)
    observed.runs(4 * INTERVAL_S)
    observed.is_failed()
    observed.shows(now)
    observed.runs(10 * MINUTE_S)
    assert len(observed.logins) == 10


@pytest.mark.fault(42)
@pytest.mark.parametrize("before", NOT_TAKEN, ids=lambda cause: cause.value)
@pytest.mark.parametrize("now", BEHIND_THE_BANNER, ids=lambda cause: cause.value)
def test_one_that_took_no_connection_is_logged_in_to_at_once_when_it_takes_one(
    observed: Observed, before: SightCause, now: SightCause
) -> None:
    observed.shows(before)
    observed.runs(4 * INTERVAL_S)
    observed.is_failed()
    observed.shows(now)
    observed.runs(INTERVAL_S)
    assert len(observed.logins) == 1
    assert observed.report.causes == ({} if now is SightCause.LOGGED_IN else {"c1": now})
    observed.shows(now)
    observed.runs(10 * MINUTE_S)
    assert len(observed.logins) == 10


def test_until_it_is_failed_each_interval_has_a_login(observed: Observed) -> None:
    observed.shows(SightCause.LOGIN_HANGS)
    observed.runs(MINUTE_S)
    assert len(observed.logins) == MINUTE_S / INTERVAL_S


@pytest.mark.fault(42)
@pytest.mark.parametrize("before", [*TAKEN_AND_NO_BANNER, SightCause.LOGIN_HANGS], ids=lambda cause: cause.value)
def test_a_banner_ends_no_streak_and_a_full_login_does(observed: Observed, before: SightCause) -> None:
    observed.shows(before)
    observed.runs(4 * INTERVAL_S)
    observed.is_failed()
    observed.shows(SightCause.LOGGED_IN)
    while not observed.logins:
        seen = observed.report
        assert observed.streak == THRESHOLD
        observed.runs(INTERVAL_S)
    assert seen.causes == {"c1": before}
    assert observed.streak == 0


@pytest.mark.fault(57)
def test_a_banner_lengthens_no_streak_and_full_logins_that_hang_do(observed: Observed) -> None:
    observed.is_failed()
    observed.runs(MINUTE_S)
    observed.shows(SightCause.LOGIN_HANGS)
    for _ in range(4 * MINUTE_S // INTERVAL_S):
        observed.runs(INTERVAL_S)
        assert observed.streak == min(len(observed.logins), THRESHOLD)
    assert observed.streak == THRESHOLD


@pytest.mark.fault(57)
def test_one_that_falls_silent_is_counted_in_each_interval(observed: Observed) -> None:
    observed.is_failed()
    observed.runs(MINUTE_S)
    observed.shows(SightCause.TIMED_OUT)
    observed.runs(THRESHOLD * INTERVAL_S)
    assert observed.streak == THRESHOLD


def test_what_stands_is_printed_again_byte_for_byte(observed: Observed) -> None:
    observed.shows(SightCause.NO_BANNER)
    observed.runs(4 * INTERVAL_S)
    observed.is_failed()
    observed.runs(INTERVAL_S)
    seen = observed.report.to_output()
    observed.shows(SightCause.LOGIN_HANGS)
    observed.runs(INTERVAL_S)
    assert (observed.logins, observed.report.to_output()) == ([], seen)


@pytest.mark.parametrize(
    "output",
    [
        "",
        Report("ssh", 5, 2000, 1.0, "boot", unlisted=(1990, 0)).to_output(),
        Report("ssh", 5, 1, 1.0, "boot").to_output(),
        Report("ssh", 5, 2, 1.0, "boot", {"c1": Failing(3, "login hangs", "hung:of other keys")}).to_output(),
    ],
    ids=["none", "too many to list", "other nodes", "other credentials"],
)
def test_where_nothing_is_known_that_could_stand_it_is_logged_in_to(observed: Observed, output: str) -> None:
    observed.is_failed()
    observed.store.answers["/v1/agent/checks"] = {SSH_CHECK: {"Output": output}}
    observed.runs(INTERVAL_S)
    assert len(observed.logins) == 1


def test_a_streak_that_stands_of_another_boot_begins_anew(
    observed: Observed, monkeypatch: pytest.MonkeyPatch
) -> None:
    observed.shows(SightCause.NO_BANNER)
    observed.runs(4 * INTERVAL_S)
    observed.is_failed()
    monkeypatch.setattr(check_guard, "boot_id", lambda: "another")
    observed.shows(SightCause.LOGIN_HANGS)
    observed.runs(INTERVAL_S)
    assert (observed.logins, observed.streak) == ([], 1)


def test_without_credentials_nothing_stands(observed: Observed) -> None:
    observed.store.drop(compute_node("c1", "config/ssh/password"))
    observed.shows(SightCause.NO_CREDENTIALS)
    observed.runs(INTERVAL_S)
    observed.is_failed()
    observed.shows(SightCause.NO_CREDENTIALS)
    observed.runs(MINUTE_S)
    assert len(observed.logins) == MINUTE_S / INTERVAL_S
