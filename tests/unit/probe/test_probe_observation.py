"""What an observer hands on: streaks, the two lines of output, and what is no report."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nova_ha import __version__
from nova_ha.checks.ssh import credentials
from nova_ha.cluster.node import ComputeNode
from nova_ha.cluster.schema import compute_node
from nova_ha.consul.transaction import Entry
from nova_ha.probe.observation import HUNG, TOO_LATE, Failing, NoData, Report, Unknown
from nova_ha.probe.sighting import WELL, SightCause, Sighting, State, failing, graded, unknown
from nova_ha.probe.streak import MAX_OUTPUT_BYTES, next_report

BOOT = "boot-1"
CAP = 3
KEYS = {f"c{n}": f"17.{n}" for n in range(6)} | {f"compute-{n}": f"18.{n}" for n in range(6)}

names = st.sampled_from([f"compute-{n}" for n in range(6)])
sightings = st.one_of(
    st.just(WELL),
    st.sampled_from([failing("timed out"), failing("refused")]),
    st.sampled_from([unknown("wrong password", refused=True), unknown("no credentials")]),
)
outcomes = st.dictionaries(names, sightings)


def sweep(
    previous: Report | NoData,
    seen: Mapping[str, Sighting],
    at: float,
    *,
    boot: str = BOOT,
    cap: int = CAP,
    interval_s: int = 5,
    reasons_count: bool = False,
    keys: Mapping[str, str] | None = None,
    late: bool = False,
) -> Report:
    return next_report(
        previous,
        seen,
        probe="ssh",
        now_boottime=at,
        boot_id=boot,
        interval_s=interval_s,
        fail_threshold=cap,
        reasons_count=reasons_count,
        credentials=KEYS if keys is None else keys,
        late=late,
    )


def sweeps(seen: Sighting, times: list[float]) -> Report:
    report: Report | NoData = NoData("agent restarted")
    for at in times:
        report = sweep(report, {"c1": seen}, at)
    assert isinstance(report, Report)
    return report


def streak(report: Report, name: str = "c1") -> int:
    seen = report.nodes[name]
    assert isinstance(seen, Failing)
    return seen.streak


def test_a_streak_starts_at_one_grows_by_one_and_stops_at_the_threshold() -> None:
    times = [100.0, 107.0, 114.0, 121.0, 128.0]
    assert [streak(sweeps(failing("timed out"), times[:n])) for n in range(1, 6)] == [1, 2, 3, 3, 3]


def test_a_streak_does_not_grow_within_half_an_interval() -> None:
    assert streak(sweeps(failing("timed out"), [100.0, 102.4])) == 1
    assert streak(sweeps(failing("timed out"), [100.0, 102.5])) == 2


@pytest.mark.fault(26)
def test_many_runs_in_one_interval_are_one_interval() -> None:
    assert streak(sweeps(failing("timed out"), [100.0 + n / 10 for n in range(25)])) == 1


def test_a_streak_with_a_gap_that_nobody_watched_starts_again() -> None:
    assert streak(sweeps(failing("timed out"), [100.0, 115.0])) == 2
    assert streak(sweeps(failing("timed out"), [100.0, 115.1])) == 1


def test_a_streak_at_the_threshold_stays_however_long_ago_it_changed() -> None:
    assert streak(sweeps(failing("timed out"), [100.0, 105.0, 110.0, 90000.0])) == 3


@pytest.mark.fault(25)
def test_a_streak_of_another_boot_starts_again() -> None:
    before = sweeps(failing("timed out"), [100.0, 105.0])
    assert streak(sweep(before, {"c1": failing("timed out")}, 110.0, boot="boot-2")) == 1


@pytest.mark.fault(25)
def test_a_streak_of_a_later_time_starts_again() -> None:
    before = sweeps(failing("timed out"), [100.0, 105.0])
    assert streak(sweep(before, {"c1": failing("timed out")}, 50.0)) == 1


def test_a_streak_of_intervals_of_another_length_starts_again() -> None:
    before = sweeps(failing("timed out"), [100.0, 105.0])
    assert streak(sweep(before, {"c1": failing("timed out")}, 110.0, interval_s=10)) == 1


@pytest.mark.fault(23)
@pytest.mark.parametrize("between", [WELL, unknown("name does not resolve")])
def test_an_interval_without_a_failure_ends_the_streak(between: Sighting) -> None:
    before = sweeps(failing("timed out"), [100.0, 105.0])
    middle = sweep(before, {"c1": between}, 110.0)
    assert streak(sweep(middle, {"c1": failing("timed out")}, 115.0)) == 1


def test_a_lower_threshold_cuts_a_streak_and_a_higher_one_starts_a_long_one_again() -> None:
    before = sweeps(failing("timed out"), [100.0, 105.0, 110.0])
    assert streak(sweep(before, {"c1": failing("timed out")}, 115.0, cap=2)) == 2
    assert streak(sweep(before, {"c1": failing("timed out")}, 115.0, cap=5)) == 4
    assert streak(sweep(before, {"c1": failing("timed out")}, 900.0, cap=5)) == 1


def test_the_reason_of_a_dead_host_may_alternate_without_a_change() -> None:
    before = sweeps(failing("timed out"), [100.0, 105.0, 110.0])
    assert sweep(before, {"c1": failing("unreachable")}, 115.0) is before
    assert sweep(before, {"c1": failing("unreachable")}, 115.0, reasons_count=True) is not before


def test_another_reason_of_an_unknown_node_is_a_change() -> None:
    before = sweeps(unknown("wrong password", refused=True), [100.0])
    after = sweep(before, {"c1": unknown("host key changed", refused=True)}, 105.0)
    assert after.unknown == {"c1": Unknown("host key changed", KEYS["c1"])}


def test_refused_credentials_are_remembered_over_a_failure_until_the_node_is_well_or_they_change() -> None:
    refused = sweep(NoData("none"), {"c1": unknown("wrong password", refused=True)}, 100.0)
    away = sweep(refused, {"c1": failing("refused")}, 105.0)
    assert away.failing["c1"].tried == KEYS["c1"]
    assert sweep(away, {"c1": unknown("too busy")}, 110.0).unknown["c1"].tried == KEYS["c1"]
    assert sweep(away, {"c1": failing("refused")}, 110.0, keys={"c1": "17.19"}).failing["c1"].tried == ""
    well = sweep(away, {"c1": WELL}, 110.0)
    assert sweep(well, {"c1": failing("refused")}, 115.0).failing["c1"].tried == ""


def test_a_login_that_hung_is_remembered_until_the_node_is_seen_otherwise_and_never_over_a_refusal() -> None:
    hung = sweep(NoData("none"), {"c1": failing("login hangs", hung=True)}, 100.0)
    assert hung.failing["c1"].tried == HUNG + KEYS["c1"]
    assert Report.from_output(hung.to_output()) == hung
    assert sweep(hung, {"c1": failing("no banner")}, 105.0).failing["c1"].tried == ""
    assert sweep(hung, {"c1": unknown("too busy")}, 105.0).unknown["c1"].tried == ""
    refused = sweep(NoData("none"), {"c1": unknown("wrong password", refused=True)}, 100.0)
    assert sweep(refused, {"c1": failing("login hangs", hung=True)}, 105.0).failing["c1"].tried == KEYS["c1"]


def test_credentials_that_were_not_refused_are_not_named() -> None:
    assert sweeps(unknown("no credentials"), [100.0]).unknown["c1"].tried == ""


@given(outcomes, st.floats(0, 1e6), st.floats(0, 1e6))
def test_what_does_not_change_is_printed_again_byte_for_byte(
    seen: Mapping[str, Sighting], at: float, later: float
) -> None:
    report = sweep(NoData("none"), seen, at, cap=1)
    text = report.to_output()
    read = Report.from_output(text)
    assert read == report
    assert sweep(read, seen, at + later, cap=1).to_output() == text


@given(st.lists(st.tuples(outcomes, st.floats(0, 40)), min_size=1, max_size=12))
def test_a_streak_never_exceeds_the_failed_intervals_since_the_node_was_last_not_failing(
    runs: list[tuple[Mapping[str, Sighting], float]],
) -> None:
    report: Report | NoData = NoData("none")
    failed: dict[str, int] = {}
    now = 1000.0
    for seen, pause in runs:
        now += pause
        report = sweep(report, seen, now)
        failed = {n: failed.get(n, 0) + 1 for n, s in seen.items() if s.state is State.FAILING}
        assert set(report.failing) == set(failed)
        assert all(1 <= report.failing[n].streak <= min(CAP, failed[n]) for n in failed)
        report = Report.from_output(report.to_output())


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_at_the_pace_of_the_interval_a_streak_is_the_failures_in_a_row(fails: list[bool]) -> None:
    report: Report | NoData = NoData("none")
    row = 0
    for number, fail in enumerate(fails):
        report = sweep(report, {"c1": failing("refused") if fail else WELL}, 7.0 * number)
        row = row + 1 if fail else 0
        assert (streak(report) if fail else 0) == min(row, CAP)


def test_the_line_for_people_begins_with_the_verdict() -> None:
    report = Report(
        "ssh", 5, 40, 1.0, BOOT, {"compute-7": Failing(2, "timed out"), "compute-9": Unknown("wrong password")}
    )
    line = report.to_output().splitlines()[0]
    assert line == "FAILING 1 of 40: compute-7 2x timed out; UNKNOWN 1 of 40: compute-9 wrong password"


def test_a_well_cluster_and_an_empty_one_are_told_apart() -> None:
    assert Report("ssh", 5, 40, 1.0, BOOT).in_words() == "OK 40 of 40 well"
    assert Report("ssh", 5, 0, 1.0, BOOT).in_words() == "OK no compute nodes are registered"


def test_the_line_for_people_stays_short_with_many_failing_nodes() -> None:
    nodes = {f"c{n:03}": Failing(3, "timed out") for n in range(200)}
    line = Report("ssh", 5, 1000, 1.0, BOOT, nodes).in_words()
    assert line.startswith("FAILING 200 of 1000: c000 3x timed out, c001")
    assert line.endswith("and 192 more")
    assert len(line) < 300


def test_a_list_that_does_not_fit_is_replaced_by_its_count_and_then_stays_the_same() -> None:
    seen = {f"a-rather-long-name-of-a-node-{n:05}": failing("timed out") for n in range(3000)}
    report = sweep(NoData("none"), seen, 100.0)
    assert report.unlisted == (3000, 0)
    assert len(report.to_output().encode()) <= MAX_OUTPUT_BYTES
    read = Report.from_output(report.to_output())
    assert read == report
    assert sweep(read, seen, 105.0).to_output() == report.to_output()


def test_a_thousand_failing_nodes_fit() -> None:
    report = sweep(NoData("none"), {f"compute-{n:04}": failing("timed out") for n in range(1000)}, 100.0)
    assert len(report.failing) == 1000


def test_a_reason_cannot_break_the_two_lines() -> None:
    report = sweep(NoData("none"), {"c1": failing("a\nb\u2028c\x00" + "x" * 500)}, 1.0)
    assert Report.from_output(report.to_output()) == report


WRITTEN = Report("ssh", 5, 2, 12.5, BOOT, {"c1": Failing(2, "timed out")}).to_output()


def spoiled(**changes: object) -> str:
    line, record = WRITTEN.splitlines()
    return f"{line}\n{json.dumps({**json.loads(record), **changes})}\n"


@pytest.mark.fault(22)
@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "Timed out (5s) running check",
        "Captured 4096 of 10820 bytes\n...\n" + WRITTEN,
        "TTL expired (last output before timeout follows): " + WRITTEN,
        "UNKNOWN cannot tell: Consul has no leader",
        " " + WRITTEN,
        WRITTEN + "one more line\n",
        WRITTEN.splitlines()[1],
        WRITTEN.splitlines()[0] + "\n{}",
        WRITTEN.splitlines()[0] + "\n[]",
        WRITTEN.splitlines()[0] + "\n" + "[" * 100000,
        WRITTEN[:-10],
        spoiled(nova_ha=2),
        spoiled(failing={"c1": [0, "timed out"]}),
        spoiled(failing={"c1": [-1, "timed out"]}),
        spoiled(failing={"c1": [True, "timed out"]}),
        spoiled(failing={"c1": ["2", "timed out"]}),
        spoiled(failing={"c1": [2]}),
        spoiled(failing={"c1": []}),
        spoiled(failing={"c1": "timed out"}),
        spoiled(failing=["c1"]),
        spoiled(unknown={"c2": [3]}),
        spoiled(unknown=None),
        spoiled(interval_s=0),
        spoiled(changed_at="now"),
        spoiled(changed_at=float("nan")),
        spoiled(changed_at=-1),
        spoiled(boot=None),
        spoiled(swept=-1),
    ],
)
def test_what_is_not_exactly_a_report_is_no_data(text: str) -> None:
    assert isinstance(Report.from_output(text), NoData)


def test_fields_of_a_later_version_are_ignored() -> None:
    assert Report.from_output(spoiled(more={"x": 1})) == Report.from_output(WRITTEN)


@given(st.text())
def test_no_text_makes_reading_fail(text: str) -> None:
    assert isinstance(Report.from_output(text), NoData)
    Report.from_output(f"OK {text}\n{text}")


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_no_value_in_a_report_makes_reading_fail(value: object) -> None:
    for name in ("nova_ha", "probe", "interval_s", "swept", "changed_at", "boot", "failing", "unknown"):
        Report.from_output(spoiled(**{name: value}))
        Report.from_output(spoiled(failing={"c1": value}))


@pytest.mark.fault(19)
def test_refused_credentials_are_remembered_however_many_nodes_refuse_them() -> None:
    """Else every sweep of every observer would try them again, until the hosts lock the user out."""
    names = [f"compute-{number:04}.dc1.example.org" for number in range(1000)]
    seen = {name: unknown("wrong password", refused=True) for name in names} | {names[0]: failing("timed out")}
    report = next_report(
        NoData(""),
        seen,
        probe="ssh",
        now_boottime=100.0,
        boot_id="b",
        interval_s=10,
        fail_threshold=3,
        credentials={name: credentials(login_of(name)) for name in names},
    )
    again = Report.from_output(report.to_output())
    assert isinstance(again, Report)
    assert names[0] in again.failing
    assert all(again.nodes[name].tried for name in names[1:])


def login_of(name: str) -> ComputeNode:
    leaves = ("user", "password", "host_key")
    keys = [compute_node(name, f"config/ssh/{leaf}") for leaf in leaves]
    return ComputeNode.from_entries(name, [Entry(key, b"x", 1234567 + place) for place, key in enumerate(keys)])


LATE = {"c1": graded(SightCause.NOT_IN_TIME)}


def late_sweeps(*late: bool) -> Report:
    report: Report | NoData = NoData("no output yet")
    for number, is_late in enumerate(late):
        report = sweep(report, LATE if is_late else {"c1": WELL}, 100.0 + 5 * number, late=is_late)
        report = Report.from_output(report.to_output())
    assert isinstance(report, Report)
    return report


@pytest.mark.fault(54)
def test_a_second_sweep_in_a_row_that_misses_its_deadline_is_said() -> None:
    assert TOO_LATE not in late_sweeps(True).to_output()
    assert TOO_LATE not in late_sweeps(True, False, True).to_output()
    twice = late_sweeps(True, True)
    assert twice.to_output().splitlines()[0] == f"UNKNOWN 1 of 1: c1 not reached in time; {TOO_LATE}"
    assert late_sweeps(True, True, True).late == 2, "it goes on for ever, and writes nothing anew"


@pytest.mark.fault(59)
def test_a_report_says_the_release_and_one_of_an_older_release_is_read_all_the_same() -> None:
    report = sweep(NoData("no output yet"), {"c1": failing("timed out")}, 100.0)
    assert report.release == __version__
    text, record = report.to_output().splitlines()
    values = json.loads(record)
    del values["release"]
    old = Report.from_output(f"{text}\n{json.dumps(values)}\n")
    assert isinstance(old, Report)
    assert (old.release, old.nodes) == ("", report.nodes)
    assert streak(sweep(old, {"c1": failing("timed out")}, 105.0)) == 2, "a streak goes on over an upgrade"
