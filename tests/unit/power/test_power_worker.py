"""The child's side: each BMC in a process of its own, whatever becomes of it."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from nova_ha.errors import BMCError, ConfigError
from nova_ha.power import PowerOffAnswer, PowerReading, PowerState, reading_of, worker
from nova_ha.power.device import FenceDevice
from nova_ha.power.diagnosis import Diagnosis, Trouble
from nova_ha.power.drivers import log_in
from nova_ha.power.order import BMCAnswer, BMCTask, Order

ON = PowerReading(PowerState.ON)


@dataclass
class FakeSession:
    """A BMC by its host name: `mute` never answers, `dies` ends its process, `chatty` prints..."""

    device: FenceDevice
    log: Path

    def power(self) -> PowerReading:
        self._note("power")
        if self.device.host == "chatty":
            os.write(1, b"Password for chatty is somehow malformed")
        if self.device.host == "mute":
            signal.pause()
        if self.device.host == "greedy":
            bytes(4 << 30)
        if self.device.host == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        return ON

    def power_off(self) -> PowerOffAnswer:
        self._note("power_off")
        if self.device.host == "refusing":
            raise BMCError("not today")
        return PowerOffAnswer.OFF_ALREADY if self.device.host == "off" else PowerOffAnswer.TAKEN

    def identity(self) -> str | None:
        if self.device.host == "guidless":
            raise ValueError("badly formed")
        return "an-identity"

    def foreseen(self) -> Diagnosis:
        return Diagnosis(Trouble.NO_RIGHT if self.device.host == "reading" else Trouble.NONE)

    def close(self) -> None:
        self._note("close")

    def _note(self, call: str) -> None:
        with self.log.open("a") as log:
            log.write(f"{self.device.host} {call} {os.getpid()}\n")


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sessions are fakes that note their calls in this file."""
    path = tmp_path / "log"
    path.touch()

    def fake_log_in(device: FenceDevice) -> FakeSession:
        if device.host == "closed":
            raise ConnectionRefusedError("nobody there")
        return FakeSession(device, path)

    monkeypatch.setattr(worker, "log_in", fake_log_in)
    return path


def a_device(host: str) -> FenceDevice:
    return FenceDevice("ipmi", host, 623, "ADMIN", "secret")


def an_order(
    *hosts: str, task: BMCTask = BMCTask.LOOK, within_s: float = 30, each_s: float = 20, at_once: int = 4
) -> Order:
    devices = {host: a_device(host) for host in hosts}
    return Order(task, devices, time.monotonic() + within_s, each_s, at_once)


def carry_out(order: Order) -> Mapping[str, BMCAnswer]:
    """Carry the order out, and return the first answer of each BMC that gave one."""
    reading, writing = os.pipe()
    worker.carry_out(order, lambda name, answer: worker._write(writing, answer.to_json(name)))
    os.close(writing)
    with os.fdopen(reading) as answers:
        return dict(reversed([BMCAnswer.from_json(line) for line in answers]))


def visit(task: BMCTask, host: str) -> BMCAnswer:
    answers: list[BMCAnswer] = []
    worker.visit(task, a_device(host), answers.append)
    (answer,) = answers
    return answer


def test_a_look_has_power_and_identity(log: Path) -> None:
    assert visit(BMCTask.LOOK, "a") == BMCAnswer(ON, "an-identity", sent=True)


def test_a_look_says_what_a_power_off_would_meet(log: Path) -> None:
    assert visit(BMCTask.LOOK, "reading") == BMCAnswer(ON, "an-identity", Diagnosis(Trouble.NO_RIGHT), sent=True)


def test_a_power_off_has_what_was_answered(log: Path) -> None:
    assert visit(BMCTask.POWER_OFF, "a").power_off is PowerOffAnswer.TAKEN


def test_a_failed_login_says_that_nothing_was_sent(log: Path) -> None:
    answer = visit(BMCTask.POWER_OFF, "closed")

    assert answer.diagnosis == Diagnosis(Trouble.UNREACHABLE, "nobody there")
    assert answer.power == PowerReading(PowerState.UNKNOWN, "unreachable (nobody there)")
    assert not answer.sent


def test_a_refused_command_was_sent(log: Path) -> None:
    answer = visit(BMCTask.POWER_OFF, "refusing")

    assert answer.diagnosis == Diagnosis(Trouble.COMMAND_REFUSED, "not today")
    assert answer.sent


def test_a_power_state_outlives_an_identity_that_cannot_be_read(log: Path) -> None:
    answer = visit(BMCTask.LOOK, "guidless")

    assert answer.power == ON
    assert answer.identity is None
    assert answer.diagnosis == Diagnosis(Trouble.UNKNOWN, "ValueError: badly formed")


@pytest.mark.parametrize("task", list(BMCTask))
def test_every_login_is_logged_out(log: Path, task: BMCTask) -> None:
    visit(task, "refusing")

    assert log.read_text().splitlines()[-1].startswith("refusing close")


