"""Which file or flag gives an agent its setting; the agents themselves are in tests/integration/cli."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from nova_ha.cli import agent_files
from nova_ha.cli.agent_files import COMMAND_LINE, given, last_mention, last_setting, sources
from nova_ha.sandbox.consul import CONFIGURATION

NODE_ID = "5f00ab2c-2e89-b968-d0e0-7a0990878b9b"
SETTING = "check_update_interval"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('check_update_interval = "5m"', "5m"),
        ('check_update_interval="5m"\ncheck_update_interval = "1m"', "1m"),
        ('"check_update_interval" = "5m"', "5m"),
        ('{"check_update_interval": "5m"}', "5m"),
        ('\ufeff{ "ports": {"dns": -1},\n "check_update_interval": "5m" }', "5m"),
        ('service { name = "a" }\ncheck_update_interval = "5m" # late', "5m"),
        ('/* { */ check_update_interval = "5m"', "5m"),
        ('check_update_interval /* how */ = # long\n"5m"', "5m"),
        ('Check_Update_Interval = "5m"', "5m"),
        ('leave_on_terminate = true//c {\ncheck_update_interval = "5m"', "5m"),
        ('leave_on_terminate = true/* { */\ncheck_update_interval = "5m"', "5m"),
        ('node_name = <<EOF\n{ "\nEOF\ncheck_update_interval = "5m"', "5m"),
        ('node_name = <<-EOF\n{\n  EOF\ncheck_update_interval = "5m"', "5m"),
        ("data_dir = /var/lib/consul\ncheck_update_interval = 5m", "5m"),
        ('node_name = <<EOF\ncheck_update_interval = "5m"\nEOF\n', None),
        ('# check_update_interval = "5m"', None),
        ('// check_update_interval = "5m"', None),
        ('/* check_update_interval = "5m" */', None),
        ('service { check_update_interval = "5m" }', None),
        ('{"service": {"check_update_interval": "5m"}}', None),
        ('note = "check_update_interval = 5m { \\" "\nother = "check_update_interval"', None),
        ('my_check_update_interval = "5m"', None),
        ("", None),
        ('{"check_update_interval"', None),
        ("check_update_interval =", None),
    ],
)
def test_a_setting_is_found_outside_of_blocks_and_comments(text: str, value: str | None) -> None:
    assert given(text, SETTING) == value


def test_the_shipped_file_gives_what_the_product_needs() -> None:
    text = (CONFIGURATION / "ha-node.hcl").read_text()
    wanted = {SETTING: "0s", "check_output_max_size": "65536", "leave_on_terminate": "false"}
    assert {name: given(text, name) for name in wanted} == wanted
    assert given(text, "interval") is None


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A /proc with nothing in it but what a test puts there."""
    folder = tmp_path / "proc"
    folder.mkdir()
    monkeypatch.setattr(agent_files, "PROC", folder)
    return folder


def a_process(proc: Path, pid: int, *args: str, data: Path, node_id: str = NODE_ID) -> Path:
    """An agent with its data, started with the machine in the folder above it."""
    process, record = proc / str(pid), data / "serf" / "local.snapshot"
    (process / "fd").mkdir(parents=True)
    record.parent.mkdir(parents=True)
    record.touch()
    (data / "node-id").write_text(node_id)
    (process / "cmdline").write_bytes(b"".join(arg.encode() + b"\0" for arg in args))
    (process / "stat").write_text(f"{pid} (con) sul) S {' '.join(['0'] * 30)}")
    for link, target in (("fd/7", record), ("root", Path("/")), ("cwd", proc.parent)):
        (process / link).symlink_to(target)
    return process


