"""The command tree: everything is there, has a help text with an example, and starts without heavy libraries."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import nova_ha
import pytest
from click.testing import CliRunner
from nova_ha.cli.root import root

WORDS = {
    *("status", "explain", "plan", "node", "ha-node", "config", "history", "approve", "pause", "resume"),
    *("check", "handle", "doctor", "sandbox", "metrics", "completion"),
}
NODE = [
    "add",
    "list",
    "show",
    "set",
    "remove",
    "maintenance",
    "confirm-off",
    "retry",
    "rebuild-server",
    "migrate-keys",
    "reset",
    "acl",
]

# Their commands are of checks/ and handlers/, and of the sandbox.
OTHERS = (("check",), ("handle",), ("sandbox",))

HEAVY = {"novaclient", "keystoneauth1", "asyncssh", "pyghmi", "openstack", "rich"}


def walk(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group) and path not in OTHERS:
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from walk(found, (*path, name))


COMMANDS = [(" ".join(path), command) for path, command in walk(root)]
OURS = [(path, command) for path, command in COMMANDS if path != "sandbox"]


def test_the_version_is_said_and_has_one_source() -> None:
    said = CliRunner().invoke(root, ["--version"])
    assert said.stdout == f"nova-ha, version {nova_ha.__version__}\n"
    read = configparser.ConfigParser()
    read.read(Path(__file__).resolve().parents[3] / "setup.cfg")
    assert read["metadata"]["version"] == "attr: nova_ha.__version__"


def test_every_place_leads_to_a_command() -> None:
    for _, command in COMMANDS:
        for name, place in getattr(command, "places", {}).items():
            assert isinstance(place.load(), click.Command), name


def test_every_command_is_there() -> None:
    context = click.Context(root)
    assert set(root.list_commands(context)) == WORDS
    node = root.get_command(context, "node")
    assert isinstance(node, click.Group)
    assert set(node.list_commands(click.Context(node))) == set(NODE)


@pytest.mark.parametrize(("path", "command"), OURS, ids=[path or "nova-ha" for path, _ in OURS])
def test_every_command_has_a_help_text_with_an_example(path: str, command: click.Command) -> None:
    assert command.help
    assert f"nova-ha {path}".strip() in command.help


@pytest.mark.parametrize(("path", "command"), OURS, ids=[path or "nova-ha" for path, _ in OURS])
def test_no_command_takes_a_password_as_an_argument(path: str, command: click.Command) -> None:
    names = [name for parameter in command.params for name in parameter.opts if "password" in name]
    assert all(name.endswith("-file") for name in names)


@pytest.mark.parametrize("path", [path for path, _ in OURS if path.endswith(("list", "show", "status", "history"))])
def test_every_listing_can_be_json(path: str) -> None:
    command = dict(COMMANDS)[path]
    assert "--json" in [name for parameter in command.params for name in parameter.opts]


def test_the_line_in_a_groups_help_is_not_cut() -> None:
    for _, command in OURS:
        for place in getattr(command, "places", {}).values():
            assert place.help.endswith(".")


@pytest.mark.parametrize("words", [["status"], ["node", "list"], ["--help"], ["check", "--help"]])
def test_a_short_command_imports_no_heavy_library(words: list[str]) -> None:
    code = (
        "import sys\nfrom nova_ha.cli.command_guard import run\nfrom nova_ha.cli.root import root\n"
        f"run(root, {words!r})\nprint(*sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    )
    environ = {**os.environ, "CONSUL_HTTP_ADDR": "127.17.255.1:9"}
    ended = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False)
    assert ended.stderr.splitlines()[-1].strip() == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_the_script_of_the_shell(shell: str) -> None:
    command = [sys.executable, "-c", "from nova_ha.cli import main; main()", "completion", shell]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "_NOVA_HA_COMPLETE" in ended.stdout


def test_completing_a_nodes_name_without_consul_gives_nothing_and_says_nothing() -> None:
    environ = {
        **os.environ,
        "CONSUL_HTTP_ADDR": "127.17.255.1:9",
        "_NOVA_HA_COMPLETE": "bash_complete",
        "COMP_WORDS": "nova-ha explain c",
        "COMP_CWORD": "2",
    }
    command = [sys.executable, "-c", "from nova_ha.cli import main; main()"]
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert (ended.stdout.strip(), ended.stderr) == ("", "")
