"""Whatever happens in a handler becomes one line on standard error and an exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from nova_ha.errors import ConsulError, HAError, OutcomeUnknown, Refused, TryAgain
from nova_ha.handlers.handler_guard import run


def raising(error: BaseException) -> Callable[[], int]:
    def handle() -> int:
        raise error

    return handle


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConsulError("no Consul agent answers", remedy="start it"), 1),
        (OutcomeUnknown("Consul did not answer"), 1),
        (Refused("ha-9 is not an HA node"), 3),
        (TryAgain("others kept changing it"), 75),
        (HAError("two\nlines"), 1),
        (ZeroDivisionError("division by zero"), 1),
        (KeyError("a-key"), 1),
        (RecursionError(), 1),
    ],
)
def test_an_error_is_one_line_and_its_exit_code(
    error: Exception, code: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOVA_HA_DEBUG", raising=False)
    assert run("the-handler", raising(error)) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("the-handler: ")
    assert printed.err.count("\n") == 1
    assert "Traceback" not in printed.err


def test_the_remedy_is_part_of_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    run("the-handler", raising(ConsulError("no Consul agent answers", remedy="start it")))
    assert capsys.readouterr().err == "the-handler: no Consul agent answers: start it\n"


def test_what_the_handler_returns_is_the_exit_code() -> None:
    assert run("the-handler", lambda: 0) == 0
    assert run("the-handler", lambda: 75) == 75


def test_an_argument_is_a_usage_error_and_nothing_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("the-handler", raising(AssertionError("was run")), ["--node", "c1"]) == 2
    assert "takes no arguments" in capsys.readouterr().err


HANDLER = """
import sys
from nova_ha.handlers.handler_guard import run_handler
def handle():
    print("a result " * 1000)
    {step}
    return 0
run_handler("the-handler", handle, [])
"""


def ends_with(step: str, redirections: str) -> int:
    """Run such a handler under a shell that gives it these standard streams, and return its exit code."""
    script = HANDLER.format(step=step)
    command = ["sh", "-c", f'exec "$0" -c "$1" {redirections}', sys.executable, script]
    # As under Consul: unbuffered, nothing would be left for the interpreter to write at its end.
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(command, timeout=20, check=False, stderr=subprocess.DEVNULL, env=environ).returncode


@pytest.mark.fault(35)
@pytest.mark.parametrize("redirections", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full", "2>/dev/full"])
def test_the_exit_code_is_right_whatever_the_standard_streams_are(redirections: str) -> None:
    assert ends_with("pass", redirections) == 0
    assert ends_with("1 / 0", redirections) == 1


@pytest.mark.fault(35)
def test_a_closed_standard_stream_is_no_connections_number() -> None:
    opened = "import os; fd = os.open('/dev/null', 0); sys.exit(0 if fd > 2 else 9)"
    assert ends_with(opened, "<&- >&- 2>&-") == 0
