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
def an_observed_cluster(commands: Commands) -> Iterator[ConsulCluster]:
    """One HA node that has loaded consul.d/ha-node.hcl, under default deny."""
    environ = {"PATH": f"{commands.directory}{os.pathsep}{commands_path()}", "OS_CLOUD": "rehearsal"}
    with ConsulCluster(acl=True, files=[CONFIGURATION / "ha-node.hcl"], environ=environ) as cluster:
        yield cluster
