"""Lanes of tests: who runs what, how `-x` and an interruption end both, and what the report says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from kit.lanes import Lane, Lanes, lane_of, lanes_of, workers_for
from nova_ha.sandbox.waiting import until

TESTS = Path(__file__).parents[2]
CLOUD = [f"tests/faults/processes/test_faults_drivers.py::test_{n}" for n in range(4)]
PAIRED = [f"tests/integration/whole/test_whole_{name}.py::test_{n}" for name in ("bmc", "timer") for n in range(4)]
# For a machine that does much else besides.
PATIENCE_S = 300.0
OTHER = [f"tests/integration/power/test_power_ipmi.py::test_{n}" for n in range(6)]
QUICK = [f"tests/unit/test_{name}.py::test_{n}" for name in ("layers", "words", "values") for n in range(4)]


class Worker:
    """One that runs what it is told when `run` is called."""

    def __init__(self) -> None:
        self.told: list[int] = []
        self.done: list[int] = []
        self.shutting_down = False

    def send_runtest_some(self, indices: Sequence[int]) -> None:
        self.told += indices

    def shutdown(self) -> None:
        self.shutting_down = True


def started(tests: Sequence[str], workers: int = 2) -> tuple[Any, list[Any]]:
    lanes, nodes = Lanes(workers, TESTS.parent), [Worker() for _ in range(workers)]
    for node in nodes:
        lanes.add_node(node)  # type: ignore[arg-type]
    for node in nodes:
        assert not lanes.collection_is_completed
        lanes.add_node_collection(node, tests)  # type: ignore[arg-type]
    lanes.schedule()
    return lanes, nodes


def run(lanes: Any, node: Any) -> list[int]:
    """Let a worker run all that it is told, one test after the other."""
    done = 0
    while done < len(node.told):
        lanes.mark_test_complete(node, node.told[done])
        done += 1
    return node.told  # type: ignore[no-any-return]


def test_each_lane_has_a_worker_and_its_tests_in_their_order() -> None:
    mixed = [test for pair in zip(OTHER, CLOUD, strict=False) for test in pair] + OTHER[len(CLOUD) :]
    lanes, nodes = started(mixed)
    ran = [[mixed[index] for index in run(lanes, node)] for node in nodes]
    assert ran == [OTHER, CLOUD]
    assert lanes.tests_finished
    assert all(node.shutting_down for node in nodes)


def test_a_lane_is_told_few_tests_ahead() -> None:
    lanes, nodes = started(CLOUD + OTHER)
    assert [len(node.told) for node in nodes] == [3, 3]
    nodes[1].shutdown()
    assert len(run(lanes, nodes[1])) == 3


def test_tests_of_one_lane_have_one_worker_and_the_other_ends() -> None:
    lanes, nodes = started(OTHER)
    assert sorted(len(run(lanes, node)) for node in nodes) == [0, len(OTHER)]
    assert lanes.tests_finished
    assert all(node.shutting_down for node in nodes)


def test_one_worker_has_all_lanes_one_after_the_other() -> None:
    tests = PAIRED + CLOUD + OTHER + QUICK
    lanes, [node] = started(tests, workers=1)
    assert [tests[index] for index in run(lanes, node)] == QUICK + OTHER + CLOUD + PAIRED


def test_two_workers_take_the_files_on_fakes_and_the_first_that_finds_none_left_the_clouds() -> None:
    tests = CLOUD + PAIRED + OTHER + QUICK
    lanes, (others, first, second) = started(tests, workers=3)
    assert [tests[index] for index in others.told] == OTHER[:3]
    assert [tests[index] for index in (*first.told, *second.told)] == QUICK[:3] + QUICK[4:7]
    assert [tests[index] for index in run(lanes, first)] == QUICK[:4] + QUICK[8:] + CLOUD + PAIRED
    assert [tests[index] for index in run(lanes, second)] == QUICK[4:8]
    run(lanes, others)
    assert lanes.tests_finished


def test_no_two_clouds_run_before_those_that_need_a_core_are_done_whoever_is_idle() -> None:
    tests = CLOUD + PAIRED + QUICK[:4]
    lanes, (first, second) = started(tests)
    assert [tests[index] for index in second.told] == CLOUD[:3]
    assert [tests[index] for index in run(lanes, first)] == QUICK[:4]
    assert not first.shutting_down
    for index in range(4):
        assert len(first.told) == 4
        lanes.mark_test_complete(second, index)
    assert [tests[index] for index in first.told[4:]] == PAIRED[4:7]


def test_what_a_crashed_worker_has_left_goes_to_the_next_one_without_the_test_that_crashed_it() -> None:
    lanes, nodes = started(CLOUD + OTHER)
    lanes.mark_test_complete(nodes[1], 0)
    assert lanes.remove_node(nodes[1]) == CLOUD[1]
    assert not lanes.tests_finished
    fresh = Worker()
    lanes.add_node(fresh)
    lanes.add_node_collection(fresh, CLOUD + OTHER)
    lanes.schedule()
    assert run(lanes, fresh) == [2, 3]
    run(lanes, nodes[0])
    assert lanes.tests_finished


def test_paired_clouds_begin_once_all_else_is_done_and_then_run_two_at_once() -> None:
    tests = CLOUD + PAIRED + OTHER
    lanes, (others, first, third) = started(tests, workers=3)
    beside = [tests[index] for index in run(lanes, others)]
    assert beside == OTHER
    assert others.shutting_down
    assert (third.told, third.shutting_down) == ([], False)
    for index in range(3):
        lanes.mark_test_complete(first, index)
        assert third.told == []
    lanes.mark_test_complete(first, 3)
    assert [tests[index] for index in third.told] == PAIRED[4:7]
    assert [tests[index] for index in run(lanes, third)] == PAIRED[4:]
    for index in first.told[4:]:
        lanes.mark_test_complete(first, index)
    assert [tests[index] for index in first.told] == CLOUD + PAIRED[:4]
    assert lanes.tests_finished
    assert all(node.shutting_down for node in (first, others, third))


def test_rehearsals_are_taken_one_by_one() -> None:
    tests = [f"tests/integration/sandbox/test_sandbox_rehearsal.py::test_a[{n}]" for n in range(8)]
    _, nodes = started(tests, workers=2)
    assert sorted(len(node.told) for node in nodes) == [3, 3]


def test_while_others_run_there_is_one_cloud_at_a_time() -> None:
    tests = CLOUD + PAIRED + OTHER
    lanes, (others, first, third) = started(tests, workers=3)
    assert [tests[index] for index in run(lanes, first)] == CLOUD + PAIRED
    assert third.told == []
    run(lanes, others)
    assert lanes.tests_finished
    assert all(node.shutting_down for node in (first, others))


@pytest.mark.parametrize("workers", [1, 2, 3, 4])
@pytest.mark.parametrize("tests", [PAIRED, PAIRED + OTHER, CLOUD + PAIRED, CLOUD + PAIRED + OTHER])
def test_whatever_is_asked_for_runs_once_with_any_number_of_workers(workers: int, tests: list[str]) -> None:
    lanes, nodes = started(tests, workers)
    ran: list[int] = []
    while todo := [(node, node.told[len(node.done)]) for node in nodes if len(node.done) < len(node.told)]:
        for node, index in todo:
            node.done.append(index)
            lanes.mark_test_complete(node, index)
            ran.append(index)
    assert sorted(ran) == list(range(len(tests)))
    assert lanes.tests_finished


def test_no_test_at_all_is_finished() -> None:
    lanes, nodes = started([])
    assert lanes.tests_finished
    assert [node.told for node in nodes] == [[], []]


def test_a_folder_has_the_lanes_of_all_that_is_in_it() -> None:
    assert set(lanes_of(TESTS)) == set(Lane)
    assert set(lanes_of(TESTS / "integration")) == {Lane.OTHERS, Lane.CLOUDS, Lane.PAIRED}
    assert set(lanes_of(TESTS / "unit")) == set(lanes_of(TESTS / "faults/decisions")) == {Lane.QUICK}
    assert set(lanes_of(TESTS / "integration/compute")) == {Lane.OTHERS}
    assert not lanes_of(TESTS / "no-such-folder")


@pytest.mark.parametrize(
    ("files", "workers"),
    [
        ({}, 0),
        ({Lane.QUICK: 1}, 1),
        ({Lane.QUICK: 9}, 2),
        ({Lane.OTHERS: 9}, 1),
        ({Lane.CLOUDS: 9}, 1),
        ({Lane.PAIRED: 9}, 2),
        ({Lane.CLOUDS: 9, Lane.OTHERS: 9}, 2),
        ({Lane.QUICK: 1, Lane.OTHERS: 1}, 2),
        (dict.fromkeys(Lane, 9), 3),
    ],
)
def test_there_are_as_many_workers_as_run_tests_at_once(files: dict[Lane, int], workers: int) -> None:
    assert workers_for(files) == workers


@pytest.mark.parametrize(
    ("file", "lane"),
    [
        ("integration/whole/test_whole_timer.py", Lane.PAIRED),
        ("integration/whole/test_whole_strict_consul.py", Lane.PAIRED),
        ("integration/whole/test_whole_drivers.py", Lane.PAIRED),
        ("integration/whole/test_whole_payloads.py", Lane.CLOUDS),
        ("faults/processes/test_faults_networks.py", Lane.CLOUDS),
        ("faults/processes/test_faults_wires.py", Lane.OTHERS),
        ("integration/sandbox/test_sandbox_rehearsal.py", Lane.PAIRED),
    ],
)
def test_whoever_makes_a_whole_cloud_is_in_the_lane_of_clouds(file: str, lane: Lane) -> None:
    assert lane_of(TESTS / file) is lane


# --- with pytest and xdist themselves

CONFTEST = """
import signal