def test_files_come_in_the_order_of_the_command_line_and_of_their_names_and_flags_last(
    proc: Path, tmp_path: Path
) -> None:
    etc = tmp_path / "etc"
    etc.mkdir()
    for name in ("b.json", "a.hcl", "notes.txt"):
        (etc / name).write_text("")
    (tmp_path / "first.hcl").write_text("")
    flags = ("-config-file", "first.hcl", f"--config-dir={etc}", "-enable-local-script-checks", "-hcl", "x = 1")
    a_process(proc, 3, "consul", "agent", *flags, data=tmp_path / "data")
    merged = sources("data", NODE_ID)
    assert merged is not None
    files = [str(tmp_path / "first.hcl"), str(etc / "a.hcl"), str(etc / "b.json")]
    assert [source.name for source in merged] == [*files, COMMAND_LINE]
    assert given(merged[-1].text, "enable_local_script_checks") == "true"
    assert given(merged[-1].text, "x") == "1"


def test_either_flag_takes_a_file_as_well_as_a_folder(proc: Path, tmp_path: Path) -> None:
    etc, file = tmp_path / "etc", tmp_path / "first.hcl"
    etc.mkdir()
    for path in (file, etc / "a.hcl"):
        path.write_text("")
    flags = (f"-config-dir={file}", f"-config-file={etc}")
    a_process(proc, 3, "consul", "agent", *flags, data=tmp_path / "data")
    merged = sources("data", NODE_ID) or []
    assert [source.name for source in merged] == [str(file), str(etc / "a.hcl"), COMMAND_LINE]


def test_the_last_file_that_gives_a_setting_is_named_and_a_flag_is_later_than_all(proc: Path, tmp_path: Path) -> None:
    for name, text in (("a", 'check_update_interval = "0s"'), ("z", 'check_update_interval = "5m"\n"nova-ha-ssh"')):
        (tmp_path / f"{name}.hcl").write_text(text)
    files = ("-config-file=a.hcl", "-config-file", "z.hcl")
    a_process(proc, 3, "consul", "agent", *files, "-check_output_max_size", "4096", data=tmp_path / "data")
    merged = sources(str(tmp_path / "data"), NODE_ID) or []
    found = last_setting(merged, SETTING)
    assert found is not None
    assert (found[0].name, found[1]) == (str(tmp_path / "z.hcl"), "5m")
    assert last_mention(merged, "nova-ha-ssh") == str(tmp_path / "z.hcl")
    flag = last_setting(merged, "check_output_max_size")
    assert flag is not None
    assert (flag[0].name, flag[1]) == (COMMAND_LINE, "4096")
    assert last_setting(merged, "discard_check_output") is None
    assert last_mention(merged, "nova-ha-bmc") is None


def test_of_several_agents_the_one_with_the_data_is_taken(proc: Path, tmp_path: Path) -> None:
    a_process(proc, 3, "consul", "agent", "-hcl=a = 3", data=tmp_path / "three")
    a_process(proc, 4, "consul", "agent", "-hcl=a = 4", data=tmp_path / "four")
    [source] = sources(str(tmp_path / "four"), NODE_ID) or []
    assert given(source.text, "a") == "4"


def test_another_machines_agent_with_the_same_folder_is_not_taken_for_ours(proc: Path, tmp_path: Path) -> None:
    a_process(proc, 3, "consul", "agent", data=tmp_path / "data", node_id="another")
    assert sources(str(tmp_path / "data"), NODE_ID) is None


def test_what_is_no_agent_or_may_not_be_read_is_passed_over(proc: Path, tmp_path: Path) -> None:
    a_process(proc, 3, "consul", "kv", "get", data=tmp_path / "data")
    (proc / "4").mkdir()
    (proc / "self").mkdir()
    assert sources(str(tmp_path / "data"), NODE_ID) is None


def test_a_file_that_was_written_after_the_start_is_told(proc: Path, tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / f"{name}.hcl").write_text("")
    os.utime(tmp_path / "old.hcl", (1000, 1000))
    a_process(proc, 3, "consul", "agent", "-config-file=old.hcl", "-config-file=new.hcl", data=tmp_path / "data")
    merged = sources(str(tmp_path / "data"), NODE_ID) or []
    assert [source.changed for source in merged] == [False, True, False]
