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
    monkeypatch.delenv("CONSUL", raising=False)
    monkeypatch.setattr(provide, "FETCHED_CONSUL", tmp_path / "fetched" / "consul")
    return tmp_path


def put(path: Path, script: str = "exit 0") -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def put_consul(path: Path, version: str = "1.16.4") -> Path:
    return put(path, f"echo 'Consul v{version}'; echo 'Protocol 2 spoken by default'")


def test_the_named_consul_comes_before_that_of_the_path_and_the_fetched_one(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = put_consul(programs / "fetched" / "consul")
    assert provide.find_consul() == fetched
    own = put_consul(programs / "consul")
    assert provide.find_consul() == own
    named = put_consul(programs / "named" / "consul-2")
    monkeypatch.setenv("CONSUL", str(named))
    assert provide.find_consul() == named


def test_an_empty_name_names_none(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = put_consul(programs / "consul")
    monkeypatch.setenv("CONSUL", "")
    assert provide.find_consul() == own


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(None, id="absent"),
        pytest.param("echo 'frob 1.2.3'", id="another program"),
        pytest.param("printf 'Consul v\\377\\n'", id="no text"),
        pytest.param("echo 'Consul v1.16.4'; exit 1", id="fails"),
        pytest.param("exec /bin/sleep 600", id="hangs"),
    ],
)
def test_a_named_consul_that_is_none_is_refused_by_name_and_no_other_taken(
    programs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], script: str | None
) -> None:
    put_consul(programs / "consul")
    named = programs / "named" / "consul"
    if script is not None:
        put(named, script)
    monkeypatch.setenv("CONSUL", str(named))
    monkeypatch.setattr(provide, "VERSION_LIMIT_S", 0.5)
    assert provide.main(["consul"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert str(named) in line
    assert line.endswith("CONSUL=/path/to/consul")


def test_a_file_that_may_not_be_run_is_no_consul(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_consul(programs / "data").chmod(0o644)
    monkeypatch.setenv("CONSUL", str(programs / "data"))
    with pytest.raises(HAError, match=r"/data is no executable Consul \(Permission denied\)"):
        provide.find_consul()


@pytest.mark.parametrize(("version", "taken"), [("1.7.14", False), ("0.9.3", False), ("1.8.0", True)])
@pytest.mark.parametrize("way", ["consul", "fetched/consul"])
def test_a_consul_older_than_1_8_is_refused_by_name(programs: Path, way: str, version: str, taken: bool) -> None:
    found = put_consul(programs / way, version)
    if taken:
        assert provide.find_consul() == found
    else:
        with pytest.raises(HAError, match=rf"{found} is Consul {version}, older than 1\.8"):
            provide.find_consul()


@pytest.mark.parametrize("said", ["1.8.7", "1.10.0", "1.16.4+ent", "1.23.0-dev", "2.0.1"])
def test_a_consul_tells_its_version(programs: Path, said: str) -> None:
    assert provide.consul_version(put_consul(programs / "consul", said)) == said


def test_without_consul_the_way_to_get_it_is_said(programs: Path) -> None:
    with pytest.raises(HAError, match=r"python -m nova_ha\.sandbox\.provide consul"):
        provide.find_consul()


def test_what_is_there_is_not_got_again(programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_consul(programs / "consul")
    for name in ("sshd", "ipmi_sim", "ip"):
        put(programs / name)
    assert provide.main(["consul", "sshd", "ipmi_sim", "ip"]) == 0
    assert capsys.readouterr().err == ""


def test_an_unknown_program_is_refused(programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert provide.main(["consul", "nonsense"]) == 2
    assert "nonsense" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("tool", "source"),
    [("", "downloads for Linux"), ("dnf", "package repository"), ("pacman", "downloads"), ("apk", "downloads")],
)
def test_without_apt_one_line_says_what_to_install_and_from_whom(
    programs: Path, capsys: pytest.CaptureFixture[str], tool: str, source: str
) -> None:
    if tool:
        put(programs / tool)
    assert provide.main(["consul"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"install Consul 1.8 or newer from HashiCorp's own {source}" in line
    assert "apt" not in line


def test_where_apt_has_no_consul_the_last_line_says_what_to_install(
    programs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put(programs / "apt-get", "echo 'E: no such package' >&2; exit 100")
    monkeypatch.setattr(apt, "os_release", dict)
    assert provide.main(["consul"]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert "E: no such package" in line
    assert "install Consul 1.8 or newer from HashiCorp's own package repository" in line


def test_an_own_package_that_is_too_old_is_not_kept(
    programs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unpack(package: str, private: Path) -> None:
        (private / "unpacked/usr/bin").mkdir(parents=True)
        put_consul(private / "unpacked/usr/bin" / package, "1.5.2")

    put(programs / "apt-get")
    monkeypatch.setattr(apt, "unpack_package", unpack)
    assert provide.main(["consul"]) == 1
    assert "Consul 1.5.2, older than 1.8" in capsys.readouterr().err.splitlines()[-1]
    assert not provide.FETCHED_CONSUL.exists()


@pytest.mark.parametrize(
    ("tool", "command"),
    [
        ("dnf", "sudo dnf install openssh-server OpenIPMI-lanserv iproute python3"),
        ("pacman", "sudo pacman -S openssh iproute2 python, and install ipmi_sim (Debian's openipmi)"),
        ("apk", "sudo apk add openssh-server openipmi-lanserv iproute2 python3"),
    ],
)
def test_another_system_s_line_is_its_own_command(
    programs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tool: str, command: str
) -> None:
    put(programs / tool)
    monkeypatch.setattr(provide, "present", lambda program: False)
    assert provide.main(["sshd", "ipmi_sim", "ip", "venv"]) == 1
    line = capsys.readouterr().err.strip()
    assert line.endswith(f"missing here: sshd ipmi_sim ip venv: {command}")
    assert "apt" not in line


def test_a_system_that_we_do_not_know_is_told_the_programs(
    programs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(provide, "present", lambda program: False)
    assert provide.main(["ip"]) == 1
    assert capsys.readouterr().err == "stopped: missing here: ip: install ip (Debian's iproute2)\n"


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
    assert apt.way_to_root(["ipmi_sim"]) == ["sudo", "-n"]


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
