"""Whatever happens in a command becomes one line on standard error and the exit code of docs/commands.md."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from nova_ha.cli.command_guard import run
from nova_ha.errors import ConfigError, ConsulError, ExitCode, OutcomeUnknown, Refused, TryAgain

NOVA_HA = str(Path(sys.executable).parent / "nova-ha")


def failing_with(error: BaseException) -> click.Command:
    def work() -> None:
        raise error

    return click.Command("work", callback=work)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("the key k is 'x'"), 1),
        (ConsulError("no agent answers"), 1),
        (OutcomeUnknown("the answer was lost"), 1),
        (Refused("c1 is failed"), 3),
        (TryAgain("somebody else wrote"), 75),
        (ValueError("a crash"), 1),
        (click.UsageError("no such option"), 2),
        (KeyboardInterrupt(), 130),
        (EOFError(), 1),
    ],
)
def test_each_error_has_its_exit_code_and_no_traceback(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(failing_with(error), []) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    assert str(error) in err


def test_an_error_is_one_line_with_its_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    run(failing_with(ConfigError("key a is 'x\ny'", remedy="mend it")), [])
    assert capsys.readouterr().err == "Error: key a is 'x y': mend it\n"


def test_what_a_command_returns_is_its_exit_code() -> None:
    assert run(click.Command("work", callback=lambda: ExitCode.FAILED), []) == 1
    assert run(click.Command("work", callback=lambda: None), []) == 0
    assert run(click.Command("work", callback=lambda: "words"), []) == 0


def test_a_command_that_leaves_by_click_has_that_exit_code() -> None:
    def work() -> None:
        click.get_current_context().exit(7)

    assert run(click.Command("work", callback=work), []) == 7


@pytest.mark.parametrize("words", [["check", "ssh", "--no-such-option"], ["check", "no-such-check"]])
def test_a_usage_error_of_a_check_is_cannot_tell_and_never_critical(words: list[str]) -> None:
    assert subprocess.run([NOVA_HA, *words], capture_output=True, check=False).returncode == 1


def test_a_usage_error_of_another_command_is_2() -> None:
    ended = subprocess.run([NOVA_HA, "status", "--no-such-option"], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "--no-such-option" in ended.stderr


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run([NOVA_HA, "completion", "bash"], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (141, b"")


def test_a_closed_standard_output_is_no_traceback() -> None:
    ended = subprocess.run(
        ["/bin/sh", "-c", f"exec {NOVA_HA} completion bash >&-"], stderr=subprocess.PIPE, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.parametrize("streams", ["2>/dev/full", ">/dev/full 2>/dev/full", "2>&-", ">&- 2>&-"])
@pytest.mark.parametrize(("words", "code"), [("status", 1), ("nonsense", 2), ("check ssh --nonsense", 1)])
def test_the_exit_code_is_right_though_nobody_can_be_told(words: str, code: int, streams: str) -> None:
    environ = {**os.environ, "CONSUL_HTTP_ADDR": "127.17.255.1:9"}
    # Unbuffered, nothing would be left for the interpreter to write at its end.
    environ.pop("PYTHONUNBUFFERED", None)
    command = ["/bin/sh", "-c", f"exec {NOVA_HA} {words} {streams}"]
    assert subprocess.run(command, env=environ, capture_output=True, check=False).returncode == code


def test_a_result_that_finds_no_room_is_a_failure_in_one_line() -> None:
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = ["/bin/sh", "-c", f"exec {NOVA_HA} completion bash >/dev/full"]
    ended = subprocess.run(command, env=environ, stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "No space left on device" in ended.stderr


def test_without_consul_the_line_names_the_address_and_what_to_do() -> None:
    environ = {**os.environ, "CONSUL_HTTP_ADDR": "127.17.255.1:9"}
    for words in (["status"], ["node", "list"], ["config", "check"], ["history"], ["metrics"], ["resume"]):
        ended = subprocess.run([NOVA_HA, *words], env=environ, capture_output=True, text=True, check=False)
        assert (ended.returncode, ended.stdout) == (1, ""), words
        assert ended.stderr.count("\n") == 1
        assert "127.17.255.1:9" in ended.stderr
        assert "CONSUL_HTTP_ADDR" in ended.stderr
