"""Our side of the child process: started, given an order, heard out, and ended when its time is up."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace

from nova_ha.power.diagnosis import Diagnosis, Trouble
from nova_ha.power.order import BMCAnswer, Order

# Isolated from the working directory and the environment; the import path is ours, and arrives with the order.
_START = (
    "import json, sys; path, parent = json.loads(sys.stdin.readline()); sys.path[:] = path; "
    "from nova_ha.power.worker import main; main(parent)"
)


_MARGIN_S = 0.1


def carry_out_in_a_child(order: Order) -> Mapping[str, BMCAnswer]:
    """Carry out the order until its end, and return an answer for each of its BMCs. Never raises.

    A BMC without an answer by then has the trouble TIMED_OUT, and may have been sent its task.
    """
    given_s = order.until - time.monotonic()
    try:
        child = _start()
    except OSError as error:  # no process or no memory left
        nothing = BMCAnswer.of_trouble(Diagnosis(Trouble.UNKNOWN, f"no process for it: {error}"))
        return dict.fromkeys(order.devices, nothing)
    # The margin lets the child end what it started and go by itself.
    its_order = replace(order, until=order.until - _MARGIN_S)
    output, ended = _hear_out(child, its_order, order.until)
    answers: dict[str, BMCAnswer] = {}
    for name, answer in _complete(output):
        answers.setdefault(name, answer)  # the first: a process that crashes afterwards has said what it saw
    silent = BMCAnswer.of_trouble(_why_silent(ended, min(given_s, order.each_s)), sent=True)
    return {name: answers.get(name, silent) for name in order.devices}


def _start() -> subprocess.Popen[bytes]:
    # Its own three pipes: a check's standard output, inherited, would stay open after the check.
    return subprocess.Popen(
        [sys.executable, "-I", "-c", _START, "nova-ha-bmc"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
    )


def _hear_out(child: subprocess.Popen[bytes], order: Order, until: float) -> tuple[bytes, int | None]:
    """Return what the child said, and its exit status; None when it had to be ended."""
    start = json.dumps([sys.path, os.getpid()])
    try:
        remaining = max(0.0, until - time.monotonic())
        output, _ = child.communicate(f"{start}\n{order.to_json()}".encode(), timeout=remaining)
        return output, child.returncode
    except subprocess.TimeoutExpired:
        return _end(child), None
    finally:
        if child.poll() is None:
            _end(child)


def _end(child: subprocess.Popen[bytes]) -> bytes:
    child.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):  # in the kernel: reaped by a later Popen
        return child.communicate(timeout=1.0)[0]
    return b""


def _complete(output: bytes) -> Iterator[tuple[str, BMCAnswer]]:
    for line in output.decode(errors="replace").splitlines():
        with contextlib.suppress(ValueError, KeyError, TypeError):  # the last line may be cut off
            yield BMCAnswer.from_json(line)


def _why_silent(ended: int | None, given_s: float) -> Diagnosis:
    if ended in (None, 0):
        return Diagnosis(Trouble.TIMED_OUT, f"timed out after {round(given_s, 1):g} s")
    return Diagnosis(Trouble.UNKNOWN, f"its process ended with {ended}")
