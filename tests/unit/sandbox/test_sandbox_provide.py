"""What a fresh machine lacks is got, or the way to get it is said in one line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from nova_ha.errors import HAError
from nova_ha.sandbox import apt, provide

INDEX_TARGETS = """\
http://mirror.example/debian bookworm
http://mirror.example/debian bookworm
http://mirror.example/debian bookworm-updates
http://mirror.example/debian-security bookworm-security
http://mirror.example/other stable
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH; nothing has been fetched."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(provide, "FETCHED_CONSUL", tmp_path / "fetched" / "consul")
    return tmp_path


def put(path: Path, script: str = "exit 0") -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_the_consul_of_the_path_comes_before_the_fetched_one(programs: Path) -> None:
    fetched = put(programs / "fetched" / "consul")
    assert provide.find_consul() == fetched
    own = put(programs / "consul")
    assert provide.find_consul() == own


def test_without_consul_the_way_to_get_it_is_said(programs: Path) -> None:
    with pytest.raises(HAError, match=r"python -m nova_ha\.sandbox\.provide consul"):
        provide.find_consul()


def test_what_is_there_is_not_got_again(programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("consul", "sshd", "ipmi_sim", "ip"):
        put(programs / name)
    assert provide.main(["consul", "sshd", "ipmi_sim", "ip"]) == 0
    assert capsys.readouterr().err == ""


def test_an_unknown_program_is_refused(programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert provide.main(["consul", "nonsense"]) == 2
    assert "nonsense" in capsys.readouterr().err


def test_without_apt_one_line_says_what_to_install(programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert provide.main(["consul"]) == 1
    assert "install Consul 1.8 or newer" in capsys.readouterr().err.splitlines()[-1]


def test_without_root_the_line_is_the_command_to_run(
    programs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put(programs / "apt-get")
    put(programs / "sudo", "exit 1")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(provide, "find", lambda program: None)
    assert provide.main(["sshd", "ipmi_sim"]) == 1
    assert capsys.readouterr().err.strip().endswith("sudo apt-get install openssh-server openipmi")


def test_a_sudo_that_asks_for_nothing_is_used(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(programs / "apt-get")
    put(programs / "sudo")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert apt.way_to_root(["openipmi"]) == ["sudo", "-n"]


def test_the_older_debian_is_looked_for_on_the_mirrors_of_this_machine_only(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(programs / "apt-get", f"/bin/cat <<'END'\n{INDEX_TARGETS}END")
    monkeypatch.setattr(apt, "KEYRING", str(programs / "keyring"))
    (programs / "keyring.pgp").touch()
    assert apt._older_debian("bookworm").splitlines() == [
        f"deb [signed-by={programs}/keyring.pgp] http://mirror.example/debian bullseye main",
        f"deb [signed-by={programs}/keyring.pgp] http://mirror.example/other bullseye main",
    ]


def test_a_failure_of_apt_is_its_last_error_line(programs: Path) -> None:
    put(programs / "apt-get", "echo 'W: a warning' >&2; echo 'E: no such package' >&2; echo tail >&2; exit 100")
    with pytest.raises(HAError, match="E: no such package"):
        apt.unpack_package("consul", programs / "private")
