"""Consul as the sandbox starts it, with stand-ins for the commands that its agents run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.machines.commands import Commands
from kit.machines.consul import ConsulCluster
from nova_ha.sandbox.consul import CONFIGURATION, commands_path


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    return Commands(tmp_path)


@pytest.fixture
def an_untried_cluster(commands: Commands) -> Iterator[ConsulCluster]:
    """The same before its BMC check has ended for the first time, as it begins at any moment of its interval."""
    commands.hang("nova-ha-check-bmc")
    with observed_cluster(commands) as cluster:
        yield cluster


@pytest.fixture
def an_observed_cluster(commands: Commands) -> Iterator[ConsulCluster]:
    """One HA node that has loaded consul.d/ha-node.hcl, under default deny."""
    with observed_cluster(commands) as cluster:
        yield cluster


def observed_cluster(commands: Commands) -> ConsulCluster:
    environ = {"PATH": f"{commands.directory}{os.pathsep}{commands_path()}", "OS_CLOUD": "rehearsal"}
    return ConsulCluster(acl=True, files=[CONFIGURATION / "ha-node.hcl"], environ=environ)