def test_only_a_power_off_switches_off(log: Path) -> None:
    for task in set(BMCTask) - {BMCTask.POWER_OFF}:
        visit(task, "a")

    assert "power_off" not in log.read_text()


def test_each_bmc_has_a_process_of_its_own(log: Path) -> None:
    carry_out(an_order("a", "b", "c"))

    pids = {line.split()[2] for line in log.read_text().splitlines()}
    assert len(pids) == 3
    assert str(os.getpid()) not in pids


@pytest.mark.fault(19)
def test_a_bmc_that_never_answers_keeps_no_other_from_it(log: Path) -> None:
    answers = carry_out(an_order("mute", "a", "b", "closed", each_s=0.5, at_once=1))

    assert set(answers) == {"a", "b", "closed"}


def test_a_process_that_crashes_is_answered_for(log: Path) -> None:
    answers = carry_out(an_order("dies", "a"))

    assert answers["dies"].diagnosis == Diagnosis(Trouble.UNKNOWN, "its process ended with -9")
    assert answers["dies"].sent
    assert answers["a"].power == ON


def test_nothing_is_started_after_the_end(log: Path) -> None:
    assert carry_out(an_order("a", "b", within_s=-1)) == {}
    assert log.read_text() == ""


def test_bmcs_still_waiting_at_the_end_have_no_answer(log: Path) -> None:
    order = an_order("mute", "a", within_s=0.5, each_s=40, at_once=1)

    assert carry_out(order) == {}
    assert time.monotonic() < order.until + 20  # and not after the 40 s that the first one had


def test_without_another_process_it_goes_on_with_those_there_are(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fork", _refusing_the_second_of_two(os.fork))

    answers = carry_out(an_order("a", "b", "c"))

    assert set(answers) == {"a", "b", "c"}


def _refusing_the_second_of_two(fork: Callable[[], int]) -> Callable[[], int]:
    calls = iter(range(1000))

    def refusing_fork() -> int:
        if next(calls) % 2:
            raise BlockingIOError("Resource temporarily unavailable")
        return fork()

    return refusing_fork


def test_what_pyghmi_prints_is_in_no_answer(log: Path) -> None:
    assert answers_of_main(an_order("chatty")) == {"chatty": BMCAnswer(ON, "an-identity", sent=True)}


@pytest.mark.fault(52)
def test_a_bmc_that_takes_too_much_memory_fails_with_that_and_no_other_does(log: Path) -> None:
    answers = answers_of_main(an_order("greedy", "a"))

    assert answers["greedy"].diagnosis == Diagnosis(Trouble.UNKNOWN, "MemoryError: ")
    assert answers["a"].power == ON


def test_a_parent_that_ignores_the_end_of_its_children_changes_nothing(log: Path) -> None:
    def ignore() -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)

    assert set(answers_of_main(an_order("a", "b", at_once=1), before=ignore)) == {"a", "b"}


def answers_of_main(order: Order, before: Callable[[], None] = lambda: None) -> Mapping[str, BMCAnswer]:
    """Run the worker as a child process does, and return its answers."""
    order_reading, order_writing = os.pipe()
    answer_reading, answer_writing = os.pipe()
    os.write(order_writing, order.to_json().encode())
    if os.fork() == 0:
        before()
        os.dup2(answer_writing, 1)
        sys.stdin = os.fdopen(order_reading)
        worker.main(os.getppid())
        os._exit(0)
    os.wait()
    for file in (order_reading, order_writing, answer_writing):
        os.close(file)
    with os.fdopen(answer_reading) as answers:
        return dict(BMCAnswer.from_json(line) for line in answers)


def test_a_process_whose_parent_is_gone_ends_at_once() -> None:
    reading, writing = os.pipe()
    if os.fork() == 0:
        worker._die_with(parent=-1)
        os.write(writing, b"still here")
        os._exit(0)
    os.wait()
    os.close(writing)

    assert select.select([reading], [], [], 0)[0]
    assert os.read(reading, 100) == b""
    os.close(reading)


@pytest.mark.parametrize(
    ("word", "state", "why"),
    [
        ("on", PowerState.ON, ""),
        ("off", PowerState.OFF, ""),
        ("On", PowerState.UNKNOWN, "the BMC says 'On'"),
        ("poweringoff", PowerState.UNKNOWN, "the BMC says 'poweringoff'"),
        ("", PowerState.UNKNOWN, "the BMC says ''"),
        ("x" * 100000, PowerState.UNKNOWN, f"the BMC says '{'x' * 40}'"),
    ],
)
def test_a_word_that_is_neither_on_nor_off_is_unknown(word: str, state: PowerState, why: str) -> None:
    assert reading_of(word) == PowerReading(state, why)


def test_a_driver_that_nobody_wrote_is_a_bad_setting() -> None:
    with pytest.raises(ConfigError, match="telepathy"):
        log_in(FenceDevice("telepathy", "host", 1, "user", "secret"))
