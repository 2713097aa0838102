"""The unit tests' fakes, onto the path, and a real Consul for each file of tests: it ends with the file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.consul import ConsulCluster

sys.path.insert(0, str(Path(__file__).parents[2] / "unit"))


@pytest.fixture(scope="module")
def consul() -> Iterator[ConsulCluster]:
    """One server, three HA nodes."""
    settings = {
        "check_update_interval": "0s",
        "check_output_max_size": 65536,
        "enable_local_script_checks": True,
    }
    with ConsulCluster(clients=3, settings=settings) as cluster:
        yield cluster


@pytest.fixture
def clean(consul: ConsulCluster) -> ConsulCluster:
    """The same without any key."""
    consul.datacenter.ask("/v1/kv/?recurse", method="DELETE")
    return consul
