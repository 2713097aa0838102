"""A bare Debian of another release: what is refused before anything is made, and what gets inside."""

from __future__ import annotations

import os
from pathlib import Path

import on_release
import pytest
from nova_ha.sandbox import apt


@pytest.fixture
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for roots, on a machine where we are root, without a mirror that one could be made from."""
    monkeypatch.setattr(on_release, "ROOTS", tmp_path / "roots")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(on_release, "provide", lambda programs: None)
    monkeypatch.setattr(on_release, "os_release", dict)
    return tmp_path / "roots"


def line_of(capsys: pytest.CaptureFixture[str]) -> str:
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize("name", ["", "../trixie", "--foreign", "trixie sid"])
def test_what_is_no_name_of_a_release_is_wrong_usage(
    roots: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert on_release.main([name, "test"]) == 2
    assert "make test-on RELEASE=trixie" in line_of(capsys)
    assert not roots.exists()


def test_only_root_makes_one(
    roots: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert on_release.main(["trixie", "test"]) == 1
    assert line_of(capsys).endswith("sudo make test-on ...")
    assert not roots.exists()


@pytest.mark.parametrize(
    ("system", "sites"), [({"ID": "ubuntu"}, ["http://mirror.example/ubuntu"]), ({"ID": "debian"}, [])]
)
def test_without_a_mirror_of_debian_none_is_made(
    roots: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    system: dict[str, str],
    sites: list[str],
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(on_release, "os_release", lambda: system)
    monkeypatch.setattr(on_release, "mirrors", lambda codename: sites)
    assert on_release.main(["trixie", "test"]) == 1
    assert "no mirror of Debian" in line_of(capsys)


def test_a_root_that_debootstrap_did_not_finish_is_none(
    roots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    unshare = tmp_path / "unshare"
    unshare.write_text('#!/bin/sh\n/bin/mkdir "$6"\necho "I: Retrieving"\necho "E: no such release"\nexit 1\n')
    unshare.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(on_release, "os_release", lambda: {"ID": "debian"})
    monkeypatch.setattr(on_release, "mirrors", lambda codename: ["http://mirror.example/debian"])
    assert on_release.main(["trixie", "test"]) == 1
    assert capsys.readouterr().err.endswith("debootstrap trixie failed: E: no such release\n")
    assert (roots / "trixie.new").is_dir()
    assert not (roots / "trixie").exists()


def test_a_root_that_another_run_uses_is_left_alone(roots: Path, capsys: pytest.CaptureFixture[str]) -> None:
    on_release._take(roots / "trixie")
    assert on_release.main(["trixie", "test"]) == 1
    assert "is in use" in line_of(capsys)


def test_inside_is_a_fresh_roots_shell_with_the_way_to_the_network() -> None:
    way = {"https_proxy": "http://proxy:3128", "PIP_INDEX_URL": "http://index", "TERM": "dumb"}
    ours = {"MAKEFLAGS": "w -- TESTS=x", "PYTHONPATH": "lib", "PATH": "/opt/ours", "PIP_FIND_LINKS": "/opt/wheels"}
    inside = on_release.environ({**way, **ours, "CONSUL": "/opt/consul", "HOME": "/home/ann"})
    assert {name: inside[name] for name in way} == way
    assert set(inside) - set(way) == {"PATH", "HOME", "LANG", "PIP_CERT"}
    assert inside["PATH"].split(":")[-1] == "/bin"
    assert inside["HOME"] == "/root"


def test_a_named_consul_has_its_own_name_inside() -> None:
    command = on_release.make_command("test", ["TESTS=tests/unit"], True)
    assert command == ["make", "-C", "/srv/nova-ha-monitor", "test", "TESTS=tests/unit", "CONSUL=/run/consul"]
    assert on_release.make_command("demo", [], False)[-1] == "demo"


def test_the_mirror_is_that_of_this_machines_own_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apt_get = tmp_path / "apt-get"
    apt_get.write_text(
        "#!/bin/sh\necho 'http://mirror.example/debian bookworm'\necho 'http://other.example/d nodistro'\n"
    )
    apt_get.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert apt.mirrors("bookworm") == ["http://mirror.example/debian"]
