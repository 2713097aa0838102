"""A real Consul for each file of tests: it ends with the file. Tests that break it start one of their own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from kit.machines.consul import ConsulCluster
from nova_ha.consul.store import Store

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def consul() -> Iterator[ConsulCluster]:
    """A server and the client agent ha-1."""
    with ConsulCluster() as cluster:
        yield cluster


@pytest.fixture
def store(consul: ConsulCluster) -> Store:
    """A store of its own on ha-1."""
    return consul.store()


@pytest.fixture
def prefix() -> str:
    """A part of the key space that no other test uses."""
    return f"trial/{next(_numbers)}"
