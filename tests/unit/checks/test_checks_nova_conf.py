"""What a compute node's own files say."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from nova_ha.checks import nova_conf
from nova_ha.checks.mounts import is_shared
from nova_ha.checks.nova_conf import read_runtime_config
from nova_ha.cluster.node import RuntimeConfig
from nova_ha.errors import ConfigError


def written(tmp_path: Path, text: str, name: str = "nova.conf") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_the_host_and_the_instances_path_are_novas(tmp_path: Path) -> None:
    conf = written(
        tmp_path, "[DEFAULT]\nhost = compute-7.example\ninstances_path=/srv/instances\n[libvirt]\nhost=x\n"
    )
    found = read_runtime_config([conf])
    assert (found.nova_host, found.instances_path) == ("compute-7.example", "/srv/instances")


def test_without_a_host_nova_takes_the_machines_name(tmp_path: Path) -> None:
    found = read_runtime_config([written(tmp_path, "[DEFAULT]\n# host = no\nhost =\n")])
    assert found.nova_host == socket.gethostname()
    assert found.instances_path == "/var/lib/nova/instances"


def test_options_refer_to_others_and_the_last_file_counts(tmp_path: Path) -> None:
    first = written(tmp_path, "[DEFAULT]\nstate_path = /one\nhost = a\nhost = b\n")
    last = written(
        tmp_path, "[DEFAULT]\nstate_path = /srv/$host\ninstances_path=${state_path}/vms/$nobody\n", "n.conf"
    )
    found = read_runtime_config([first, last])
    assert (found.nova_host, found.instances_path) == ("b", "/srv/b/vms/$nobody")


def test_options_that_refer_to_each_other_end(tmp_path: Path) -> None:
    conf = written(tmp_path, "[DEFAULT]\nstate_path = $instances_path\ninstances_path = $state_path\n")
    assert read_runtime_config([conf]).instances_path.startswith("$")


def test_a_percent_sign_and_a_doubled_section_are_no_trouble(tmp_path: Path) -> None:
    conf = written(tmp_path, "[DEFAULT]\nmy = %(x)s\n[a]\nb=1\n[a]\nb=2\n[DEFAULT]\nhost=c\n")
    assert read_runtime_config([conf]).nova_host == "c"


@pytest.mark.parametrize(("images_type", "shared"), [("rbd", None), ("qcow2", False), ("", False)])
def test_where_disks_are_in_ceph_the_mount_of_the_instances_says_nothing_of_them(
    tmp_path: Path, images_type: str, shared: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nova_conf, "is_shared", lambda path: False)
    conf = written(tmp_path, f"[DEFAULT]\nhost = c1\n[libvirt]\nimages_type = {images_type}\n")
    assert read_runtime_config([conf]).shared_instances is shared


@pytest.mark.parametrize("text", ["host = outside of a section\n", "[DEFAULT\n"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, text: str) -> None:
    conf = written(tmp_path, text)
    with pytest.raises(ConfigError, match=str(conf)):
        read_runtime_config([conf])
    with pytest.raises(ConfigError, match="missing"):
        read_runtime_config([tmp_path / "missing"])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("4C4C4544-0042-3510-8052-B4C04F4D3132\n", "4c4c4544-0042-3510-8052-b4c04f4d3132"),
        ("03000200-0400-0500-0006-000700080009\n", ""),
        ("Not Settable\n", ""),
        (None, ""),
    ],
)
def test_a_machine_says_its_own_uuid_where_it_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, shown: str
) -> None:
    monkeypatch.setattr(nova_conf, "SYSTEM_UUID", written(tmp_path, text, "uuid") if text else tmp_path / "none")
    found = read_runtime_config([written(tmp_path, "[DEFAULT]\nhost=c\n")])
    assert found.system_uuid == shown
    assert RuntimeConfig.from_kv(found.to_kv()) == found
    assert (b"system_uuid" in found.to_kv()) is bool(shown)


def mounts(tmp_path: Path, *rows: str) -> Path:
    path = tmp_path / "mounts"
    path.write_text("".join(f"{row} rw 0 0\n" for row in ("/dev/sda / ext4", *rows)))
    return path


def test_the_nearest_mount_tells_whether_storage_is_shared(tmp_path: Path) -> None:
    table = mounts(tmp_path, "fs:/a /srv/nova nfs4", "/dev/sdb /srv/nova/local xfs", "x /a\\040b ceph")
    assert is_shared("/srv/nova/instances", table) is True
    assert is_shared("/srv/nova", table) is True
    assert is_shared("/srv/novae", table) is False
    assert is_shared("/a b/c", table) is True
    assert is_shared("/no/such/folder", table) is False


def test_a_later_mount_covers_an_earlier_one(tmp_path: Path) -> None:
    assert is_shared("/srv/x", mounts(tmp_path, "fs:/a /srv nfs4", "/dev/sdb /srv ext4")) is False
    assert is_shared("/srv/x", mounts(tmp_path, "/dev/sdb /srv ext4", "fs:/a /srv nfs4")) is True


def test_symlinks_are_followed_to_the_mount(tmp_path: Path) -> None:
    (tmp_path / "instances").symlink_to("far")
    (tmp_path / "far").symlink_to("/mnt/shared/nova")
    table = mounts(tmp_path, "fs:/a /mnt/shared nfs")
    assert is_shared(str(tmp_path / "instances/x"), table) is True


def test_a_circle_of_symlinks_cannot_be_told(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert is_shared(str(tmp_path / "a/x"), mounts(tmp_path)) is None


def test_nothing_below_a_shared_mount_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def islink(path: str) -> bool:
        looked.append(path)
        return False

    monkeypatch.setattr(os.path, "islink", islink)
    assert is_shared("/srv/nova/a/b", mounts(tmp_path, "fs:/a /srv/nova nfs")) is True
    assert looked == ["/srv"]


def test_a_relative_path_and_missing_mounts_cannot_be_told(tmp_path: Path) -> None:
    assert is_shared("instances", mounts(tmp_path)) is None
    assert is_shared("/srv", tmp_path / "missing") is None


@pytest.mark.parametrize("text", ["transport_url = rabbit://nova:hush@mq\n[DEFAULT]\n", "[DEFAULT]\n= hush\n"])
def test_a_broken_file_shows_nothing_of_its_content(tmp_path: Path, text: str) -> None:
    """Consul shows a check's output to every reader, and nova.conf has passwords."""
    with pytest.raises(ConfigError, match=r"line [12] is no") as refused:
        read_runtime_config([written(tmp_path, text)])
    assert "hush" not in str(refused.value)


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path: Path) -> None:
    assert read_runtime_config([written(tmp_path, "\ufeff[DEFAULT]\nhost = c9\n")]).nova_host == "c9"