signal.signal(signal.SIGTERM, signal.default_int_handler)
pytest_plugins = ["kit.lanes"]
"""
# The cloud takes longer to end than execnet waits before it interrupts once more.
CLOUD_TEST = """
import os, pathlib, time, pytest
from kit.clouds.KIND import WholeCloud

here = pathlib.Path(__file__).parent

@pytest.fixture(scope="module")
def cloud():
    yield
    (here / "ending").write_text(str(os.getpid()))
    time.sleep(TAKES)
    (here / "ended").touch()

@pytest.mark.parametrize("number", range(50))
def test_cloud(cloud, number):
    (here / f"ran-{number}").touch()
    time.sleep(EACH)
"""
OTHER_TEST = """
import os, pathlib, time, pytest
from kit.lanes import LOW_PRIORITY

here = pathlib.Path(__file__).parents[1]

@pytest.mark.parametrize("number", range(3))
def test_other(number):
    while not (here / "clouds/ran-0").exists():
        time.sleep(0.02)
    assert os.getpriority(os.PRIO_PROCESS, 0) >= LOW_PRIORITY > 0
    group = pathlib.Path("/proc/self/autogroup")
    assert not group.exists() or int(group.read_text().split()[-1]) >= LOW_PRIORITY
    assert number != FAILS
