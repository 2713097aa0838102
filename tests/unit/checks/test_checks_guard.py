"""Whatever happens to a check, it prints one line and exits 0, 1 or 2 as Consul reads them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from nova_ha.checks import check_guard

CHECK = """
import os, signal, sys, time, warnings
import click
from nova_ha.checks import check_guard as guard
from nova_ha.errors import ConsulError

@click.command("trial")
@click.option("--number", type=int)
def command(number):
    {body}

guard.run(command)
"""


def run(body: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CHECK.format(body=body), *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)


@pytest.mark.parametrize("code", [0, 1, 2])
def test_the_verdict_is_the_exit_code(code: int) -> None:
    assert run(f"click.echo('seen'); return {code}").returncode == code


@pytest.mark.fault(22)
@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("raise ConsulError('Consul has no leader', remedy='look')", "cannot tell: Consul has no leader: look"),
        ("raise ValueError('a\\nb')", "cannot tell: ValueError: a b"),
        ("import no_such_module", "cannot tell: ModuleNotFoundError: No module named 'no_such_module'"),
        ("sys.exit(2)", "cannot tell: SystemExit: 2"),
        ("raise KeyboardInterrupt", "cannot tell: Abort:"),
        ("raise MemoryError", "cannot tell: MemoryError:"),
    ],
)
def test_a_crash_is_one_line_and_cannot_tell(body: str, line: str) -> None:
    done = run(body)
    assert (done.returncode, done.stdout) == (1, f"UNKNOWN {line}\n")


@pytest.mark.fault(22)
@pytest.mark.parametrize("arguments", [("--no-such-option",), ("--number", "x"), ("surplus",)])
def test_a_usage_error_is_one_line_and_not_critical(arguments: tuple[str, ...]) -> None:
    done = run("return 0", *arguments)
    assert done.returncode == 1
    assert done.stdout.startswith("UNKNOWN wrong usage: ")
    assert done.stdout.count("\n") == 1


def test_standard_error_stays_out_of_the_output() -> None:
    body = "print('noise', file=sys.stderr); warnings.warn('old'); os.write(2, b'more'); click.echo('seen'); return 0"
    assert run(body).stdout == "seen\n"


def test_a_check_that_never_ends_is_ended_with_cannot_tell() -> None:
    done = run("guard.end_by(0.2); time.sleep(50)")
    assert (done.returncode, done.stdout) == (1, "UNKNOWN cannot tell: the check did not end by its deadline\n")


def test_the_deadline_begins_with_the_process() -> None:
    body = "click.echo(str(guard.spent_s())); return 0"
    assert 0 < float(run(body).stdout) < 60


def test_a_thread_that_never_ends_does_not_hold_the_check() -> None:
    body = "import threading; threading.Thread(target=time.sleep, args=(50,)).start(); return 2"
    assert run(body).returncode == 2


@pytest.mark.fault(35)
@pytest.mark.parametrize("code", [0, 2])
def test_the_exit_code_is_right_when_nobody_reads_the_output(code: int) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-c", CHECK.format(body=f"click.echo('seen'); return {code}")]
    try:
        assert subprocess.run(command, stdout=writer, timeout=60).returncode == code
    finally:
        os.close(writer)


@pytest.mark.fault(35)
@pytest.mark.parametrize("code", [0, 2])
def test_the_exit_code_is_right_with_standard_streams_closed(code: int) -> None:
    program = CHECK.format(body=f"click.echo('seen'); return {code}")
    shell = 'exec "$0" -c "$1" <&- >&- 2>&-'
    assert subprocess.run(["sh", "-c", shell, sys.executable, program], timeout=60).returncode == code


def test_outside_of_a_check_nothing_is_timed() -> None:
    check_guard.end_by(0.0)
    assert check_guard.spent_s() == 0.0
