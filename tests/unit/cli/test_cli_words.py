"""Spans, moments, passwords: what an operator writes."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
from nova_ha.cli.secret import read_secret
from nova_ha.cli.words import Moment, Span, end_of, operator_name
from nova_ha.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("45", timedelta(minutes=45)),
        ("2h", timedelta(hours=2)),
        ("1d", timedelta(days=1)),
    ],
)
def test_a_span_has_a_unit_or_is_minutes(text: str, span: timedelta) -> None:
    assert Span().convert(text, None, None) == span


@pytest.mark.parametrize("text", ["", "h", "-1h", "1.5h", "0m", "400d", "１h", "2w", "999999999999d"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Span().convert(text, None, None)


def test_a_moment_needs_its_offset() -> None:
    assert Moment().convert("2030-01-01T12:00:00Z", None, None) == datetime(2030, 1, 1, 12, tzinfo=UTC)
    with pytest.raises(click.BadParameter):
        Moment().convert("2030-01-01T12:00:00", None, None)


def test_for_and_until_exclude_each_other() -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    assert end_of(now, timedelta(hours=1), None) == now + timedelta(hours=1)
    assert end_of(now, None, None) is None
    with pytest.raises(click.UsageError):
        end_of(now, timedelta(hours=1), now)


def test_behind_sudo_the_operator_keeps_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "ann")
    assert operator_name().startswith("ann@")


def test_a_password_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / "pw"
    file.write_text(" s3cret \r\nsecond\n")
    assert read_secret(str(file), "BMC password", ask=False) == " s3cret "


def test_a_password_is_a_line_of_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("one\ntwo\n"))
    assert [read_secret("-", "password", ask=False) for _ in range(2)] == ["one", "two"]


def test_nobody_is_asked_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("typed\n"))
    assert read_secret(None, "password", ask=True) is None


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe"])
def test_a_file_without_a_password_is_named_and_not_shown(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "pw"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="pw"):
        read_secret(str(file), "BMC password", ask=False)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"/no/such/file cannot be read: No such file"):
        read_secret("/no/such/file", "BMC password", ask=False)