@pytest.mark.fault(43)
@pytest.mark.parametrize(
    ("line", "every_s"),
    [("", 10), ("report_interval = 30", 30), ("report_interval=$slow\nslow = 60", 60), ("report_interval = 0", 0)],
)
def test_how_often_its_nova_compute_reports_is_novas_own_default_or_as_it_says(
    tmp_path: Path, line: str, every_s: int
) -> None:
    found = read_runtime_config([written(tmp_path, f"[DEFAULT]\nhost = c1\n{line}\n[other]\nreport_interval = 3\n")])
    assert found.report_interval_s == every_s


@pytest.mark.fault(43)
@pytest.mark.parametrize("text", ["often", "10.5", "1e3", "$transport_url", "9" * 5000])
def test_an_interval_that_is_no_number_is_named_without_its_content(tmp_path: Path, text: str) -> None:
    """nova-compute does not start with it either: the one that runs still does as the record says."""
    conf = written(tmp_path, f"[DEFAULT]\nhost = c1\ntransport_url = rabbit://secret\nreport_interval = {text}\n")
    with pytest.raises(ConfigError, match=r"^report_interval in \[DEFAULT\] is no whole number") as raised:
        read_runtime_config([conf])
    assert "secret" not in f"{raised.value} {raised.value.remedy}"
