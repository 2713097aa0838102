"""The child process that talks to the BMCs, so that a call which never returns can be ended.

It reads one Order from its standard input, forks a process for each BMC, and ends with the last of them. Each
writes one Answer to standard output, and is ended by the kernel when its time is up: then it has no answer.
Where one crashes this process answers for it, after what it may have said itself.

A process for each, and no threads: pyghmi 1.6.19 shares its sockets and timers between all sessions of a
process, and among many dead BMCs its threads lost the answers of living ones (45 of 200).
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from nova_ha.power import PowerState
from nova_ha.power.bmc_login import BMCLogin
from nova_ha.power.device import FenceDevice
from nova_ha.power.diagnosis import Diagnosis, Trouble, diagnose
from nova_ha.power.drivers import log_in, preload
from nova_ha.power.order import BMCAnswer, BMCTask, Order

_PR_SET_PDEATHSIG = 1
# Beside what Python and pyghmi take: the answers of one BMC need a few MB.
_MOST_MEMORY = 512 * 1024 * 1024


def main(parent: int) -> None:
    """Carry out the order on standard input for the process `parent`."""
    _die_with(parent)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, and inherited so, it would leave nothing to wait for
    order = Order.from_json(sys.stdin.readline())
    answers = os.dup(1)
    _silence_libraries()
    preload({device.driver for device in order.devices.values()})
    _bound_memory()
    carry_out(order, lambda name, answer: _write(answers, answer.to_json(name)))


def carry_out(order: Order, report: Callable[[str, BMCAnswer], None]) -> None:
    """Do the task at all BMCs of the order, `at_once` together; return when all have ended or time is up."""
    waiting = deque(order.devices)
    running: dict[int, str] = {}
    while running or (waiting and time.monotonic() < order.until):
        while waiting and len(running) < order.at_once and time.monotonic() < order.until:
            try:
                running[_fork(order, waiting[0], report)] = waiting[0]
            except OSError:  # no more processes: go on with those there are
                if not running:
                    raise
                break
            waiting.popleft()
        pid, status = os.wait()
        _report_crash(running.pop(pid), os.waitstatus_to_exitcode(status), report)


def visit(task: BMCTask, device: FenceDevice, report: Callable[[BMCAnswer], None]) -> None:
    """Log in, do the task, report, log out. Whatever goes wrong becomes the answer."""
    try:
        session = log_in(device)
    except Exception as error:
        report(BMCAnswer.of_trouble(diagnose(error, secret=device.password)))
        return
    report(_do(task, session, device))
    session.close()


def _do(task: BMCTask, session: BMCLogin, device: FenceDevice) -> BMCAnswer:
    answer = BMCAnswer(sent=True)
    try:
        if task is BMCTask.POWER_OFF:
            answer = replace(answer, power_off=session.power_off())
        if task in (BMCTask.POWER, BMCTask.LOOK):
            answer = replace(answer, power=session.power())
        if task in (BMCTask.IDENTITY, BMCTask.LOOK):
            answer = replace(answer, identity=session.identity())
        if task is BMCTask.LOOK:
            answer = replace(answer, diagnosis=session.foreseen())
        return answer
    except Exception as error:
        return _blamed(answer, diagnose(error, secret=device.password))


def _blamed(answer: BMCAnswer, diagnosis: Diagnosis) -> BMCAnswer:
    """Keep a power state that was read before the identity failed."""
    if answer.power.state is PowerState.UNKNOWN:
        return BMCAnswer.of_trouble(diagnosis, sent=True)
    return replace(answer, diagnosis=diagnosis)


def _fork(order: Order, name: str, report: Callable[[str, BMCAnswer], None]) -> int:
    """Visit the BMC in a process of its own, and return that one's id."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        _die_with(parent)
        _die_after(min(order.each_s, order.until - time.monotonic()))
        visit(order.task, order.devices[name], partial(report, name))
        os._exit(0)  # without the parent's clean-up, and without waiting for threads of a library
    finally:
        os._exit(1)


def _report_crash(name: str, status: int, report: Callable[[str, BMCAnswer], None]) -> None:
    if status not in (0, -signal.SIGALRM):
        diagnosis = Diagnosis(Trouble.UNKNOWN, f"its process ended with {status}")
        report(name, BMCAnswer.of_trouble(diagnosis, sent=True))


def _die_with(parent: int) -> None:
    """End this process with its parent, however that ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _die_after(seconds: float) -> None:
    """Have the kernel end this process, whatever Python does then."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))


def _bound_memory() -> None:
    """Let a BMC whose answers take too much memory fail with that, and no other."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + _MOST_MEMORY
    _, allowed = resource.getrlimit(resource.RLIMIT_AS)
    if allowed == resource.RLIM_INFINITY or most < allowed:
        resource.setrlimit(resource.RLIMIT_AS, (most, allowed))


def _write(answers: int, line: str) -> None:
    os.write(answers, line.encode())  # one write below PIPE_BUF (4096 bytes): lines do not mix


def _silence_libraries() -> None:
    """Keep what they print out of the answers."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