"""


def project(folder: Path, takes: float = 0.0, each: float = 0.0, fails: int = 99) -> None:
    (folder / "conftest.py").write_text(CONFTEST)
    cloud = CLOUD_TEST.replace("KIND", "whole").replace("TAKES", str(takes)).replace("EACH", str(each))
    for name, text in (("clouds", cloud), ("others", OTHER_TEST.replace("FAILS", str(fails)))):
        (folder / name).mkdir()
        (folder / name / f"test_{name}.py").write_text(text)


def pytest_in(folder: Path, *words: str) -> subprocess.Popen[str]:
    environ = {**os.environ, "PYTHONPATH": str(TESTS)}
    argv = [sys.executable, "-m", "pytest", "--rootdir=.", "-v", "-p", "no:cacheprovider", *words]
    return subprocess.Popen(
        argv,
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def test_both_lanes_are_in_one_report(tmp_path: Path) -> None:
    project(tmp_path)
    running = pytest_in(tmp_path, "-n", "2", "--junitxml=report.xml", "clouds", "others")
    output, _ = running.communicate(timeout=PATIENCE_S)
    assert "53 passed" in output
    assert "PASSED others/test_others.py::test_other[0]" in output
    cases = [case.get("name") for case in ElementTree.parse(tmp_path / "report.xml").iter("testcase")]
    assert len(cases) == len(set(cases)) == 53


def test_the_first_failure_ends_the_other_lane_too(tmp_path: Path) -> None:
    project(tmp_path, each=0.3, fails=0)
    output, _ = pytest_in(tmp_path, "-n", "2", "-x", "clouds", "others").communicate(timeout=PATIENCE_S)
    assert "1 failed" in output
    assert len(list(tmp_path.glob("clouds/ran-*"))) < 50
    assert (tmp_path / "clouds/ended").exists()


@pytest.mark.parametrize(("how", "takes"), [("the terminal", 2.0), ("somebody else", 11.0)])
def test_an_interruption_of_the_run_ends_the_clouds_of_its_workers(tmp_path: Path, how: str, takes: float) -> None:
    """The controller hands it on, and who is at the terminal may do it again; after 10 s xdist would kill."""
    project(tmp_path, takes=takes, each=60.0)
    running = pytest_in(tmp_path, "-n", "2", "clouds", "others")
    until(lambda: (tmp_path / "clouds/ran-0").exists(), "the first test", PATIENCE_S)
    if how == "the terminal":
        os.killpg(running.pid, signal.SIGINT)
        ending = tmp_path / "clouds/ending"
        worker = until(lambda: ending.exists() and ending.read_text(), "the cloud to be ended", PATIENCE_S)
        os.kill(int(worker), signal.SIGINT)
    else:
        running.terminate()
    output, _ = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == pytest.ExitCode.INTERRUPTED, output
    assert (tmp_path / "clouds/ended").exists(), output


def test_one_lane_alone_is_no_matter_of_workers(tmp_path: Path) -> None:
    project(tmp_path)
    output, _ = pytest_in(tmp_path, "-n", "auto", "clouds").communicate(timeout=PATIENCE_S)
    assert "50 passed" in output
    assert "[gw0]" not in output
