"""What the operator is told to do exists: every command and option that a remedy names can be typed."""

from __future__ import annotations

import re
import shlex

import click
import pytest
from nova_ha.cli.root import root
from nova_ha.cli.views.remedies import REMEDIES, mending, remedy
from nova_ha.cluster.duty import TABLE
from nova_ha.cluster.gate import APPROVABLE, Gate
from nova_ha.consul.values import Fault, Problem

BY_HAND = "ha_cluster/compute_nodes/c1/status/failed"
COMMAND = re.compile(r"`nova-ha ([^`]*)`")


def typed(words: str) -> None:
    """Look the command up in the tree, and each of its options; raises where one does not exist."""
    command: click.Command = root
    rest = shlex.split(words)
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), rest.pop(0))
        assert found is not None, words
        command = found
    known = {name: parameter for parameter in command.params for name in parameter.opts}
    for place, word in enumerate(rest):
        if word.startswith("--") and not word.endswith("..."):
            assert word in known, f"{word} of `nova-ha {words}`"
            if isinstance(known[word].type, click.Choice):
                known[word].type.convert(rest[place + 1], None, None)


@pytest.mark.parametrize("gate", list(Gate), ids=lambda gate: gate.value)
def test_each_gate_has_a_remedy_whose_commands_exist(gate: Gate) -> None:
    line = remedy(gate, "c1")
    for command in COMMAND.findall(line):
        typed(command)
    assert "{" not in line


@pytest.mark.parametrize("gate", [g for g in Gate if g not in (Gate.NO_QUORUM, Gate.OWN_HOST)])
def test_a_remedy_names_a_command(gate: Gate) -> None:
    assert COMMAND.search(remedy(gate, "c1"))


@pytest.mark.parametrize("gate", APPROVABLE)
def test_an_approval_is_offered_only_for_a_gate_that_one_may_name(gate: Gate) -> None:
    assert "nova-ha approve c1" in remedy(gate, "c1") or gate is Gate.MAINTENANCE


def test_no_approval_is_offered_where_none_would_help() -> None:
    offered = {gate for gate in REMEDIES if "nova-ha approve" in REMEDIES[gate]}
    assert offered <= set(APPROVABLE)


def test_the_commands_that_the_duties_name_exist() -> None:
    for row in TABLE:
        for command in COMMAND.findall(row.words):
            typed(command.format(node="c1"))


@pytest.mark.parametrize(
    ("key", "command"),
    [
        ("ha_cluster/config/monitor/quorum", "`nova-ha config set monitor/quorum VALUE`"),
        ("ha_cluster/compute_nodes/c1/config/bmc/port", "`nova-ha node set c1 --bmc-port PORT`"),
        ("ha_cluster/compute_nodes/c1/config/ssh/password", "`nova-ha node set c1 --ssh-password-file FILE`"),
        ("ha_cluster/compute_nodes/c1/config/ssh/host_key", "`nova-ha node set c1 --probe`"),
        ("ha_cluster/compute_nodes/c1/internal/runtime_config", "`nova-ha node set c1 --nova-host HOST`"),
        ("ha_cluster/ha_nodes/ha-1/config/nova_host", "`nova-ha ha-node add ha-1 --nova-host HOST`"),
        (BY_HAND, f"`consul kv put {BY_HAND} VALUE`"),
        ("ha_cluster/ha_nodes/ha-1/status/in_use", "`consul kv put ha_cluster/ha_nodes/ha-1/status/in_use VALUE`"),
        (
            "ha_cluster/incidents/open/c1",
            "`consul kv get ha_cluster/incidents/open/c1` shows it; when nobody works on it, "
            "`consul kv delete ha_cluster/incidents/open/c1`",
        ),
        ("ha_cluster/compute_nodes/", "`consul kv get ha_cluster/compute_nodes/`"),
    ],
)
def test_a_bad_key_is_mended_by_the_command_that_writes_it(key: str, command: str) -> None:
    assert mending(Problem(key, "is bad")) == command
    for words in COMMAND.findall(command):
        typed(words)


def test_a_key_below_one_that_has_a_value_is_removed_whatever_its_name() -> None:
    key = "ha_cluster/compute_nodes/c1/config/bmc/port/x"
    assert mending(Problem(key, "is in the way", Fault.MISPLACED)) == f"`consul kv delete {key}`"
