"""The unit tests' fakes, onto the path, and a real Consul for each file of tests: it ends with the file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kit.machines.consul import ConsulCluster


@pytest.fixture(scope="module")
def consul() -> Iterator[ConsulCluster]:
    """One server, three HA nodes. Their agents write nothing by themselves, as their coordinates would be."""
    settings = {
        "check_update_interval": "0s",
        "check_output_max_size": 65536,
        "enable_local_script_checks": True,
    }
    with ConsulCluster(clients=3, settings=settings, everywhere={"disable_coordinates": True}) as cluster:
        yield cluster


@pytest.fixture
def clean(consul: ConsulCluster) -> ConsulCluster:
    """The same without any key."""
    consul.datacenter.ask("/v1/kv/?recurse", method="DELETE")
    return consul
